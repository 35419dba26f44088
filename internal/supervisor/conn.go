package supervisor

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/shm"
)

const (
	// writeStep is how much the worker must read at a time to be seen reading.
	writeStep = 1 << 20

	// stallLooks is how often the worker must be found not reading, in a row, to be deaf. A
	// single look after a long time proves little: this process may have been stopped.
	stallLooks = 8
)

// errDeaf is why a worker is killed that does not read what it is sent.
var errDeaf = errors.New("it does not read its requests")

// conn is the writing side of a worker: frames that are written, and frames that wait for
// the next one. It is safe for concurrent use.
//
// Stops and recalls are for the executor to hear of at once, though it may be running items
// that last long: the segment has a doorbell for them, which counts those that are in the
// pipe.
type conn struct {
	requests io.Writer
	limit    time.Duration // how long the worker may read nothing while a frame is being written
	deaf     func()        // called when it has
	writing  atomic.Bool   // a frame is being written
	sent     atomic.Int64  // bytes written so far
	recalls  atomic.Int64  // sent and not answered; an answer may come when the session has ended

	mu        sync.Mutex   // held while writing
	doorbells uint64       // stops and recalls that have been written
	stall     *time.Timer  // for the next look at whether the worker reads; set while writing
	stalled   atomic.Int32 // looks in a row that have found it not reading

	queue frameQueue // closed when the worker has been reaped
}

// init readies the conn. deaf is called when the worker does not read for limit while a
// frame is being written; it must make the write fail.
func (c *conn) init(requests io.Writer, limit time.Duration, deaf func()) {
	c.requests, c.limit, c.deaf = requests, limit, deaf
	c.stall = time.AfterFunc(time.Hour, c.lookStalled)
	c.stall.Stop()
}

// noteRead takes in that the worker has read something, or that a frame begins.
func (c *conn) noteRead() {
	c.stalled.Store(0)
	c.stall.Reset(c.limit / stallLooks)
}

// lookStalled gives the worker up if it has read nothing for too long.
func (c *conn) lookStalled() {
	switch {
	case !c.writing.Load(): // the frame has just been written
	case c.stalled.Add(1) < stallLooks:
		c.stall.Reset(c.limit / stallLooks)
	default:
		c.deaf()
	}
}

// write writes frames, and waits until the worker has room for them. doorbells is how many of
// them the executor is to hear of; with a segment it does so at once.
func (c *conn) write(frames []byte, doorbells uint64, segment *shm.Segment) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing.Store(true)
	defer c.writing.Store(false)
	c.noteRead()
	defer c.stall.Stop()
	for len(frames) > 0 {
		n, err := c.requests.Write(frames[:min(len(frames), writeStep)])
		c.sent.Add(int64(n))
		if err != nil {
			return err
		}
		if frames = frames[n:]; len(frames) > 0 {
			c.noteRead()
		}
	}
	if c.doorbells += doorbells; segment != nil && doorbells > 0 {
		segment.RingDoorbell(c.doorbells)
	}
	return nil
}

// flush writes what is queued.
func (c *conn) flush() {
	if frames, doorbells := c.queue.pop(nil); len(frames) > 0 {
		_ = c.write(frames, doorbells, nil) // a worker that cannot be told is dying
	}
}

// recalling takes in that a recall is about to be sent. It returns false if one is on its
// way already.
func (c *conn) recalling() bool { return c.recalls.CompareAndSwap(0, 1) }

// answered takes in that the worker has answered a recall. It returns false if it was not
// asked.
func (c *conn) answered() bool { return c.recalls.CompareAndSwap(1, 0) }

// frameQueue is frames that are to be written before the next one, or at the next tick. The
// executor is to hear of each of them. It is safe for concurrent use; the zero value is
// empty.
type frameQueue struct {
	mu     sync.Mutex
	closed bool // nothing will be written any more
	frames []byte
	count  uint64
}

// push puts a frame behind the others.
func (q *frameQueue) push(frame []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.frames = append(q.frames, frame...)
	q.count++
}

// pop appends the frames to buf, and returns how many they are.
func (q *frameQueue) pop(buf []byte) (frames []byte, count uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	frames, count = append(buf, q.frames...), q.count
	q.frames, q.count = q.frames[:0], 0
	return frames, count
}

// close forgets what is queued, and what comes.
func (q *frameQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.frames = true, nil
}
