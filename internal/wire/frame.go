// Package wire is what parent and worker say to each other: frames on a byte
// stream, and the messages in them. It knows neither the types of items nor
// how a worker is started.
//
// A frame is its length (4 bytes, little-endian, without the header), its kind
// (1 byte) and its payload. A reader of frames does not trust them: no payload
// makes a parser panic, loop, or allocate more than the payload's own size.
package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
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
	HeaderLen = 5

	readStep = 1 << 20 // how far a buffer may grow ahead of the bytes that have arrived
)

// ErrTooLarge is in the error of a Reader that met a frame over its limit.
var ErrTooLarge = errors.New("frame is larger than allowed")

// Begin starts a frame of the given kind in dst[:0]. Append the payload to what
// it returns, then call Finish.
func Begin(dst []byte, kind Kind) []byte {
	return append(dst[:0], 0, 0, 0, 0, byte(kind))
}

// Finish completes a frame that Begin started; what it returns can be written.
func Finish(frame []byte) []byte {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-HeaderLen))
	return frame
}

// Reader reads frames. It is not safe for concurrent use.
type Reader struct {
	r   *bufio.Reader
	max int
	buf []byte
}

// NewReader returns a Reader of frames from r with at most max bytes of payload.
func NewReader(r io.Reader, max int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// SetMax changes the limit, which may have to be learned from a first frame.
func (r *Reader) SetMax(max int) { r.max = max }

// Buffered reports whether something has been read that Next has not returned.
func (r *Reader) Buffered() bool { return r.r.Buffered() > 0 }

// Next reads one frame. The payload is valid until the next call. The error is
// io.EOF at the end of the stream, and io.ErrUnexpectedEOF within a frame.
func (r *Reader) Next() (Kind, []byte, error) {
	header, err := r.r.Peek(HeaderLen)
	if err != nil {
		if len(header) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	n, kind := int64(binary.LittleEndian.Uint32(header)), Kind(header[4])
	_, _ = r.r.Discard(HeaderLen) // they are in the buffer
	if n > int64(r.max) {
		return 0, nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, r.max)
	}
	if err := r.fill(int(n)); err != nil {
		return 0, nil, err
	}
	return kind, r.buf, nil
}

// fill reads n bytes into r.buf. The buffer grows as the bytes arrive, since a
// length is only a claim.
func (r *Reader) fill(n int) error {
	const keep = 1 << 20
	if cap(r.buf) > keep && n < cap(r.buf)/16 {
		r.buf = nil // a large message is over: do not hold its memory
	}
	r.buf = r.buf[:0]
	for len(r.buf) < n {
		have := len(r.buf)
		step := min(n-have, max(readStep, have))
		if cap(r.buf)-have < step {
			grown := make([]byte, have, have+step)
			copy(grown, r.buf)
			r.buf = grown
		}
		r.buf = r.buf[:have+step]
		if _, err := io.ReadFull(r.r, r.buf[have:]); err != nil {
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
