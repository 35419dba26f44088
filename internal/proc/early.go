//go:build linux && (amd64 || arm64)

package proc

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How this process drops signals before the runtime has been told to, which takes longer than
// all else that comes before its first item: by a handler of its own, which only notes them.
// The runtime knows nothing of it and goes on as if its own handlers were installed. So what
// this process starts does with signals what is usual, and code may ask for them, which gets
// what was noted as soon as the runtime's handlers are back.

// noteSignal is the handler. It is called by the kernel, in any thread.
//
//lint:ignore U1000 its address is taken in assembly
func noteSignal()

var (
	noteSignalAddr uintptr       // of noteSignal, for the kernel
	noted          atomic.Uint32 // a bit for each signal that noteSignal was called for
)

// action is the kernel's struct sigaction, which begins with the handler.
type action struct {
	handler uintptr
	rest    [3]uint64 // flags, on amd64 the restorer, and the mask
}

// ignored is SIG_IGN of <signal.h>.
const ignored = 1

// dropEarly has the end signals dropped from now on. ok is false if it cannot. When
// catchSignals has been called, undo must be.
func dropEarly() (undo func(), ok bool) {
	before := make([]action, len(endSignals)) // zero: it was not replaced
	undo = func() {
		for i, s := range endSignals {
			if before[i].handler != 0 && !signal.Ignored(s) {
				_ = sigaction(s, &before[i], nil)
			}
		}
		raiseNoted()
	}
	for i, s := range endSignals {
		var a action
		if sigaction(s, nil, &a) != nil {
			return undo, false
		}
		if a.handler == ignored { // what this process starts is to inherit that
			continue
		}
		before[i] = a
		a.handler = noteSignalAddr
		if sigaction(s, &a, nil) != nil {
			before[i] = action{}
			return undo, false
		}
	}
	return undo, true
}

// raiseNoted sends this process the signals that were noted: code may have asked for them
// meanwhile, which the handler could not know.
func raiseNoted() {
	for i, bits := 0, noted.Swap(0); bits != 0; i, bits = i+1, bits>>1 {
		if bits&1 != 0 {
			_ = syscall.Kill(os.Getpid(), syscall.Signal(i))
		}
	}
}

// sigaction sets what is done with a signal, and returns what was done before, each unless it
// is nil.
func sigaction(s syscall.Signal, set, before *action) error {
	const setSize = 8 // of a set of signals
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(before)), setSize, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
