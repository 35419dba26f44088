//go:build linux

package supervisor_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// What is not to be had, refused from outside: by a filter of system calls, a namespace without
// /proc or /dev, or a limit. The programs are this test binary, run once more.

const (
	outsideEnv = "PARALLEL_TEST_OUTSIDE"     // what the program of TestOutside is to do without
	bareEnv    = "PARALLEL_TEST_OUTSIDE_TWO" // the program has been executed again, where that is missing
)

// missing makes this process do without something, and says what calls are to return: nil as
// usual, else a text that must be in their error.
type missing struct {
	begin  func() error
	again  bool   // execute the program again afterwards, so that it has never had it
	err    string // what must be in the error of calls; empty: they serve
	limits bool   // the pool has a limit of memory
	user   bool   // the program is another user's, who has no other process
}

// refuse makes the kernel refuse system calls.
func refuse(refusals ...testkit.Refusal) func() error {
	return func() error { return testkit.Refuse(refusals) }
}

// hide covers a directory by an empty one.
func hide(dir string) func() error {
	return func() error {
		return os.NewSyscallError("mount", unix.Mount("none", dir, "tmpfs", 0, ""))
	}
}

// noMemory refuses memory without a name.
func noMemory() error {
	return testkit.Refuse([]testkit.Refusal{{Call: unix.SYS_MEMFD_CREATE, Errno: unix.EPERM}})
}

// outsides are the programs. A name in parentheses says how something is refused.
var outsides = map[string]missing{
	"nothing":               {begin: func() error { return nil }},
	"memfd (ENOSYS)":        {begin: refuse(testkit.Refusal{Call: unix.SYS_MEMFD_CREATE, Errno: unix.ENOSYS})},
	"memfd (EPERM)":         {begin: refuse(testkit.Refusal{Call: unix.SYS_MEMFD_CREATE, Errno: unix.EPERM})},
	"seals":                 {begin: refuse(testkit.Refusal{Call: unix.SYS_FCNTL, Arg: 2, Value: unix.F_ADD_SEALS, Errno: unix.EPERM})},
	"F_SETSIG":              {begin: refuse(testkit.Refusal{Call: unix.SYS_FCNTL, Arg: 2, Value: unix.F_SETSIG, Errno: unix.EPERM})},
	"F_SETOWN":              {begin: refuse(testkit.Refusal{Call: unix.SYS_FCNTL, Arg: 2, Value: unix.F_SETOWN, Errno: unix.EPERM})},
	"parent-death signal":   {begin: refuse(testkit.Refusal{Call: unix.SYS_PRCTL, Arg: 1, Value: unix.PR_SET_PDEATHSIG, Errno: unix.EPERM})},
	"sessions":              {begin: refuse(testkit.Refusal{Call: unix.SYS_SETSID, Errno: unix.EPERM})},
	"pidfd (ENOSYS)":        {begin: refuse(testkit.Refusal{Call: unix.SYS_PIDFD_OPEN, Errno: unix.ENOSYS})},
	"pidfd (EPERM)":         {begin: refuse(testkit.Refusal{Call: unix.SYS_PIDFD_OPEN, Errno: unix.EPERM})},
	"waitid (ENOSYS)":       {begin: refuse(testkit.Refusal{Call: unix.SYS_WAITID, Errno: unix.ENOSYS})},
	"waitid (EPERM)":        {begin: refuse(testkit.Refusal{Call: unix.SYS_WAITID, Errno: unix.EPERM})},
	"waitid (EPERM), pidfd": {begin: refuse(testkit.Refusal{Call: unix.SYS_WAITID, Errno: unix.EPERM}, testkit.Refusal{Call: unix.SYS_PIDFD_OPEN, Errno: unix.EPERM})},
	"kill": {begin: refuse(
		testkit.Refusal{Call: unix.SYS_KILL, Errno: unix.EPERM}, testkit.Refusal{Call: unix.SYS_PIDFD_SEND_SIGNAL, Errno: unix.EPERM})},
	"kill, F_SETSIG": {begin: refuse(
		testkit.Refusal{Call: unix.SYS_KILL, Errno: unix.EPERM}, testkit.Refusal{Call: unix.SYS_PIDFD_SEND_SIGNAL, Errno: unix.EPERM},
		testkit.Refusal{Call: unix.SYS_FCNTL, Arg: 2, Value: unix.F_SETSIG, Errno: unix.EPERM})},
	"/proc, since a moment":                 {begin: hide("/proc")},
	"/proc":                                 {begin: hide("/proc"), again: true},
	"/proc, and a memory limit":             {begin: hide("/proc"), again: true, limits: true, err: "ProcessPool.MaxMemoryBytes"},
	"/dev":                                  {begin: hide("/dev"), again: true},
	"/proc and /dev":                        {begin: func() error { return errors.Join(hide("/proc")(), hide("/dev")()) }, again: true},
	"the executable":                        {begin: removeExecutable},
	"the executable and /proc":              {begin: func() error { return errors.Join(removeExecutable(), hide("/proc")()) }, err: "no such file or directory"},
	"room for temporary files":              {begin: func() error { return limitTemp(4 << 10) }},
	"room for large temporary files, memfd": {begin: func() error { return errors.Join(limitTemp(9<<20), noMemory()) }},
	"processes":                             {begin: noProcesses, user: true, err: "resource temporarily unavailable"},
	"a directory for temporary files":       {begin: func() error { return os.Setenv("TMPDIR", "/no/such/directory") }},
	"a directory for temporary files, memfd": {begin: func() error {
		return errors.Join(os.Setenv("TMPDIR", "/no/such/directory"), noMemory())
	}},
	"room for temporary files, memfd": {begin: func() error { return errors.Join(limitTemp(4<<10), noMemory()) }},
	"/proc, memfd, seals, pidfd, F_SETSIG, waitid": {begin: func() error {
		if err := hide("/proc")(); err != nil {
			return err
		}
		var all []testkit.Refusal
		for _, call := range []uintptr{unix.SYS_MEMFD_CREATE, unix.SYS_PIDFD_OPEN, unix.SYS_WAITID} {
			all = append(all, testkit.Refusal{Call: call, Errno: unix.EPERM})
		}
		for _, command := range []uint32{unix.F_ADD_SEALS, unix.F_SETSIG} {
			all = append(all, testkit.Refusal{Call: unix.SYS_FCNTL, Arg: 2, Value: command, Errno: unix.EPERM})
		}
		return testkit.Refuse(all)
	}, again: true},
}

