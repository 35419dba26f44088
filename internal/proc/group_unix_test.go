//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

func init() {
	roles["stop"] = func() {
		report()
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		stay() // it may take a moment
	}
	roles["leave the group"] = func() {
		if syscall.Setpgid(0, syscall.Getppid()) == nil || syscall.Setpgid(0, 0) == nil {
			report()
		}
		fmt.Print("tried")
		stay()
	}
}

// TestKillAfterWaitDoesNothing gives a process that has been reaped the number of another.
func TestKillAfterWaitDoesNothing(t *testing.T) {
	testkit.CheckLeaks(t)
	reaped, other := launch(t, new(Local), "echo"), launch(t, new(Local), "echo")
	reaped.Requests.Close()
	reaped.Process.Wait()
	p := reaped.Process.(*process)
	p.pid, p.group.pid = other.Process.PID(), other.Process.PID()
	reaped.Process.Kill()
	ask(t, other, "are you alive?")
	other.Requests.Close()
	if e := other.Process.Wait(); e != (transport.Exit{}) {
		t.Errorf("the other one ended with %+v", e)
	}
}

// TestNothingIsLeftOfAGroup has a worker end that has started another process, by itself
// and killed.
func TestNothingIsLeftOfAGroup(t *testing.T) {
	for _, role := range []string{"leave a child", "have a child"} {
		t.Run(role, func(t *testing.T) {
			testkit.CheckLeaks(t)
			dir := reportDir(t)
			w := launch(t, new(Local), role, dirVariable+"="+dir)
			n := map[string]int{"leave a child": 1, "have a child": 2}[role]
			testkit.WaitFor(t, "all processes to report", func() bool { return len(reported(t, dir)) == n })
			if role == "leave a child" {
				w.Requests.Close()
			} else {
				w.Process.Kill()
			}
			w.Process.Wait()
			for _, pid := range reported(t, dir) {
				testkit.WaitFor(t, fmt.Sprint("the end of process ", pid), func() bool { return gone(pid) })
			}
		})
	}
}

// TestLeaderHasLeftItsGroup kills a worker that is in another group, which it can be only if
// it has no session of its own.
func TestLeaderHasLeftItsGroup(t *testing.T) {
	for _, sessions := range []bool{true, false} {
		t.Run(fmt.Sprint("sessions=", sessions), func(t *testing.T) {
			testkit.CheckLeaks(t)
			dir := reportDir(t)
			l := new(Local)
			if !sessions {
				l.Fault = failing("session")
			}
			w := launch(t, l, "leave the group", dirVariable+"="+dir)
			if _, err := io.ReadFull(w.Stdout, make([]byte, len("tried"))); err != nil {
				t.Fatal(err)
			}
			if left := len(reported(t, dir)) == 1; left == sessions {
				t.Errorf("it has left its group: %v", left)
			}
			w.Process.Kill()
			if e := w.Process.Wait(); e.Signal != os.Kill {
				t.Errorf("it ended with %+v", e)
			}
		})
	}
}

// TestWorkersChildrenInheritNothing has a worker start a process.
func TestWorkersChildrenInheritNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it takes /proc")
	}
	testkit.CheckLeaks(t)
	before := make(map[string]bool) // what this process was itself given
	for _, target := range testkit.Descriptors() {
		before[target] = true
	}
	w := launch(t, new(Local), "have a child list its descriptors")
	for _, line := range strings.Split(strings.TrimSpace(output(t, w)), "\n") {
		fd, target, _ := strings.Cut(line, " ")
		if n, err := strconv.Atoi(fd); err != nil || n > 2 && !before[target] {
			t.Errorf("descriptor %q", line)
		}
	}
	w.Process.Wait()
}

// reportDir is a directory for processes to report in. Those that are left at the end of
// the test, which has failed then, are killed.
func reportDir(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		for _, pid := range reported(t, dir) {
			if !gone(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	return dir
}

// reported are the processes that have reported in dir.
func reported(t *testing.T, dir string) (pids []int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// gone reports whether a process has ended.
func gone(pid int) bool {
	s := state(pid)
	return s == "" || s == "Z" || s == "X"
}

// state is the letter that says what state a process is in, nothing if there is none.
func state(pid int) string {
	if runtime.GOOS == "linux" {
		b, _ := os.ReadFile(fmt.Sprint("/proc/", pid, "/stat"))
		if _, s, ok := strings.Cut(string(b), ") "); ok {
			return s[:1]
		}
		return ""
	}
	out, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	if s := strings.TrimSpace(string(out)); s != "" {
		return s[:1]
	}
	return ""
}
