package pipe

import (
	"testing"
	"testing/synctest"
)

// TestSpinGivesUp has a Reader spin in vain, until it only tries now and then, and then
// with success, until it always does again.
func TestSpinGivesUp(t *testing.T) {
	r, w := newTestReader(t)
	for range spinMisses {
		if r.spin() {
			t.Fatal("there is nothing to read")
		}
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// found is how many of so many waits find what is there.
	found := func(waits int) (n int) {
		for range waits {
			if r.spin() {
				n++
			}
		}
		return n
	}
	if n := found(spinAgain); n != 1 {
		t.Errorf("%d of %d waits after %d in vain have spun, want 1", n, spinAgain, spinMisses)
	}
	if n := found(100); n != 100 {
		t.Errorf("%d of 100 waits after one with success have spun", n)
	}
	if r.misses != 0 {
		t.Errorf("%d misses are remembered after 101 hits", r.misses)
	}
}

// TestSpinEndsWhereTheClockStandsStill spins in a bubble, where no time passes.
func TestSpinEndsWhereTheClockStandsStill(t *testing.T) {
	r, _ := newTestReader(t)
	synctest.Test(t, func(t *testing.T) {
		if r.spin() {
			t.Error("there is nothing to read")
		}
	})
}