// removeExecutable removes the file of this program, which is a copy.
func removeExecutable() error {
	path, err := os.Executable()
	if err == nil {
		err = os.Remove(path)
	}
	return err
}

// limitTemp makes the directory for temporary files one that has little room, of which the first
// page is taken.
func limitTemp(size int) error {
	dir := filepath.Join(os.TempDir(), "small")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Setenv("TMPDIR", dir)); err != nil {
		return err
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		return os.NewSyscallError("mount", err)
	}
	return os.WriteFile(filepath.Join(dir, "full"), make([]byte, 4096), 0o600)
}

// noProcesses lets this user have no more processes. Threads count as processes, so the runtime
// makes some before.
func noProcesses() error {
	var blocked, started sync.WaitGroup
	for range 16 {
		blocked.Add(1)
		started.Go(func() {
			runtime.LockOSThread() // and not for long
			defer runtime.UnlockOSThread()
			blocked.Done()
			blocked.Wait()
		})
	}
	started.Wait()
	return unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: 1})
}

// TestProgramOutside is no test but a program of TestOutside.
func TestProgramOutside(t *testing.T) {
	name := os.Getenv(outsideEnv)
	if name == "" {
		t.Skip("only as a process of TestOutside")
	}
	without := outsides[name]
	dir := t.TempDir()
	if os.Getenv(bareEnv) == "" {
		path, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		if err := without.begin(); err != nil {
			fmt.Println("cannot be refused:", err)
			os.Exit(0)
		}
		if without.again {
			t.Fatal(syscall.Exec(path, os.Args, append(os.Environ(), bareEnv+"=1")))
		}
	}
	pool := &parallel.ProcessPool{Size: 2, KillDelay: 10 * time.Millisecond, Env: []string{"GORACE=atexit_sleep_ms=0", outsideEnv + "="}, Stderr: io.Discard}
	if without.limits {
		pool.MaxMemoryBytes = 1 << 30
	}
	if without.err == "" {
		known(pool)
		serveAll(t, pool, dir)
	} else {
		_, err := parallel.Map(testkit.Patient(t), testkit.Count(3), testkit.Double, parallel.On(pool))
		if err == nil || !strings.Contains(err.Error(), without.err) {
			t.Errorf("error %v", err)
		}
		fmt.Println("error:", err)
		pool.Close()
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a process is left: %d, %v", pid, err)
	}
	fmt.Println("served without", name)
}

// TestOutside runs them.
func TestOutside(t *testing.T) {
	for name := range outsides {
		t.Run(name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			out, err := runOutside(t, name)
			var exit *exec.ExitError
			switch {
			case err != nil && !errors.As(err, &exit):
				t.Skip("there cannot be namespaces: ", err)
			case strings.Contains(out, "cannot be refused:"):
				t.Skip(out)
			case err != nil || !strings.Contains(out, "served without "+name+"\n"):
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// runOutside runs a program in namespaces of its own, or as another user.
func runOutside(t *testing.T, name string) (string, error) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, user := t.TempDir(), outsides[name].user && os.Getuid() == 0
	if user || strings.Contains(name, "executable") {
		binary, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(dir, "program")
		if err := os.WriteFile(path, binary, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, "-test.run=^TestProgramOutside$", "-test.v")
	cmd.Env = append(os.Environ(), outsideEnv+"="+name, "TMPDIR="+dir)
	if user {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		cmd.Dir = dir
		if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)); err != nil {
			t.Fatal(err)
		}
	} else if !outsides[name].user {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
