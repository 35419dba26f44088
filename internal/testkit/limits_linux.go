package testkit

import (
	"fmt"
	"syscall"
	"testing"
)

// LimitDescriptors lets this process open at most spare files more.
func LimitDescriptors(t *testing.T, spare int) (restore func()) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	open := Descriptors()
	limited := old
	limited.Cur = 0
	for spare >= 0 { // up to the first number that must not be used any more
		if open[fmt.Sprint(limited.Cur)] == "" {
			spare--
		}
		limited.Cur++
	}
	limited.Cur--
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limited); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	}
}
