//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"example.com/parallel/internal/testkit"
)

func init() {
	roles["close everything"] = func() {
		closeDescriptors()
		report()
		stay()
	}
	roles["close everything and have a child"] = func() {
		closeDescriptors()
		start("wait")
		report()
		stay()
	}
	roles["have a child and close everything"] = func() {
		start("wait")
		closeDescriptors()
		report()
		stay()
	}
	roles["execute another program"] = func() {
		report()
		execute("sleep", "1000")
	}
	roles["execute another program with a child"] = func() {
		execute("sh", "-c", `sleep 1000 & : > "$0/$$"; : > "$0/$!"; wait`, os.Getenv(dirVariable))
	}
	roles["have a child and execute another program"] = func() {
		start("wait")
		report()
		execute("sleep", "1000")
	}
}

// closeDescriptors closes all that this process has been given, and all that it has opened, but
// for the standard three and what the runtime cannot do without.
func closeDescriptors() {
	for number, target := range testkit.Descriptors() {
		if fd, err := strconv.Atoi(number); err == nil && fd > 2 && target != "anon_inode:[eventpoll]" && target != "anon_inode:[eventfd]" {
			_ = syscall.Close(fd)
		}
	}
}

// execute makes this process another program.
func execute(args ...string) {
	path, err := exec.LookPath(args[0])
	if err == nil {
		err = syscall.Exec(path, args, os.Environ())
	}
	fail(err.Error())
}

// TestParentDeath kills a parent. Its worker ends, in whatever state, with all that it has
// started.
func TestParentDeath(t *testing.T) {
	for _, test := range []struct {
		role      string
		processes int
		byKernel  bool // only the kernel can do it
	}{
		{"wait", 1, false},
		{"spin", 1, false},
		{"have a child", 2, false},
		{"nested", 2, false},
		{"hang in initialization", 1, false},
		{"hang before Inherit", 1, true},
		{"stop", 1, true},
		{"close everything", 1, true},
		{"close everything and have a child", 2, true},
		{"have a child and close everything", 2, true},
		{"execute another program", 1, true},
		{"execute another program with a child", 2, true},
		{"have a child and execute another program", 2, true},
	} {
		t.Run(test.role, func(t *testing.T) {
			if test.byKernel && runtime.GOOS != "linux" {
				t.Skip("it takes the kernel, which does not do it here")
			}
			testkit.CheckLeaks(t)
			took := killParent(t, test.role, test.processes)
			limit := 100 * time.Millisecond
			if testkit.Race {
				limit *= 5 // the kernel takes its time to clear away the memory of such processes
			}
			if took > limit {
				t.Errorf("it took %v until all were gone", took)
			}
		})
	}
}

// TestParentDeathWithout is the same if the system refuses something.
func TestParentDeathWithout(t *testing.T) {
	for _, test := range []struct {
		without, role string
		processes     int
		byKernel      bool
	}{
		{"setsig", "wait", 1, false},
		{"setsig", "have a child", 2, false},
		{"setsig", "hang in initialization", 1, false},
		{"session", "stop", 1, true},
		{"session", "close everything and have a child", 2, true},
		{"session", "execute another program with a child", 2, true},
	} {
		t.Run("without="+test.without+"/"+test.role, func(t *testing.T) {
			if test.byKernel {
				testkit.OnlyOn(t, "linux")
			}
			testkit.CheckLeaks(t)
			took := killParent(t, test.role, test.processes, withoutVariable+"="+test.without)
			t.Logf("all were gone after %v", took)
		})
	}
}

// killParent starts a parent with a worker in that role, and kills it when so many processes
// have reported. It returns how long these live on.
func killParent(t *testing.T, role string, processes int, env ...string) time.Duration {
	dir := reportDir(t)
	parent := again("parent")
	parent.Env = append(parent.Env, roleVariable+"_WORKER="+role, dirVariable+"="+dir)
	parent.Env = append(parent.Env, env...)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Process.Kill(); _ = parent.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "launched\n" {
		t.Fatalf("the parent says %q, %v", line, err)
	}
	var pids []int
	testkit.WaitFor(t, "all processes to report", func() bool {
		pids = reported(t, dir)
		return len(pids) == processes
	})
	switch role {
	case "stop":
		testkit.WaitFor(t, "the worker to stop", func() bool { return state(pids[0]) == "T" })
	case "execute another program", "have a child and execute another program":
		testkit.WaitFor(t, "the other program", func() bool { return executing("sleep", pids) })
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	for _, pid := range pids {
		testkit.WaitFor(t, fmt.Sprint("the end of process ", pid), func() bool { return gone(pid) })
	}
	return time.Since(killed)
}

// executing reports whether one of these processes is running that program.
func executing(program string, pids []int) bool {
	for _, pid := range pids {
		if path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(path) == filepath.Base(realPath(program)) {
			return true
		}
	}
	return false
}

// realPath is the file of a program.
func realPath(program string) string {
	path, err := exec.LookPath(program)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return ""
	}
	return path
}
