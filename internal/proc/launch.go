package proc

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"example.com/parallel/internal/pipe"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/transport"
)

// Local starts this executable again, with pipes and, if the system has it, a shared
// segment. The zero value is what users get; the fields are for tests.
type Local struct {
	// NoShared makes workers do without a segment, as on systems that have none.
	NoShared bool
	// SharedInFile makes the segment of a file also on Linux, as on the other Unix systems.
	SharedInFile bool
	// Fault, if not nil, is asked before each operation of a start ("pipe", "reader",
	// "start", "group", and those of shm.Options) and before each write to the worker
	// ("write"). Its error becomes the operation's.
	Fault func(op string) error
}

var _ transport.Launcher = Local{}

func (l Local) fault(op string) error {
	if l.Fault == nil {
		return nil
	}
	return l.Fault(op)
}

// Launch implements transport.Launcher. It does not look at the context, since a start
// takes about a millisecond. If it fails, nothing is left of the start.
func (l Local) Launch(_ context.Context, s transport.Spec) (_ *transport.Worker, err error) {
	if s.Dir != "" {
		if _, err := os.Stat(s.Dir); err != nil { // exec would blame the executable
			return nil, fmt.Errorf("ProcessPool.Dir: %w", err)
		}
	}
	f := files{launcher: l}
	defer func() {
		closeAll(f.theirs) // the child has its own by now
		if err != nil {
			closeAll(f.ours)
		}
	}()
	requests, theirRequests := f.pipe(outward)
	results, theirResults := f.reader()
	parentDeath, theirParentDeath := f.pipe(outward)
	stdout, theirStdout := f.pipe(inward)
	stderr, theirStderr := f.pipe(inward)
	shared := f.segment()
	if f.err != nil {
		return nil, f.err
	}
	inherited := []*os.File{theirRequests, theirResults, theirParentDeath}
	if shared != nil {
		up, down := shared.Inherit()
		inherited = append(inherited, up, down)
	}
	cmd, err := command(s, inherited)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = theirStdout, theirStderr
	group, err := l.start(cmd)
	if err != nil {
		return nil, err
	}
	w := &transport.Worker{
		Process:  &process{cmd: cmd, pid: cmd.Process.Pid, group: group, parentDeath: parentDeath},
		Requests: requests, Results: results, Shared: shared, Stdout: stdout, Stderr: stderr,
	}
	if l.Fault != nil {
		w.Requests = faultyWriter{requests, l.Fault}
	}
	return w, nil
}

// command is how a worker starts: this executable, with files and the mark that tells it
// of them.
func command(s transport.Spec, files []*os.File) (*exec.Cmd, error) {
	path, err := executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	cmd.Args = os.Args[:1]
	cmd.Dir = s.Dir
	mark, err := attach(cmd, files)
	if err != nil {
		return nil, err
	}
	cmd.Env = os.Environ()
	if s.GOMAXPROCS > 0 {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+strconv.Itoa(s.GOMAXPROCS))
	}
	if s.MaxMemoryBytes > 0 {
		cmd.Env = append(cmd.Env, "GOMEMLIMIT="+strconv.FormatInt(s.MaxMemoryBytes/10*9, 10))
	}
	cmd.Env = append(cmd.Env, s.Env...)
	cmd.Env = append(cmd.Env, markVariable+"="+mark)
	return cmd, nil
}

// start starts the process, and returns the group that it leads.
func (l Local) start(cmd *exec.Cmd) (*group, error) {
	err := l.fault("start")
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	g, err := newGroup(cmd)
	if err == nil {
		if err = l.fault("group"); err != nil {
			g.close()
		}
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return g, nil
}

// files makes the files of a worker that is being started. They belong to it until Launch
// has succeeded.
type files struct {
	launcher     Local
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

// pipe makes a pipe.
func (f *files) pipe(d direction) (our, their *os.File) {
	if f.failed("pipe") {
		return nil, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		f.err = err
		return nil, nil
	}
	if our, their = w, r; d == inward {
		our, their = r, w
	}
	f.ours, f.theirs = append(f.ours, our), append(f.theirs, their)
	return our, their
}

// reader makes a pipe from the worker whose end here may poll.
func (f *files) reader() (our *pipe.Reader, their *os.File) {
	r, their := f.pipe(inward)
	if f.failed("reader") {
		return nil, nil
	}
	if our, f.err = pipe.NewReader(r); f.err == nil {
		f.ours[len(f.ours)-1] = our
	}
	return our, their
}

// segment makes the shared segment. If it is not to be had, everything goes through the
// pipes.
func (f *files) segment() *shm.Segment {
	if f.err != nil || f.launcher.NoShared {
		return nil
	}
	s, err := shm.Create(shm.Options{InFile: f.launcher.SharedInFile, Fault: f.launcher.Fault})
	if err != nil {
		return nil
	}
	_, theirs := s.Inherit()
	f.ours, f.theirs = append(f.ours, s), append(f.theirs, theirs)
	return s
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
