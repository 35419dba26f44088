package shm

import (
	"encoding/binary"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// create makes the two files of memory that has no name. Neither can be made shorter or
// longer, by whichever process. The worker's descriptor of what the parent writes can only
// be read from, for which it is opened again, through /proc.
func create(o Options) (f files, err error) {
	if !o.InFile {
		f, err = createMemory(o)
	}
	if o.InFile || err != nil {
		return createFiles(o)
	}
	return f, nil
}

func createMemory(o Options) (f files, err error) {
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	var sealed [2]bool
	if f.up, sealed[0], err = memory(o, "parallel-worker", upSize); err != nil {
		return f, err
	}
	if f.down, sealed[1], err = memory(o, "parallel-parent", downSize); err != nil {
		return f, err
	}
	f.sealed = sealed == [2]bool{true, true}
	if err = o.fault("proc"); err == nil {
		f.readOnly, err = os.Open("/proc/self/fd/" + strconv.Itoa(int(f.down.Fd())))
	}
	return f, err
}

// memory makes a file of memory of that size. If it cannot be sealed, it is used unsealed:
// then the parent does not map it.
func memory(o Options, name string, size int64) (f *os.File, sealed bool, err error) {
	if err := o.fault("memfd"); err != nil {
		return nil, false, err
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, false, os.NewSyscallError("memfd_create", err)
	}
	f = os.NewFile(uintptr(fd), name)
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, false, err
	}
	if o.fault("seal") == nil {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
		sealed = err == nil
	}
	return f, sealed, nil
}

// reserve takes room on the disk for the words, the results buffer, and each ring until it is
// full, and tells the worker how far that is: where there is no room, a write to its mapping
// would end it. The parent notices by itself.
func reserve(up, down *os.File) error {
	room := [8]byte{}
	binary.NativeEndian.PutUint64(room[:], ringReserve)
	if _, err := down.WriteAt(room[:], wordRoom); err != nil {
		return err
	}
	err := allocate(up, 0, RingsAt)
	for ring := range rings {
		if err == nil {
			err = allocate(up, int64(RingsAt)+int64(ring)*stride, ringReserve)
		}
	}
	return err
}

func allocate(f *os.File, at, n int64) (err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var refusal error
	err = conn.Control(func(fd uintptr) { refusal = unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, at, n) })
	return errors.Join(err, os.NewSyscallError("fallocate", refusal))
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
