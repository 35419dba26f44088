//go:build !linux

package pipe

import (
	"os"
	"time"
)

// Reader is the reading end of a pipe from one process to another. One goroutine at a
// time may read it; its other methods may be called from others.
type Reader struct{ f *os.File }

// NewReader returns a Reader of f, which it takes over.
func NewReader(f *os.File) (*Reader, error) { return &Reader{f}, nil }

// NewPlainReader returns the same: there is no other kind.
func NewPlainReader(f *os.File) *Reader { return &Reader{f} }

// Read waits, by the runtime's poller, until there is something to read.
func (r *Reader) Read(b []byte) (int, error) { return r.f.Read(b) }

// Poll returns at once: Read does all the waiting.
func (r *Reader) Poll(time.Duration) bool { return false }

// SetReadDeadline is as for an os.File.
func (r *Reader) SetReadDeadline(t time.Time) error { return r.f.SetReadDeadline(t) }

// Close closes the pipe's reading end.
func (r *Reader) Close() error { return r.f.Close() }
