package proc

import "os"

// parentDeath is the parent-death pipe of a worker, to which nothing is written. Its near end
// is this process's alone: when that is closed, as the death of this process does, the worker
// ends. The worker's process owns both ends.
type parentDeath struct {
	near *os.File // to write
	far  *os.File // to read, inherited by the worker

	armed bool // the far end sends a signal when the near one is closed
}

// Close closes both ends.
func (l *parentDeath) Close() error {
	l.far.Close() // it may have been closed before
	return l.near.Close()
}
