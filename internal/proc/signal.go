//go:build !plan9

package proc

import (
	"os"
	"syscall"
)

// SignalNumber is the number of s, which is the same in every process of this machine; −1 if
// s is nil or has none.
func SignalNumber(s os.Signal) int64 {
	if s, ok := s.(syscall.Signal); ok {
		return int64(s)
	}
	return -1
}

// Signal is the signal with that number; nil if it is negative.
func Signal(number int64) os.Signal {
	if number < 0 {
		return nil
	}
	return syscall.Signal(number)
}
