package proc

import (
	"context"
	"os"
	"os/exec"

	"example.com/parallel/internal/transport"
)

// Local starts this executable again, with pipes and, if the system has it, a shared
// segment. Each pool has a Local of its own. The zero value is what users get; the fields are
// for tests, and are set before the first use.
//
// What the system refuses is done without, if it can be. docs/reliability.md has the list.
type Local struct {
	// NoShared makes workers do without a segment, as on systems that have none.
	NoShared bool
	// SharedInFile makes the segment of a file also on Linux, as on the other Unix systems.
	SharedInFile bool
	// Fault, if not nil, is asked before each operation that the system may refuse. Its
	// error becomes the operation's. A start fails without "pipe", "start" or "group", and
	// does without "epoll", "null", "proc", "session", "setsig", "pidfd" and what shm.Options
	// names. Later there are "write" to the worker, "kill", "waitid" and "proc".
	Fault func(op string) error

	origin origin
}

var _ transport.Launcher = (*Local)(nil)

func (l *Local) fault(op string) error {
	if l.Fault == nil {
		return nil
	}
	return l.Fault(op)
}

// Launch implements transport.Launcher. It does not look at the context, since a start
// takes about a millisecond. If it fails, nothing is left of the start.
func (l *Local) Launch(_ context.Context, s transport.Spec) (_ *transport.Worker, err error) {
	r, err := l.recipe(s)
	if err != nil {
		return nil, err
	}
	f := files{launcher: l}
	defer func() {
		closeAll(f.theirs) // the child has its own by now
		if err != nil {
			closeAll(f.ours)
		}
	}()
	requests, theirRequests := f.pipe(outward, true)
	results, theirResults := f.reader()
	death := f.parentDeath()
	stdout, theirStdout := f.pipe(inward, true)
	stderr, theirStderr := f.pipe(inward, true)
	r.stdin, r.stdout, r.stderr = f.stdin(), theirStdout, theirStderr
	shared, theirShared := f.segment()
	if f.err != nil {
		return nil, f.err
	}
	r.inherited = append([]*os.File{theirRequests, theirResults, death.far}, theirShared...)
	p, err := l.start(r, death)
	if err != nil {
		return nil, err
	}
	w := &transport.Worker{
		Process: p, Requests: requests, Results: results, Shared: shared, Stdout: stdout, Stderr: stderr,
	}
	if l.Fault != nil {
		w.Requests = faultyWriter{requests, l.Fault}
	}
	return w, nil
}

// recipe is what a worker is started with.
type recipe struct {
	path                  string
	dir                   string   // as exec.Cmd has it
	env                   []string // not to be changed
	restore               []string // see restoreEnvironment
	stdin, stdout, stderr *os.File
	inherited             []*os.File // besides these
}

// recipe returns all of a recipe but the files.
func (l *Local) recipe(s transport.Spec) (r *recipe, err error) {
	l.origin.init()
	r = new(recipe)
	if r.dir, err = l.origin.workingDir(s.Dir); err != nil {
		return nil, err
	}
	if r.path, err = l.executable(); err != nil {
		return nil, err
	}
	r.env, r.restore = l.origin.environment(s)
	return r, nil
}

// command is the command of a recipe. With session, the worker leads a session of its own, and
// otherwise only a group.
func (r *recipe) command(session bool) (*exec.Cmd, error) {
	cmd := &exec.Cmd{Path: r.path, Args: []string{r.path}, Dir: r.dir, Stdin: r.stdin, Stdout: r.stdout, Stderr: r.stderr}
	if len(os.Args) > 0 { // something may have taken this program's name away
		cmd.Args = os.Args[:1]
	}
	mark, err := attach(cmd, r.inherited, session)
	cmd.Env = append(r.env[:len(r.env):len(r.env)], markVariable+"="+withRestore(mark, r.restore))
	return cmd, err
}

// start starts a process. If the system refuses what a session takes, the process has none.
func (l *Local) start(r *recipe, death *parentDeath) (*process, error) {
	session := l.fault("session") == nil
	p, err := l.startAs(r, session, death)
	if session && refused(err) {
		return l.startAs(r, false, death)
	}
	return p, err
}

func (l *Local) startAs(r *recipe, session bool, death *parentDeath) (*process, error) {
	cmd, err := r.command(session)
	if err != nil {
		return nil, err
	}
	if err := l.fault("start"); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g, err := newGroup(cmd, l.fault)
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
	death.tie(cmd.Process.Pid)
	offerToOOMKiller(cmd.Process.Pid) // here, since the worker has not yet begun, and this process waits for it
	return &process{cmd: cmd, pid: cmd.Process.Pid, group: g, parentDeath: death}, nil
}
