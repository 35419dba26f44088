package shm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func create(inFile bool) (*Segment, error) {
	if inFile {
		return createFile()
	}
	fd, err := unix.MemfdCreate("parallel-segment", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return sized(os.NewFile(uintptr(fd), "segment")), nil
}

// punchHole gives back the memory of n bytes of the file. What is read there afterwards is
// zero. If it cannot be done, the memory comes back with the worker's end.
func punchHole(f *os.File, at, n int64) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, n)
	})
}
