package proc

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"example.com/parallel/internal/testkit"
)

// mapped maps n bytes and touches them.
func mapped(t *testing.T, n, flags int, fd int) {
	t.Helper()
	b, err := syscall.Mmap(fd, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(b) })
	for i := 0; i < n; i += os.Getpagesize() {
		b[i] = 1
	}
}

func TestOpenResident(t *testing.T) {
	testkit.CheckLeaks(t)
	before := descriptors(t)
	size, err := OpenResident()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	for n := range descriptors(t) {
		if !before[n] {
			fd = n
		}
	}
	defer func() { _ = syscall.Close(fd) }()
	measure := func() int64 {
		n, err := size()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	const much = 64 << 20
	start := measure()
	mapped(t, much, syscall.MAP_ANON|syscall.MAP_PRIVATE, -1)
	own := measure()
	if grew := own - start; grew < much || grew > 2*much {
		t.Errorf("it has grown by %d bytes, want %d", grew, much)
	}
	mapped(t, much, syscall.MAP_ANON|syscall.MAP_SHARED, -1)
	if grew := measure() - own; grew > much/2 {
		t.Errorf("it has grown by %d bytes, which are shared", grew)
	}
	if parents, err := resident(os.Getpid()); err != nil || parents < own || parents > own+much/2 {
		t.Errorf("seen from outside it has %d bytes, %v, and %d from inside", parents, err, own)
	}
	if n := testing.AllocsPerRun(100, func() { measure() }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}

	if err := syscall.Close(fd); err != nil {
		t.Fatal(err)
	}
	if n := measure(); n < much {
		t.Errorf("with its descriptor closed it has %d bytes", n)
	}
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
		t.Errorf("what is started inherits descriptor %d: %d, %v", fd, flags, errno)
	}
}

// descriptors are those that this process has open.
func descriptors(t *testing.T) map[int]bool {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := make(map[int]bool)
	for _, e := range entries {
		n, _ := strconv.Atoi(e.Name())
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasSuffix(link, "/fd") {
			open[n] = true
		}
	}
	return open
}

func TestParseStatm(t *testing.T) {
	page := int64(os.Getpagesize())
	for _, test := range []struct {
		line string
		want int64
		ok   bool
	}{
		{"765 413 385 5 0 123 0\n", 28 * page, true},
		{"1 2 3 4 5 6 7\n", 0, true}, // the three are not counted at once
		{"765 413", 0, false},
		{"765 413 385", 0, false}, // it is cut
		{"a b c d", 0, false},
		{"", 0, false},
	} {
		if n, err := parseStatm([]byte(test.line)); n != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %d, %v", test.line, n, err)
		}
	}
	if CanMeasure() != nil {
		t.Error(CanMeasure())
	}
}
