package proc

import (
	"fmt"
	"os"
	"sync"

	"example.com/parallel/internal/pipe"
)

// markVariable names the environment variable that makes a process a worker. What it says
// differs by platform.
const markVariable = "PARALLEL_WORKER"

// Inherited is what this process was given as a worker. It owns all of it.
type Inherited struct {
	Requests *pipe.Reader // frames from the parent
	Results  *os.File     // frames to it
	Parent   *os.File     // the parent-death pipe: end of file says that the parent has gone
	Shared   *Shared      // the segment; nil: none
}

// Shared is the files of the segment: see shm.Map.
type Shared struct {
	Up   *os.File // this process writes it
	Down *os.File // the parent writes it; this process can only read it
}

// Inherit returns what the parent gave to this process; nil if it is no worker. The first
// call takes it over, and takes the mark out of the environment. Later ones return the
// same. Inherit ends a process whose mark makes no sense, with a message.
//
// The first call is to be made in package initialization, so that what another package
// starts in its initialization inherits neither the files nor the mark.
func Inherit() *Inherited { return inheritOnce() }

var inheritOnce = sync.OnceValue(func() *Inherited {
	mark, ok := os.LookupEnv(markVariable)
	if !ok {
		return nil
	}
	os.Unsetenv(markVariable)
	in, err := inherit(mark)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return in
})

func errMark(mark string) error {
	return fmt.Errorf("parallel: malformed %s=%q", markVariable, mark)
}
