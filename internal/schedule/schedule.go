package schedule

import (
	"context"
	"math"
	"sync/atomic"

	"example.com/parallel/internal/cost"
)

// Span is the items [Lo, Hi).
type Span struct{ Lo, Hi int }

// Len is the number of items in s.
func (s Span) Len() int { return s.Hi - s.Lo }

// NoBound is the bound of a call that nothing limits.
const NoBound = math.MaxInt64

// Job is the typed side of a call: it runs items in this process.
type Job interface {
	// Run calls fn on the items of s one after the other and stores the results, until one
	// fails or yield is raised: it looks at that after each item, so the first is run in any
	// case. It leaves *at at the first item that it has not run, or at the one that failed,
	// also if fn panics or calls Goexit, which passes through it.
	Run(ctx context.Context, s Span, at *int, yield *atomic.Uint32) error
}

// Yielder is a Job, or what stays with a [Slot], that is told when yield is raised and when
// it is taken back, so that its loop need not look at yield.
type Yielder interface{ Yield(raised bool) }

// Failure is a failed item.
type Failure struct {
	Index int
	Err   error // as Errors.Item made it
}

// Errors makes the errors that users see. Its methods may run code of the user's (methods
// of errors), so they are called while no lock is held. They are safe for concurrent use.
type Errors interface {
	// Item is the failure of item index with err. cause, if not nil, is why the call had
	// been ended by then.
	Item(index int, err, cause error) error

	// Recovered is the error of what recover returned in a deferred function, and is called
	// in that function, while the stack is there. v is nil after runtime.Goexit.
	Recovered(v any) error

	// Ended is the error of a call that stopped after done of total items because of cause.
	// total is −1 if it is not known. also is the error of the call's context or nil, and
	// is dropped if cause wraps it.
	Ended(done, total int, cause, also error) error

	// Join is the error of a call that kept going. The failures are in index order, and
	// there is at least one.
	Join(failures []Failure) error
}

// Config is what a call is made of. It does not change.
type Config struct {
	KeepGoing bool                  // run every item, report every failure
	Workers   int                   // the most that run items at once, at least 1; New lowers it to Total
	Total     int                   // number of items; −1: they come by Extend until CloseInput
	First     int                   // the items before it have been run already
	Cost      *cost.Function        // what is known of fn; only RunGoroutines needs it
	Progress  func(done, total int) // called for each item that ended, never twice at once; nil: none
	Errors    Errors
	Stream    Stream // takes the failures; nil: they are kept for Outcome
}

// Stream takes the failures of a call in place of Outcome. Its methods are called with the
// call's lock held: they may take the stream's lock, and must not call the call.
type Stream interface {
	Failed(Failure)
	Bounded() // the call's end has come nearer
}

// Claimant runs claimed items and hears of the call. Its methods are called with the call's
// lock held: they must not call the call, nor block.
type Claimant interface {
	Starved()       // a claim waits for items that other workers hold
	Bounded()       // the call's end has come nearer
	Returned(n int) // n items were given back
}

// noClaimant is the Claimant of a call that has none yet.
type noClaimant struct{}

func (noClaimant) Starved()     {}
func (noClaimant) Bounded()     {}
func (noClaimant) Returned(int) {}
