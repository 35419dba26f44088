//go:build unix

package clock_test

import (
	"syscall"
	"testing"
	"time"

	"example.com/parallel/internal/clock"
)

// TestTimerWithoutDescriptors has a timer by the system's clock that gets no pipe.
func TestTimerWithoutDescriptors(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) }()
	fired := make(chan struct{}, 1)
	timer := clock.Clock{System: true}.AfterFunc(time.Millisecond, func() { fired <- struct{}{} })
	for range 3 {
		<-fired
		if timer.Stop() {
			t.Error("it is set after it has gone off")
		}
		if timer.Reset(time.Millisecond) {
			t.Error("it was set after it had gone off")
		}
	}
	<-fired
	if timer.Reset(time.Hour) || !timer.Reset(time.Hour) || !timer.Stop() || timer.Stop() {
		t.Error("it does not say whether it was set")
	}
}
