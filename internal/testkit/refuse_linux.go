package testkit

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Refusal is a system call that is to fail.
type Refusal struct {
	Call  uintptr
	Arg   int // with Value as this argument, from 1; 0: whatever its arguments are
	Value uint32
	Errno unix.Errno
}

// Refuse has the kernel refuse system calls to this process from now on, and to all that it
// starts, as the sandboxes of containers do.
func Refuse(refusals []Refusal) error {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equals = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
	)
	half := uint32(0) // where the lower half of an argument lies
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		half = 4
	}
	var program []unix.SockFilter
	for _, r := range refusals {
		next := uint8(1) // instructions to what follows
		if r.Arg > 0 {
			next += 2
		}
		program = append(program,
			unix.SockFilter{Code: load, K: 0}, // the number of the call
			unix.SockFilter{Code: equals, K: uint32(r.Call), Jf: next})
		if r.Arg > 0 {
			program = append(program,
				unix.SockFilter{Code: load, K: uint32(16+8*(r.Arg-1)) + half}, // of seccomp_data
				unix.SockFilter{Code: equals, K: r.Value, Jf: 1})
		}
		program = append(program, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ERRNO | uint32(r.Errno)})
	}
	program = append(program, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return errno
	}
	return nil
}
