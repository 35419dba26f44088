package proc

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// executedAs is the name by which the kernel has found this program's file; empty if it does
// not say.
func executedAs() string {
	const atExecFn = 31 // AT_EXECFN of <linux/auxvec.h>: a string that stays
	vector, _ := unix.Auxv()
	for _, entry := range vector {
		if entry[0] == atExecFn {
			return unix.BytePtrToString(*(**byte)(unsafe.Pointer(&entry[1])))
		}
	}
	return ""
}
