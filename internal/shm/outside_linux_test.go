package shm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/testkit"
)

// What a system lacks, or a process has asked of it. The programs are this test binary, run once
// more, for what a process cannot undo.

const outsideEnv = "PARALLEL_TEST_SHM_OUTSIDE" // which program this process is

var outsides = map[string]func(t *testing.T){"no memory": noMemory, "locked memory": lockedMemory}

func TestProgramOutside(t *testing.T) {
	program := outsides[os.Getenv(outsideEnv)]
	if program == nil {
		t.Skip("only as a process of another test")
	}
	program(t)
	fmt.Println("lived to the end")
}

// runOutside runs a program, with attributes, and checks that it lives.
func runOutside(t *testing.T, name string, attributes *syscall.SysProcAttr) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestProgramOutside$", "-test.v")
	cmd.Env = append(os.Environ(), outsideEnv+"="+name, "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skip("there cannot be namespaces: ", err)
	case strings.Contains(string(out), "cannot be had:"):
		t.Skip(string(out))
	case err != nil || !strings.Contains(string(out), "lived to the end"):
		t.Errorf("%v\n%s", err, out)
	}
}

// cannot ends a program that cannot be run here.
func cannot(err error) {
	if err != nil {
		fmt.Println("cannot be had:", err)
		os.Exit(0)
	}
}

// TestMemoryRunsOut has mapped files on a file system that is full: who reads a hole there, or
// writes to one, is sent SIGBUS.
func TestMemoryRunsOut(t *testing.T) {
	runOutside(t, "no memory", &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	})
}

func noMemory(t *testing.T) {
	dir := os.Getenv("TMPDIR")
	const size = 2 << 20
	cannot(unix.Mount("none", dir, "tmpfs", 0, fmt.Sprint("size=", size)))
	f := files{sealed: true}
	for name, f := range map[string]**os.File{"up": &f.up, "down": &f.down} {
		var err error
		if *f, err = os.Create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.up.Truncate(upSize), f.down.Truncate(downSize)); err != nil {
		t.Fatal(err)
	}
	s := newSegment(f, new(Options))
	defer s.Close()
	s.mapWords()
	data := bytes.Repeat([]byte{7}, 100_000)
	for range 2 {
		if _, ok := s.PutItems(0, data, goOn); !ok {
			t.Fatal("the segment takes no items")
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rest"), make([]byte, size), 0o600); err == nil {
		t.Error("the file system is not full")
	}
	if _, ok := s.PutItems(1, data, goOn); ok {
		t.Error("more items are taken than there is memory for")
	}
	if _, ok := s.PutItems(0, data, goOn); !ok {
		t.Error("a slot that has memory takes no items")
	}
	if err := s.ReadResults(data, RingsAt); err != errFault {
		t.Errorf("a hole was read that no memory can fill: %v", err)
	}
	if _, ok := s.Running(); ok {
		t.Error("a hole says what is running")
	}
	if err := s.words.load(make([]uint64, 8)); err != errFault {
		t.Errorf("words in a hole: %v", err)
	}
	punchHole(s.down, 0, 4096)
	if err := os.WriteFile(filepath.Join(dir, "page"), make([]byte, size), 0o600); err == nil {
		t.Error("there was more memory")
	}
	s.Taken(1)
	s.RingDoorbell(1)
	if err := s.told.store(wordTaken, 1); err != errFault {
		t.Errorf("a word was written to a hole that no memory can fill: %v", err)
	}
	s.Trim()
}

// TestLockedMemory has a process lock all that it will map, as some do that keep secrets: what is
// mapped takes memory then, at once.
func TestLockedMemory(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector maps too much for that")
	}
	runOutside(t, "locked memory", nil)
}

func lockedMemory(t *testing.T) {
	data := make([]byte, min(5<<20, stride))
	cannot(unix.Mlockall(unix.MCL_FUTURE))
	before := lockedKiB(t)
	s, err := Create(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for slot := range Slots {
		for range 2 {
			if _, ok := s.PutItems(slot, make([]byte, 100_000), goOn); !ok {
				t.Error("the segment takes no items")
			}
		}
	}
	for ring := range rings {
		if err := s.ReadResults(make([]byte, 100), RingsAt+ring*stride); err != nil {
			t.Error(err)
		}
	}
	// This process's own memory may grow by a little.
	most := ((Slots+rings)*keep+2*4096)>>10 + 4<<10
	if took := lockedKiB(t) - before; (took > 0) != (s.words.mem != nil) || took > most {
		t.Errorf("%d KiB are locked, want at most %d", took, most)
	}
	for range 2 { // they may be more than may be locked
		if _, ok := s.PutItems(0, data, goOn); !ok {
			t.Error("the segment takes no items")
		}
	}
	if s.Trim(); lockedKiB(t)-before > most {
		t.Errorf("after Trim %d KiB are locked", lockedKiB(t)-before)
	}
}

func lockedKiB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmLck:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAddressesRunOut has the process have not as many addresses left as a slot has bytes that
// are used. They are written as a file then.
func TestAddressesRunOut(t *testing.T) {
	largeStride(t)
	if testkit.Race {
		t.Skip("the race detector needs the addresses")
	}
	s, m := shared(t)
	data := bytes.Repeat([]byte{7}, mapMost)
	if _, ok := s.PutItems(0, data, goOn); !ok {
		t.Fatal("the segment takes no items")
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &old); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[0])
	if err != nil {
		t.Fatal(err)
	}
	data[0]++
	limited := old
	limited.Cur = uint64(pages*os.Getpagesize() + mapMost/2)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &limited); err != nil {
		t.Fatal(err)
	}
	at, ok := s.PutItems(0, data, goOn)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &old); err != nil {
		t.Fatal(err)
	}
	if !ok || len(s.slots[0].mem) == mapMost {
		t.Errorf("%v, %d bytes are mapped", ok, len(s.slots[0].mem))
	}
	if got, err := m.Items(at, len(data)); err != nil || !bytes.Equal(got, data) {
		t.Error("other items are put in: ", err)
	}
}
