// Package wire is what parent and worker say to each other: frames on a byte
// stream, and the messages in them. It knows neither the types of items nor
// how a worker is started.
//
// A frame is a header and its payload. The header says how long the payload is, what
// kind it has, and the frame's number on its stream, and proves itself by a check over
// these: what else writes to the stream, takes bytes out of it, or says something twice,
// does not pass for a frame.
//
//	0        4               8       12
//	length   kind | number   check   payload …      4 bytes each, little-endian
//
// Begin and Finish make a frame. A Sealer numbers it when it is written, since only then
// it is known which frames come before. A Reader verifies numbers and checks, and does not
// trust what it has read: no payload makes a parser panic, loop, or allocate more than the
// payload's own size.
package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
)

// Version is the protocol's. Both sides must have the same.
const Version = 1

// Kind tells what a frame carries.
type Kind uint8

const (
	KindHello   Kind = iota + 1 // both ways: who speaks, see Hello and Welcome
	KindCall                    // to the worker: the call that the next items belong to
	KindItems                   // to the worker: items to run, in this order
	KindSlot                    // to the worker: the same, in shared memory
	KindStop                    // to the worker: go no further than an item
	KindRecall                  // to the worker: give back what has not been started
	KindResults                 // to the parent: what became of items
)

const (
	// MaxFrame is the most bytes in a frame: what its length can say.
	MaxFrame = min(math.MaxUint32, math.MaxInt)
	// Slack is what a frame may hold besides one message of the largest size.
	Slack = 4 << 20
	// HeaderLen is the size of what stands before a frame's payload.
	HeaderLen = 12

	readStep = 1 << 20 // how far a buffer may grow ahead of the bytes that have arrived
)

// ErrProtocol is in the error of a Reader that met what is no frame, or not the next one, or
// one over its limit. What comes behind it cannot be read.
var ErrProtocol = errors.New("protocol error")

// Begin starts a frame of the given kind in dst[:0]. Append the payload to what
// it returns, then call Finish.
func Begin(dst []byte, kind Kind) []byte {
	return append(dst[:0], 0, 0, 0, 0, byte(kind), 0, 0, 0, 0, 0, 0, 0)
}

// Finish completes a frame that Begin started. What it returns can be written when a Sealer
// has numbered it.
func Finish(frame []byte) []byte {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-HeaderLen))
	return frame
}

// Sealer numbers the frames of a stream in the order in which they are written. The zero
// value is for a stream's first frame. It is not safe for concurrent use.
type Sealer struct{ next uint32 }

// Seal numbers frames, which follow one another and are to be written next. The payload of
// the last one may come behind them.
func (s *Sealer) Seal(frames []byte) {
	for len(frames) >= HeaderLen {
		length, kind := binary.LittleEndian.Uint32(frames), uint32(frames[4])
		about := kind | s.next<<8
		binary.LittleEndian.PutUint32(frames[4:], about)
		binary.LittleEndian.PutUint32(frames[8:], check(length, about))
		s.next++
		frames = frames[min(uint64(len(frames)), HeaderLen+uint64(length)):]
	}
}

// check is what proves the header of those two words. That of zeros is not zero. It is the
// finalizer of MurmurHash3 (Austin Appleby, public domain), one bit of difference changes
// half of its bits.
func check(length, about uint32) uint32 {
	h := uint64(length)<<32 | uint64(about) ^ 0x706172616c6c656c // "parallel"
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return uint32(h >> 32)
}

// Reader reads frames. It is not safe for concurrent use, but for Partial and Received.
type Reader struct {
	r        *bufio.Reader
	max      int
	number   uint32 // the next frame's
	buf      []byte
	kind     Kind          // of the frame that is being read
	want     int           // the length of its payload; 0: none is being read
	partial  atomic.Bool   // waits for the rest of a frame
	received atomic.Uint64 // bytes that have come while it waited for that
}

