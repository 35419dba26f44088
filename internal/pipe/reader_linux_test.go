package pipe

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"example.com/parallel/internal/testkit"
)

// TestSpinGivesUp has a Reader spin in vain, until it only tries now and then, and then
// with success, until it always does again.
func TestSpinGivesUp(t *testing.T) {
	r, w := newTestReader(t)
	for range spinMisses {
		if r.spin() {
			t.Fatal("there is nothing to read")
		}
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// found is how many of so many waits find what is there.
	found := func(waits int) (n int) {
		for range waits {
			if r.spin() {
				n++
			}
		}
		return n
	}
	if n := found(spinAgain); n != 1 {
		t.Errorf("%d of %d waits after %d in vain have spun, want 1", n, spinAgain, spinMisses)
	}
	if n := found(100); n != 100 {
		t.Errorf("%d of 100 waits after one with success have spun", n)
	}
	if r.misses != 0 {
		t.Errorf("%d misses are remembered after 101 hits", r.misses)
	}
}

// TestSpinEndsWhereTheClockStandsStill spins in a bubble, where no time passes.
func TestSpinEndsWhereTheClockStandsStill(t *testing.T) {
	r, _ := newTestReader(t)
	synctest.Test(t, func(t *testing.T) {
		if r.spin() {
			t.Error("there is nothing to read")
		}
	})
}

// TestReaderWithoutEpoll has no descriptors for what a Reader takes besides the pipe, then one,
// until there are enough. It reads all the same.
func TestReaderWithoutEpoll(t *testing.T) {
	for spare := 0; ; spare++ {
		plain := false
		t.Run(fmt.Sprint("spare=", spare), func(t *testing.T) {
			testkit.CheckLeaks(t)
			f, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			restore := testkit.LimitDescriptors(t, spare)
			r, err := NewReader(f)
			restore()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			plain = r.plain != nil
			useReader(t, r, w)
		})
		if !plain {
			if spare < 2 {
				t.Errorf("%d descriptors are enough", spare)
			}
			return
		}
	}
}

// useReader reads, polls, and waits for a deadline and for the end.
func useReader(t *testing.T, r *Reader, w *os.File) {
	t.Helper()
	if r.Poll(time.Millisecond) {
		t.Error("something comes")
	}
	if err := r.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error)
	go func() {
		_, err := w.Write([]byte("hello"))
		wrote <- err
	}()
	b := make([]byte, 10)
	if n, err := r.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	w.Close()
	if !r.Poll(time.Hour) {
		t.Error("the end is nothing to read")
	}
	if n, err := r.Read(b); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}
