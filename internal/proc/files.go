package proc

import (
	"io"
	"os"

	"example.com/parallel/internal/pipe"
	"example.com/parallel/internal/shm"
)

// files makes the files of a worker that is being started. They belong to it until Launch
// has succeeded.
type files struct {
	launcher     *Local
	ours, theirs []io.Closer
	err          error // the first that was met; after it nothing more is made
}

// direction is where a pipe leads.
type direction bool

const (
	outward direction = false // to the worker
	inward  direction = true  // from it
)

// failed reports whether an operation must not be done, since it or one before it has
// failed.
func (f *files) failed(op string) bool {
	if f.err == nil {
		f.err = f.launcher.fault(op)
	}
	return f.err != nil
}

// pipe makes a pipe. polled says that our end is read or written, and not only closed.
func (f *files) pipe(d direction, polled bool) (our, their *os.File) {
	if f.failed("pipe") {
		return nil, nil
	}
	if our, their, f.err = makePipe(d, polled); f.err != nil {
		return nil, nil
	}
	f.ours, f.theirs = append(f.ours, our), append(f.theirs, their)
	return our, their
}

// reader makes a pipe from the worker whose end here may poll.
func (f *files) reader() (our *pipe.Reader, their *os.File) {
	r, their := f.pipe(inward, true)
	if f.err != nil {
		return nil, nil
	}
	if f.launcher.fault("epoll") != nil {
		our = pipe.NewPlainReader(r)
	} else if our, f.err = pipe.NewReader(r); f.err != nil {
		return nil, nil
	}
	f.ours[len(f.ours)-1] = our
	return our, their
}

// parentDeath makes the parent-death pipe. Both of its ends are ours.
func (f *files) parentDeath() *parentDeath {
	near, far := f.pipe(outward, false)
	if f.err != nil {
		return nil
	}
	f.theirs = f.theirs[:len(f.theirs)-1]
	l := &parentDeath{near: near, far: far}
	f.ours[len(f.ours)-1] = l
	if f.launcher.fault("setsig") == nil {
		l.arm()
	}
	return l
}

// stdin makes a standard input that is at its end: the null device, or else a pipe.
func (f *files) stdin() *os.File {
	if f.err != nil {
		return nil
	}
	if f.launcher.fault("null") == nil {
		if null, err := openNull(); err == nil {
			f.theirs = append(f.theirs, null)
			return null
		}
	}
	our, their := f.pipe(outward, false)
	if our != nil {
		our.Close()
	}
	return their
}

// segment makes the shared segment, and returns what the worker inherits of it. If it is not to
// be had, everything goes through the pipes.
func (f *files) segment() (s *shm.Segment, their []*os.File) {
	if f.err != nil || f.launcher.NoShared {
		return nil, nil
	}
	s, err := shm.Create(shm.Options{InFile: f.launcher.SharedInFile, Fault: f.launcher.Fault})
	if err != nil {
		return nil, nil
	}
	up, down := s.Inherit()
	f.ours, f.theirs = append(f.ours, s), append(f.theirs, down)
	return s, []*os.File{up, down}
}

func closeAll(files []io.Closer) {
	for _, f := range files {
		f.Close()
	}
}

// faultyWriter asks before each write whether it is to fail.
type faultyWriter struct {
	io.WriteCloser
	fault func(op string) error
}

func (w faultyWriter) Write(b []byte) (int, error) {
	if err := w.fault("write"); err != nil {
		return 0, err
	}
	return w.WriteCloser.Write(b)
}
