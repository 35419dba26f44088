package proc

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/testkit"
)

// TestPipes checks which ends of pipes the poller knows, and that those which workers inherit
// block: what a worker starts cannot be told that its output does not.
func TestPipes(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, d := range []direction{outward, inward} {
		for _, polled := range []bool{false, true} {
			our, their, err := makePipe(d, polled)
			if err != nil {
				t.Fatal(err)
			}
			if err := our.SetDeadline(time.Time{}); (err == nil) != polled {
				t.Errorf("direction %v, polled %v: a deadline of our end: %v", d, polled, err)
			}
			if nonblocking(t, their) {
				t.Errorf("direction %v, polled %v: the other end does not block", d, polled)
			}
			from, to := their, our
			if d == inward {
				from, to = our, their
			}
			b := make([]byte, 1)
			if _, err := to.Write([]byte{'!'}); err != nil {
				t.Error(err)
			} else if _, err := from.Read(b); err != nil || b[0] != '!' {
				t.Errorf("direction %v, polled %v: read %q, %v", d, polled, b, err)
			}
			our.Close()
			their.Close()
		}
	}
}

// TestPolledFileWithoutAPoller has the poller not take a file, which then blocks.
func TestPolledFileWithoutAPoller(t *testing.T) {
	fd, err := unix.Open(filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f := polledFile(fd) // the poller takes no regular files
	defer f.Close()
	if err := f.SetDeadline(time.Time{}); !errors.Is(err, os.ErrNoDeadline) {
		t.Fatalf("the poller takes a regular file: %v", err)
	}
	if nonblocking(t, f) {
		t.Error("it does not block")
	}
}

func nonblocking(t *testing.T, f *os.File) bool {
	t.Helper()
	flags := 0
	err := control(f, func(fd uintptr) (err error) {
		flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}
