package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

func init() {
	roles["subreaper"] = func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			fail(err.Error())
		}
		adopt()
	}
	roles["init process"] = func() {
		if os.Getpid() != 1 {
			fail(fmt.Sprint("this is process ", os.Getpid()))
		}
		adopt()
	}
	roles["have children"] = func() {
		for range 3 {
			start("have a child")
		}
		report()
		stay()
	}
	roles["leave children"] = func() {
		for range 3 {
			start("have a child")
		}
		report()
		_, _ = inherited.Requests.Read(make([]byte, 1))
	}
}

// adopt is a parent that becomes the parent of orphans. It starts other processes meanwhile,
// whose exit statuses must be left alone.
func adopt() {
	others := make(chan error)
	for range 4 {
		go func() { others <- runOthers() }()
	}
	for _, role := range []string{"have children", "leave children"} {
		dir, err := os.MkdirTemp("", "adopt")
		if err != nil {
			fail(err.Error())
		}
		w, err := new(Local).Launch(context.Background(), transport.Spec{Env: []string{roleVariable + "=" + role, dirVariable + "=" + dir}})
		if err != nil {
			fail(err.Error())
		}
		for n := 0; n < 7; { // the worker, its children and theirs
			names, _ := os.ReadDir(dir)
			n = len(names)
			time.Sleep(time.Millisecond) // allowed: paces the polling
		}
		if role == "have children" {
			w.Process.Kill()
		}
		w.Requests.Close()
		w.Process.Wait()
		os.RemoveAll(dir)
	}
	for range 4 {
		if err := <-others; err != nil {
			fail(err.Error())
		}
	}
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err != syscall.ECHILD {
		fail(fmt.Sprintf("a process is left: %d, %v", pid, err))
	}
	fmt.Print("no process is left")
}

// runOthers runs processes that are no workers, some of them leading a group.
func runOthers() error {
	for i := range 20 {
		cmd := exec.Command("sh", "-c", fmt.Sprint("exit ", i))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: i%2 == 0}
		err := cmd.Run()
		var exit *exec.ExitError
		if code := cmd.ProcessState.ExitCode(); code != i || err != nil && !errors.As(err, &exit) {
			return fmt.Errorf("a process that ends with %d has ended with %d: %w", i, code, err)
		}
	}
	return nil
}

// TestNoZombies has workers end, with what they have started, whose parent becomes the parent
// of orphans.
func TestNoZombies(t *testing.T) {
	for role, attr := range map[string]*syscall.SysProcAttr{
		"subreaper":    nil,
		"init process": initProcess(),
	} {
		t.Run(role, func(t *testing.T) {
			testkit.CheckLeaks(t)
			parent := again(role)
			parent.SysProcAttr = attr
			out, err := parent.CombinedOutput()
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
				t.Skip("this process may not have namespaces of its own: ", err)
			}
			if err != nil || string(out) != "no process is left" {
				t.Errorf("%s, %v", out, err)
			}
		})
	}
}

// initProcess makes a process the first of its own namespace.
func initProcess() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return attr
}
