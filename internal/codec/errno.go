//go:build !plan9

package codec

import "syscall"

// The types of what system calls return and of signals.
type (
	errno  = syscall.Errno
	signal = syscall.Signal
)
