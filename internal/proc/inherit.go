package proc

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"example.com/parallel/internal/pipe"
)

// markVariable names the environment variable that makes a process a worker. What it says
// differs by platform.
const markVariable = "PARALLEL_WORKER"

// Inherited is what this process was given as a worker. It owns all of it.
type Inherited struct {
	Requests *pipe.Reader // frames from the parent
	Results  *os.File     // frames to it
	Shared   *Shared      // the segment; nil: none

	parent  *os.File      // the parent-death pipe: end of file says that the parent has gone
	settled chan struct{} // closed when signals are dropped
}

// Shared is the files of the segment: see shm.Map.
type Shared struct {
	Up   *os.File // this process writes it
	Down *os.File // the parent writes it; this process can only read it
}

// Inherit returns what the parent gave to this process; nil if it is no worker. The first
// call takes it over, and takes the mark out of the environment. From then on the process
// ends with its parent. Later calls return the same. Inherit ends a process whose mark makes
// no sense, with a message.
//
// The first call is to be made in package initialization, so that what another package
// starts in its initialization inherits neither the files nor the mark, and so that this
// process ends with its parent though it may never get any further.
func Inherit() *Inherited { return inheritOnce() }

var inheritOnce = sync.OnceValue(func() *Inherited {
	mark, ok := os.LookupEnv(markVariable)
	if !ok {
		return nil
	}
	os.Unsetenv(markVariable)
	files, err := restoreEnvironment(mark)
	if err != nil {
		err = errMark(mark)
	}
	var in *Inherited
	if err == nil {
		in, err = inherit(files)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	in.settled = make(chan struct{})
	undo, dropped := dropEarly()
	if dropped {
		close(in.settled)
	}
	go in.accompany(func() {
		catchSignals()
		undo()
		if !dropped {
			close(in.settled)
		}
	})
	return in
})

// accompany is the process's companion. It prepares the process for its life as a worker. Then
// it waits for the death of the parent, and ends this process and what it has started. It is a
// goroutine of its own from package initialization on: to catch signals takes the runtime some
// threads, and longer than all else that comes before the first item.
func (in *Inherited) accompany(prepare func()) {
	prepare()
	awaitEnd(in.parent)
	DieWithGroup()
}

// lookParent is how often a process that cannot read its parent-death pipe looks whether it
// still has the same parent.
const lookParent = 50 * time.Millisecond

// awaitEnd returns when the parent has died. Code of the user's may have closed the pipe.
func awaitEnd(pipe io.Reader) {
	parent := os.Getppid()
	var err error
	for b := make([]byte, 1); err == nil; {
		_, err = pipe.Read(b)
	}
	for err != io.EOF && os.Getppid() == parent {
		time.Sleep(lookParent)
	}
}

// Settle returns when the signals are dropped by which services are ended: at once, if
// dropEarly can do that. No item may run before.
func (in *Inherited) Settle() { <-in.settled }

func errMark(mark string) error {
	return fmt.Errorf("parallel: malformed %s=%q", markVariable, mark)
}
