//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package shm

import (
	"errors"
	"os"
	"syscall"
)

// createFiles makes the two files in the directory for temporary files, where they lose their
// names at once.
func createFiles(o Options) (f files, err error) {
	if f.up, _, err = createFile(o, upSize, false); err == nil {
		f.down, f.readOnly, err = createFile(o, downSize, true)
	}
	if err == nil {
		err = reserve(f.up, f.down)
	}
	if err != nil {
		f.close()
	}
	return f, err
}

// createFile makes a file of that size, and opens it a second time for reading only.
func createFile(o Options, size int64, twice bool) (f, readOnly *os.File, err error) {
	if err := o.fault("file"); err != nil {
		return nil, nil, err
	}
	if f, err = os.CreateTemp("", "parallel-segment-*"); err != nil {
		return nil, nil, err
	}
	if twice {
		readOnly, err = os.Open(f.Name())
	}
	err = errors.Join(err, os.Remove(f.Name()))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		(&files{up: f, readOnly: readOnly}).close()
		return nil, nil, err
	}
	return f, readOnly, nil
}

// mapFile maps the first size bytes of f, to be read or also to be written.
func mapFile(f *os.File, size int, write bool) ([]byte, error) {
	prot := syscall.PROT_READ
	if write {
		prot |= syscall.PROT_WRITE
	}
	return syscall.Mmap(int(f.Fd()), 0, size, prot, syscall.MAP_SHARED)
}

func unmap(b []byte) { _ = syscall.Munmap(b) }
