package cost

import "time"

// started is where this package's clock begins. time.Since of a fixed time costs half of
// time.Now.
var started = time.Now()

// Clock is the time since this process started. In a testing/synctest bubble, whose time
// begins long before that, it is negative.
func Clock() time.Duration { return time.Since(started) }

// spinRounds is how often SpinFor looks at most: about 20 µs of looks.
const spinRounds = 1000

// SpinFor calls done again and again until it reports true, for at most d, and reports
// whether it did. It is bounded in rounds too, since a clock may stand still: in a
// testing/synctest bubble it does while any goroutine runs.
func SpinFor(d time.Duration, done func() bool) bool {
	begin := Clock()
	for range spinRounds {
		if done() {
			return true
		}
		if Clock()-begin >= d {
			break
		}
	}
	return false
}