// NewReader returns a Reader of frames from r with at most max bytes of payload.
func NewReader(r io.Reader, max int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// SetMax changes the limit, which may have to be learned from a first frame.
func (r *Reader) SetMax(max int) { r.max = max }

// Buffered reports whether something has been read that Next has not returned.
func (r *Reader) Buffered() bool { return r.r.Buffered() > 0 }

// Partial reports whether the Reader waits for the rest of a frame whose start has come, and
// how much of the rests of frames has come so far: if that does not change, the other side
// has stopped within a frame. It may be called from any goroutine.
func (r *Reader) Partial() (received uint64, waiting bool) {
	return r.received.Load(), r.partial.Load()
}

// Next reads one frame. The payload is valid until the next call. The error is
// io.EOF at the end of the stream, and io.ErrUnexpectedEOF within a frame. If it is
// ErrProtocol, no further call makes sense.
func (r *Reader) Next() (Kind, []byte, error) {
	header, err := r.header()
	if err != nil {
		return 0, nil, err
	}
	length, about := binary.LittleEndian.Uint32(header), binary.LittleEndian.Uint32(header[4:])
	switch {
	case binary.LittleEndian.Uint32(header[8:]) != check(length, about):
		return 0, nil, fmt.Errorf("%w: %q is no frame", ErrProtocol, header)
	case about>>8 != r.number&(1<<24-1):
		return 0, nil, fmt.Errorf("%w: frame %d in place of frame %d", ErrProtocol, about>>8, r.number&(1<<24-1))
	case int64(length) > int64(r.max):
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes, the limit is %d", ErrProtocol, length, r.max)
	}
	r.number++
	_, _ = r.r.Discard(HeaderLen) // they are in the buffer
	r.kind, r.want = Kind(about), int(length)
	if err := r.fill(r.want); err != nil {
		return 0, nil, err
	}
	r.want = 0
	return r.kind, r.buf, nil
}

// CutInRecords is for a stream that has ended. It reports whether the end can be where a
// worker stopped writing: not within a frame, or within one of results, the start of which
// has come.
func (r *Reader) CutInRecords() bool {
	return r.want == 0 || r.kind == KindResults && startOfRecords(r.buf, r.want)
}

// header waits for the header of the next frame, and returns it without taking it.
func (r *Reader) header() ([]byte, error) {
	_, err := r.r.Peek(1)
	for err == nil && r.r.Buffered() < HeaderLen {
		r.partial.Store(true)
		_, err = r.r.Peek(r.r.Buffered() + 1)
		r.received.Add(1)
	}
	if r.partial.Load() {
		r.partial.Store(false)
	}
	switch {
	case err == io.EOF && r.r.Buffered() > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return r.r.Peek(HeaderLen)
}

// fill reads n bytes into r.buf. The buffer grows as the bytes arrive, since a
// length is only a claim.
func (r *Reader) fill(n int) error {
	const keep = 1 << 20
	if cap(r.buf) > keep && n < cap(r.buf)/16 {
		r.buf = nil // a large message is over: do not hold its memory
	}
	if r.r.Buffered() < n {
		r.partial.Store(true)
		defer r.partial.Store(false)
	}
	r.buf = r.buf[:0]
	for len(r.buf) < n {
		have := len(r.buf)
		if have == cap(r.buf) {
			grown := make([]byte, have, have+min(n-have, max(readStep, have)))
			copy(grown, r.buf)
			r.buf = grown
		}
		m, err := r.r.Read(r.buf[have:min(n, cap(r.buf))])
		r.buf = r.buf[:have+m]
		r.received.Add(uint64(m))
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// AppendBytes appends b behind its length.
func AppendBytes[B []byte | string](dst []byte, b B) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// AppendInt appends v, which is not negative or else small.
func AppendInt(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

// Cursor reads a payload from front to back. After the first thing that is not
// as it should be, everything reads as zero and Err says so.
type Cursor struct {
	src []byte
	err error
}

// NewCursor returns a Cursor at the start of src.
func NewCursor(src []byte) *Cursor { return &Cursor{src: src} }

// ErrMalformed is the error of a Cursor over bytes that are no message.
var ErrMalformed = errors.New("malformed message")

// Err returns what was wrong so far, or nil.
func (c *Cursor) Err() error { return c.err }

// Len returns the number of bytes left.
func (c *Cursor) Len() int { return len(c.src) }

// End returns Err, or an error if bytes are left.
func (c *Cursor) End() error {
	if c.err == nil && len(c.src) > 0 {
		c.Fail()
	}
	return c.err
}

// Fail makes the message malformed: what was read is not what it should be.
func (c *Cursor) Fail() {
	c.err = ErrMalformed
	c.src = nil
}

// Byte reads one byte.
func (c *Cursor) Byte() byte {
	if len(c.src) == 0 {
		c.Fail()
		return 0
	}
	b := c.src[0]
	c.src = c.src[1:]
	return b
}

// Uint reads an unsigned number of at most max.
func (c *Cursor) Uint(max uint64) uint64 {
	v, n := binary.Uvarint(c.src)
	if n <= 0 || v > max {
		c.Fail()
		return 0
	}
	c.src = c.src[n:]
	return v
}

// Int reads a number that AppendInt wrote.
func (c *Cursor) Int() int64 {
	v, n := binary.Varint(c.src)
	if n <= 0 {
		c.Fail()
		return 0
	}
	c.src = c.src[n:]
	return v
}

// Uint32 reads a number of four bytes, little-endian.
func (c *Cursor) Uint32() uint32 {
	if len(c.src) < 4 {
		c.Fail()
		return 0
	}
	v := binary.LittleEndian.Uint32(c.src)
	c.src = c.src[4:]
	return v
}

// Bytes reads what AppendBytes wrote. The result aliases the payload.
func (c *Cursor) Bytes() []byte {
	return c.next(c.Uint(uint64(len(c.src))))
}

// CopyBytes reads what AppendBytes wrote, into memory of its own; nil if empty.
func (c *Cursor) CopyBytes() []byte { return append([]byte(nil), c.Bytes()...) }

// String reads what AppendBytes wrote.
func (c *Cursor) String() string { return string(c.Bytes()) }

func (c *Cursor) next(n uint64) []byte {
	if n > uint64(len(c.src)) {
		c.Fail()
		return nil
	}
	b := c.src[:n:n]
	c.src = c.src[n:]
	return b
}
