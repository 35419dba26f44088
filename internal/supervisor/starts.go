package supervisor

import "time"

// starts decides what a failed start of a worker means for the pool: whether another is
// tried, when, and which of the calls that wait for a worker end because of it. It computes
// and does nothing else: it has no lock, starts nothing, and is told the time. The pool's
// mutex guards it.
//
// As long as a worker lives, no failed start ends a call: it goes on with fewer workers.
// With none alive, a call ends when
//
//	no try can succeed             at once (no such executable, another build, …)
//	a start was too slow           at once, if no worker of the pool has ever been ready
//	leastTries have failed in a row, and the call has waited for patience
//
// A worker that dies before it could be given an item counts as a failed start, and a start
// has only succeeded when its worker was given one: else a worker that always comes as far
// as that would be started again and again. Starts that were under way at the same time
// fail together, and count as one.
//
// After a failure one start is tried at a time, since the reason may be that there is not
// enough of something for two of them; each success doubles how many are.
type starts struct {
	pace     pace
	pending  int           // under way
	limit    int           // how many may be; 0: any number
	wasReady bool          // a worker of the pool has been ready
	row      int           // failures in a row
	worst    failure       // of the row
	failedAt time.Duration // when the row's last failure was counted
	retryAt  time.Duration // while there is a row, no start begins before
}

// pace is how long it takes until starts are given up.
type pace struct {
	first    time.Duration // from the first failure in a row to the next try; then it is delayGrowth times as long
	longest  time.Duration // from one try to the next
	patience time.Duration // how long a call waits at least before it ends
}

const (
	leastTries  = 5
	delayGrowth = 3
)

// usualPace tries five times in 1.2 s.
var usualPace = pace{first: 30 * time.Millisecond, longest: time.Second, patience: time.Second}

// failure says how a start has failed, the more hopeless the greater.
type failure uint8

const (
	passing  failure = iota // another may succeed
	tooSlow                 // it ran out of StartTimeout
	hopeless                // none can succeed
)

// outlook is what a failed start means for the calls that wait for a worker.
type outlook uint8

const (
	tryAgain   outlook = iota // they go on waiting
	endPatient                // those that have waited for patience end
	endAll                    // all of them end
)

// wait says whether a start may begin now. If not, in how long one may; 0 is not before one
// that is under way has ended.
func (s *starts) wait(now time.Duration) (d time.Duration, may bool) {
	switch {
	case s.limit > 0 && s.pending >= s.limit:
		return 0, false
	case s.row > 0 && now < s.retryAt:
		return s.retryAt - now, false
	}
	return 0, true
}

// begin takes in that a start begins. A row in which nothing was tried for long, since no
// call has wanted a worker, is none any more.
func (s *starts) begin(now time.Duration) {
	if s.row > 0 && now-s.retryAt > s.pace.longest {
		s.restart()
	}
	s.pending++
}

// ready takes in that a start has come to a worker which can be given an item.
func (s *starts) ready() {
	s.pending--
	s.wasReady = true
}

// reliable is how many workers will come by what is known. Of starts that are tried again
// none may.
func (s *starts) reliable() int {
	if s.row > 0 {
		return 0
	}
	return s.pending
}

// used takes in that a worker was given its first item, or was not needed for one.
func (s *starts) used() {
	s.restart()
	if s.limit *= 2; s.limit > 1<<16 {
		s.limit = 0
	}
}

// alone takes in that the last living worker has died, which had been given an item: what
// failed beside it does not count any more.
func (s *starts) alone() { s.restart() }

// restart ends the row: starts are tried as if none had failed, but one at a time.
func (s *starts) restart() { s.row, s.worst = 0, passing }

// failed takes in that a start has failed that began at begun, while living workers live.
func (s *starts) failed(now, begun time.Duration, how failure, living int) outlook {
	s.pending--
	return s.count(now, begun, how, living)
}

// diedUnused takes in that a worker has died that was ready and had not been given an item.
// Its start began at begun. living are the others.
func (s *starts) diedUnused(now, begun time.Duration, living int) outlook {
	return s.count(now, begun, passing, living)
}

func (s *starts) count(now, begun time.Duration, how failure, living int) outlook {
	s.limit = 1
	s.worst = max(s.worst, how)
	if s.row == 0 || begun > s.failedAt {
		s.row++
		s.failedAt = now
	}
	s.retryAt = s.failedAt + s.delay()
	switch {
	case living > 0 || s.pending > 0:
		return tryAgain
	case s.worst == hopeless, s.worst == tooSlow && !s.wasReady:
		return endAll
	case s.row >= leastTries:
		return endPatient
	}
	return tryAgain
}

// delay is the time from the row's last failure to the next try.
func (s *starts) delay() time.Duration {
	if s.worst == hopeless {
		return s.pace.longest
	}
	d := s.pace.first
	for range s.row - 1 {
		if d *= delayGrowth; d >= s.pace.longest {
			return s.pace.longest
		}
	}
	return d
}

// patient reports whether a call that has waited for waited is to end, though no start has
// failed just now: leastTries have failed before, while it had a worker that died unused.
func (s *starts) patient(waited time.Duration, living int) bool {
	return s.row >= leastTries && living == 0 && s.pending == 0 && waited >= s.pace.patience
}
