package codec

import "syscall"

// Plan 9 has texts for both.
type (
	errno  = syscall.ErrorString
	signal = syscall.Note
)
