// Package cost is what an item takes: one estimate, one averaging rule, one clock.
//
// What is right for a function depends on what its items take. A helper goroutine takes
// tens of microseconds to arrive, so that for less work than that a plain loop wins, and a
// chunk of items should last long against the cost of claiming it. Items are measured many
// at a time, because a look at the clock costs more than a tiny item.
//
// The package knows neither calls nor workers. Its types need no lock: they are safe for
// concurrent use, and a measurement that is lost in a race is made again.
package cost

import (
	"math"
	"sync/atomic"
	"time"
)

// scale makes a fraction of a nanosecond count.
const scale = 1024

// Estimate is what an item takes, as far as it was measured. The zero value knows nothing.
type Estimate struct {
	scaled atomic.Int64 // nanoseconds × scale; 0: nothing is known
}

// Learn takes in that n items took so long together. A measurement that is lower than the
// estimate replaces it. One that is higher moves it half of the way: the machine may have
// been busy with something else, which makes items look dearer and never cheaper.
// Differences of a quarter down or a third up count as noise, and change nothing: a word that
// many processors write is dear.
func (e *Estimate) Learn(n int, took time.Duration) {
	fresh, known := measured(n, took), e.scaled.Load()
	switch {
	case fresh == 0:
	case known == 0 || fresh < known/4*3:
		e.scaled.Store(fresh)
	case dearer(fresh, known):
		e.scaled.Store(known/2 + fresh/2)
	}
}

// Raises reports whether Learn would raise what is known already.
func (e *Estimate) Raises(n int, took time.Duration) bool {
	known := e.scaled.Load()
	return known > 0 && dearer(measured(n, took), known)
}

// measured is what an item takes, scaled, if n take so long; 0 if nothing was measured.
func measured(n int, took time.Duration) int64 {
	if n <= 0 || took <= 0 {
		return 0
	}
	return max(1, mulDiv(int64(took), scale, int64(n)))
}

func dearer(fresh, known int64) bool { return fresh > known/3*4 }

// Start makes the estimate start from what another knows.
func (e *Estimate) Start(from *Estimate) { e.scaled.Store(from.scaled.Load()) }

// Set makes an item take d.
func (e *Estimate) Set(d time.Duration) { e.scaled.Store(mulDiv(int64(d), scale, 1)) }

// Known reports whether anything has been measured.
func (e *Estimate) Known() bool { return e.scaled.Load() > 0 }

// Items is how many items take d: at least 1, and 1 while nothing is known.
func (e *Estimate) Items(d time.Duration) int {
	known := e.scaled.Load()
	if known == 0 {
		return 1
	}
	return int(min(max(1, mulDiv(int64(d), scale, known)), math.MaxInt))
}

// Of is what n items take; 0 while nothing is known.
func (e *Estimate) Of(n int) time.Duration {
	return time.Duration(mulDiv(e.scaled.Load(), int64(n), scale))
}

// Within reports whether n items are known to take no more than d together.
func (e *Estimate) Within(n int, d time.Duration) bool {
	known, most := e.scaled.Load(), int64(d)*scale
	return known > 0 && int64(n) <= most/known
}

// Less reports whether an item is known to take less than d.
func (e *Estimate) Less(d time.Duration) bool {
	known := e.scaled.Load()
	return known > 0 && known/scale < int64(d)
}

// mulDiv is a*b/c, or the largest number where a*b is larger than that.
func mulDiv(a, b, c int64) int64 {
	if b != 0 && a > math.MaxInt64/b {
		return math.MaxInt64 / c
	}
	return a * b / c
}
