//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package shm

import (
	"os"
	"syscall"
)

// createFile makes a segment of a file that has lost its name.
func createFile() (*Segment, error) {
	f, err := os.CreateTemp("", "parallel-segment-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return sized(f), nil
}

// sized returns the segment in f, which it makes as large as one; nil, with f closed, if
// this process may not have a file of that size.
func sized(f *os.File) *Segment {
	if err := f.Truncate(Size); err != nil {
		f.Close()
		return nil
	}
	return New(f)
}

func mapFile(f *os.File) ([]byte, error) {
	return syscall.Mmap(int(f.Fd()), 0, Size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}
