package codec

import "errors"

// A Stopper says whether a value that is being encoded or decoded is not wanted any more, as when
// the call to which it belongs has ended. It is asked now and then, from the same goroutine.
type Stopper interface{ Stopped() bool }

// ErrStopped says that a value was not encoded or decoded to its end, since its Stopper said so.
var ErrStopped = errors.New("the value is not wanted any more")

const (
	// lookStep is how many bytes are written or read between two looks at the Stopper: a
	// millisecond or two, if each byte is a reference.
	lookStep = 64 << 10

	// bytesAnyway is how many bytes are written or read before the first look, and callsAnyway
	// how many methods of the value's types are called: that is soon over, and a result that is
	// there should not be lost because its call has just ended.
	bytesAnyway = 1 << 20
	callsAnyway = 100
)
