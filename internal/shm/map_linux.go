package shm

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// mapPart maps n bytes of f, from a page on. old is what was mapped of that before: its
// memory need not be looked for again. It is not valid any more, unless there is an error.
func mapPart(f *os.File, at, n int, write bool, old []byte) (b []byte, err error) {
	if old != nil {
		return unix.Mremap(old, n, unix.MREMAP_MAYMOVE)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	prot := unix.PROT_READ
	if write {
		prot |= unix.PROT_WRITE
	}
	var refusal error
	err = conn.Control(func(fd uintptr) { b, refusal = unix.Mmap(int(fd), int64(at), n, prot, unix.MAP_SHARED) })
	return b, errors.Join(err, os.NewSyscallError("mmap", refusal))
}

// unmapPart gives back the addresses of what mapPart has mapped.
func unmapPart(b []byte) { _ = unix.Munmap(b) }
