package supervisor

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"example.com/parallel/internal/clock"
	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/wire"
)

// writeStep is how much the worker must read at a time to be seen reading.
const writeStep = 1 << 20

// errDeaf is why a worker is killed that does not read what it is sent.
var errDeaf = errors.New("it does not read its requests")

// conn is the writing side of a worker: frames that are written, and frames that wait for
// the next one. It is safe for concurrent use.
//
// Stops and recalls are for the executor to hear of at once, though it may be running items
// that last long: the segment has a doorbell for them, which counts those that are in the
// pipe.
type conn struct {
	clock    clock.Clock
	requests io.Writer
	deaf     func(*patience) bool // reports whether a worker that does not read is given up, and makes the write fail then
	writing  atomic.Bool          // a frame is being written
	written  atomic.Uint64        // the sequence number after the last item that was written completely; set with mu
	reads    atomic.Int64         // how often the worker was seen reading
	recalls  atomic.Int64         // sent and not answered; an answer may come when the session has ended

	mu        sync.Mutex   // held while writing
	sealer    wire.Sealer  // of the frames
	doorbells uint64       // stops and recalls that have been written
	stall     *clock.Timer // for the next look at whether the worker reads; set while writing

	stallMu  sync.Mutex // held during such a look
	seen     int64      // reads at the last one
	patience patience   // with a worker that has not read since the one before

	queue frameQueue // closed when the worker has been reaped
}

// init readies the conn. deaf is asked from time to time whether to give up a worker that
// does not read while a frame is being written; if so, it must make the write fail.
func (c *conn) init(requests io.Writer, deaf func(*patience) bool) {
	c.requests, c.deaf = requests, deaf
	c.stall = c.clock.AfterFunc(time.Hour, c.lookStalled)
	c.stall.Stop()
}

// noteRead takes in that the worker has read something, or that a frame begins.
func (c *conn) noteRead() {
	c.reads.Add(1)
	c.stall.Reset(lookSilent)
}

// lookStalled looks whether the worker reads.
func (c *conn) lookStalled() {
	c.stallMu.Lock()
	defer c.stallMu.Unlock()
	if !c.writing.Load() {
		return // the frame has just been written
	}
	if n := c.reads.Load(); n != c.seen {
		c.seen = n
		c.patience.reset()
	}
	if !c.deaf(&c.patience) {
		c.stall.Reset(lookSilent)
	}
}

// write numbers frames and writes them, and waits until the worker has room for them.
// doorbells is how many of them the executor is to hear of; with a segment it does so at
// once.
func (c *conn) write(frames []byte, doorbells uint64, segment *shm.Segment) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writeLocked(frames, doorbells, segment)
}

// writeItems is write for frames the last of which has items, those before end.
func (c *conn) writeItems(frames []byte, doorbells, end uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.writeLocked(frames, doorbells, nil)
	if err == nil {
		c.written.Store(end)
	}
	return err
}

// lastWritten is what written is in the end, when requests are closed. It waits for a write
// that may just have come to its end: the worker may have read what the sender does not know
// to be written yet.
func (c *conn) lastWritten() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.written.Load()
}

// writeLocked is write. If it fails and nothing was written, the numbers of the frames are
// free again: else the next frame would not be the one that the worker waits for.
func (c *conn) writeLocked(frames []byte, doorbells uint64, segment *shm.Segment) error {
	before, all := c.sealer, len(frames)
	c.sealer.Seal(frames)
	c.writing.Store(true)
	defer c.writing.Store(false)
	c.noteRead()
	defer c.stall.Stop()
	for len(frames) > 0 {
		n, err := c.requests.Write(frames[:min(len(frames), writeStep)])
		if err != nil {
			if n == 0 && len(frames) == all {
				c.sealer = before
			}
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
