package parallel

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// newTestInlet returns an inlet and the end of its pipe that is written to.
func newTestInlet(t *testing.T) (*inlet, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := newInlet(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		w.Close()
	})
	return in, w
}

func TestInletReadsToTheEnd(t *testing.T) {
	checkLeaks(t)
	in, w := newTestInlet(t)
	const n = 1 << 20 // more than fits into a pipe
	go func() {
		defer w.Close()
		for i := 0; i < n; i += 1000 {
			if _, err := w.Write(make([]byte, min(1000, n-i))); err != nil {
				t.Error(err)
			}
		}
	}()
	b, err := io.ReadAll(in)
	if len(b) != n || err != nil {
		t.Errorf("%d bytes, %v, want %d", len(b), err, n)
	}
	if n, err := in.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

// TestInletMissesNothing has two goroutines answer each other through two inlets, and
// wait by the poller, in a system call first, or in one that is over at once.
func TestInletMissesNothing(t *testing.T) {
	checkLeaks(t)
	hither, there := newTestInlet(t)
	thither, here := newTestInlet(t)
	const rounds = 1000
	read := func(in *inlet, i int) byte {
		switch i % 3 {
		case 0:
			in.linger(lingerTime)
		case 1:
			in.linger(0)
		}
		var b [1]byte
		if _, err := in.Read(b[:]); err != nil {
			t.Error(err)
		}
		return b[0]
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds {
			if _, err := there.Write([]byte{read(thither, i/3)}); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range rounds {
		if _, err := here.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if got := read(hither, i); got != byte(i) {
			t.Fatalf("%d in round %d", got, i)
		}
	}
	<-done
}

func TestInletDeadline(t *testing.T) {
	checkLeaks(t)
	in, w := newTestInlet(t)
	read := make(chan error)
	go func() {
		_, err := in.Read(make([]byte, 1))
		read <- err
	}()
	if err := in.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if _, err := in.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: error %v", err)
	}
	// Not even what is there is read then: a process that never stops to write would
	// never be done with.
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %d, %v", n, err)
	}
	if err := in.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := in.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	go w.Write([]byte("y"))
	if n, err := in.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestLingerIsOverInTime(t *testing.T) {
	in, w := newTestInlet(t)
	in.linger(time.Millisecond) // nothing comes
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	in.linger(time.Hour)
	w.Close()
	in.Read(make([]byte, 1))
	in.linger(time.Hour) // the end is something to read
}
