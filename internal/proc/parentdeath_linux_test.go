package proc

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/testkit"
)

// TestOrderOfEnds makes a parent-death pipe whose ends have their numbers the wrong way round.
func TestOrderOfEnds(t *testing.T) {
	testkit.CheckLeaks(t)
	numbers := func(l *parentDeath) (near, far uintptr) {
		_ = control(l.near, func(fd uintptr) error { near = fd; return nil })
		_ = control(l.far, func(fd uintptr) error { far = fd; return nil })
		return near, far
	}
	low, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &parentDeath{near: w, far: r}
	defer l.Close()
	low.Close() // whose number is free
	err = control(w, func(fd uintptr) error {
		n, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		l.near = os.NewFile(uintptr(n), "near")
		return err
	})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if near, far := numbers(l); near > far {
		t.Fatalf("the ends have the numbers %d and %d from the beginning", near, far)
	}
	l.arm()
	if near, far := numbers(l); near < far || !l.armed {
		t.Errorf("the ends have the numbers %d and %d, armed: %v", near, far, l.armed)
	}
}
