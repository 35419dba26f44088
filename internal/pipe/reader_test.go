package pipe

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"example.com/parallel/internal/testkit"
)

// newTestReader returns a Reader and the end of its pipe that is written to. The test fails
// if something is left open when both are closed.
func newTestReader(t *testing.T) (*Reader, *os.File) {
	t.Helper()
	testkit.CheckLeaks(t)
	f, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

func TestReaderReadsToTheEnd(t *testing.T) {
	r, w := newTestReader(t)
	const n = 1 << 20 // more than fits into a pipe
	go func() {
		defer w.Close()
		for i := 0; i < n; i += 1000 {
			if _, err := w.Write(make([]byte, min(1000, n-i))); err != nil {
				t.Error(err)
			}
		}
	}()
	b, err := io.ReadAll(r)
	if len(b) != n || err != nil {
		t.Errorf("%d bytes, %v, want %d", len(b), err, n)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

// TestReaderMissesNothing has two goroutines answer each other through two Readers, and
// wait by the poller, in a system call first, or in one that is over at once.
func TestReaderMissesNothing(t *testing.T) {
	hither, there := newTestReader(t)
	thither, here := newTestReader(t)
	const rounds = 1000
	read := func(r *Reader, i int) byte {
		switch i % 3 {
		case 0:
			r.Poll(200 * time.Microsecond)
		case 1:
			r.Poll(0)
		}
		var b [1]byte
		if _, err := r.Read(b[:]); err != nil {
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

func TestReaderDeadline(t *testing.T) {
	r, w := newTestReader(t)
	read := make(chan error)
	go func() {
		_, err := r.Read(make([]byte, 1))
		read <- err
	}()
	if err := r.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: error %v", err)
	}
	// Not even what is there is read then: there would be no end to a process that writes
	// without a pause.
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %d, %v", n, err)
	}
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	wrote := make(chan error)
	go func() {
		_, err := w.Write([]byte("y"))
		wrote <- err
	}()
	if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

func TestPollIsOverInTime(t *testing.T) {
	r, w := newTestReader(t)
	r.Poll(time.Millisecond) // nothing comes
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r.Poll(time.Hour)
	w.Close()
	if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	r.Poll(time.Hour) // the end is something to read
}

func TestReaderOfAClosedFile(t *testing.T) {
	testkit.CheckLeaks(t)
	f, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f.Close()
	r, err := NewReader(f)
	if err == nil {
		_, err = r.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("no error")
	}
}
