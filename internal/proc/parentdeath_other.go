//go:build !linux

package proc

// arm does nothing: the worker's goroutine that reads the far end must do.
func (l *parentDeath) arm() {}

// tie leaves the far end to the worker.
func (l *parentDeath) tie(int) { l.far.Close() }
