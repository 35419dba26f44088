// Package testkit is what tests of several packages share: the leak check, waiting for
// something to become true, and functions whose items wait for files, so that a test decides
// the order in which items run in processes that share no memory with it.
package testkit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// CheckLeaks makes t fail if, at its end, there are more goroutines of this module, open
// descriptors, child processes, or mapped or temporary files of segments than there were when
// it was called. Tests that use it do not run in parallel with others.
func CheckLeaks(t *testing.T) {
	t.Helper()
	before := resources()
	t.Cleanup(func() {
		if t.Failed() {
			return // the first failure says more
		}
		// What ends a goroutine or process may be seen a moment before the
		// runtime or the kernel has taken it off its lists.
		deadline := time.Now().Add(5 * time.Second)
		for {
			after := resources()
			leaked := before.missingFrom(after)
			if leaked == "" {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("leaked: %s", leaked)
				return
			}
			time.Sleep(time.Millisecond) // allowed: paces the polling, decides nothing
		}
	})
}

// held is what a test can leave behind.
type held struct {
	goroutines  int
	stacks      string
	descriptors map[string]string // number to target
	children    []string
	mapped      []string
	files       []string
}

// module is what the stack of every goroutine of this module has in it.
const module = "example.com/parallel"

func resources() held {
	h := held{}
	var buf bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&buf, 1)
	for _, stack := range strings.Split(buf.String(), "\n\n") {
		if !strings.Contains(stack, module) || strings.Contains(stack, "testkit.resources") {
			continue
		}
		n, _ := strconv.Atoi(strings.Fields(strings.TrimSpace(stack))[0])
		if strings.Contains(stack, "testing.tRunner") {
			continue // a test, waiting for another
		}
		h.goroutines += max(n, 1)
		h.stacks += stack + "\n\n"
	}
	h.files, _ = filepath.Glob(filepath.Join(os.TempDir(), "parallel-segment-*"))
	h.mapped = mappedFiles()
	h.descriptors = Descriptors()
	tasks, _ := filepath.Glob("/proc/self/task/*/children") // Linux has them
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		h.children = append(h.children, strings.Fields(string(b))...)
	}
	return h
}

// segmentName is in the name of a segment's file, with or without a directory.
var segmentName = regexp.MustCompile(`memfd:parallel-|parallel-segment-`)

// mappedFiles are the files of segments that are mapped into this process, by number: how much
// of them is, and where, may change. There are none on systems other than Linux.
func mappedFiles() (inodes []string) {
	maps, _ := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		// from-to, access, offset, device, inode, name
		if f := strings.Fields(line); len(f) > 5 && segmentName.MatchString(f[5]) {
			inodes = append(inodes, f[4])
		}
	}
	return inodes
}

// Descriptors are the open descriptors of this process: what each number is open to. There
// are none on systems other than Linux, since they cannot be known there.
func Descriptors() map[string]string {
	open := make(map[string]string)
	if runtime.GOOS != "linux" {
		return open
	}
	startPoller()
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(target, "/proc/") {
			open[e.Name()] = target
		}
	}
	return open
}

// startPoller has the runtime open the descriptors of its poller, which it keeps.
var startPoller = sync.OnceFunc(func() {
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
})

// missingFrom says what after has more than h, or nothing.
func (h held) missingFrom(after held) string {
	var leaks []string
	if after.goroutines > h.goroutines {
		leaks = append(leaks, fmt.Sprintf("%d goroutines:\n%s", after.goroutines-h.goroutines, after.stacks))
	}
	for fd, target := range after.descriptors {
		if _, ok := h.descriptors[fd]; !ok {
			leaks = append(leaks, fmt.Sprintf("descriptor %s (%s)", fd, target))
		}
	}
	if missing(h.children, after.children) {
		leaks = append(leaks, fmt.Sprintf("child processes %v, before %v", after.children, h.children))
	}
	if missing(h.mapped, after.mapped) {
		leaks = append(leaks, fmt.Sprintf("mapped files %v, before %v", after.mapped, h.mapped))
	}
	if missing(h.files, after.files) {
		leaks = append(leaks, fmt.Sprintf("temporary files %v, before %v", after.files, h.files))
	}
	return strings.Join(leaks, "; ")
}

// missing reports whether after has something that before has not.
func missing(before, after []string) bool {
	return slices.ContainsFunc(after, func(s string) bool { return !slices.Contains(before, s) })
}
