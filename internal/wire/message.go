package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// Hello is the parent's first frame. The parent speaks first.
type Hello struct {
	Version    int
	MaxMessage int // largest encoded item or result, in bytes
}

// Append appends the message to a frame.
func (m *Hello) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Version))
	return binary.AppendUvarint(dst, uint64(m.MaxMessage))
}

// Parse reads the message from a payload.
func (m *Hello) Parse(src []byte) error {
	c := NewCursor(src)
	m.Version = int(c.Uint(math.MaxInt32))
	if c.Err() == nil && m.Version != Version {
		return nil // the rest may look different
	}
	m.MaxMessage = int(c.Uint(math.MaxInt))
	return c.End()
}

// Welcome is the worker's answer to Hello: it has reached Init and can run these.
type Welcome struct {
	Version    int
	PID        int
	Registered []string // functions, types and sentinel errors, a line each
}

// Append appends the message to a frame.
func (m *Welcome) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Version))
	dst = binary.AppendUvarint(dst, uint64(m.PID))
	dst = binary.AppendUvarint(dst, uint64(len(m.Registered)))
	for _, line := range m.Registered {
		dst = AppendBytes(dst, line)
	}
	return dst
}

// Parse reads the message from a payload.
func (m *Welcome) Parse(src []byte) error {
	c := NewCursor(src)
	m.Version = int(c.Uint(math.MaxInt32))
	if c.Err() == nil && m.Version != Version {
		return nil
	}
	m.PID = int(c.Uint(math.MaxInt32))
	n := int(c.Uint(uint64(c.Len()))) // a line is a byte at least
	m.Registered = make([]string, 0, n)
	for range n {
		m.Registered = append(m.Registered, c.String())
	}
	return c.End()
}

// Call announces the call that the items after it belong to.
type Call struct {
	ID        uint64
	Known     bool // the worker was told of it before, and not of its end; the rest is zero
	Function  int
	KeepGoing bool
	Timeout   time.Duration // each item's own; 0: none
	Deadline  time.Duration // from now to the call's; 0: none
	Shared    bool          // there is a shared value
	ShareType string
	Share     []byte // part of the payload
}

// Append appends the message to a frame.
func (m *Call) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, m.ID)
	dst = binary.AppendUvarint(dst, uint64(m.Function))
	dst = append(dst, flag(m.KeepGoing)|flag(m.Shared)<<1|flag(m.Known)<<2)
	dst = AppendInt(dst, int64(m.Timeout))
	dst = AppendInt(dst, int64(m.Deadline))
	dst = AppendBytes(dst, m.ShareType)
	return AppendBytes(dst, m.Share)
}

// Parse reads the message from a payload.
func (m *Call) Parse(src []byte) error {
	c := NewCursor(src)
	m.ID = c.Uint(math.MaxUint64)
	m.Function = int(c.Uint(math.MaxInt32))
	flags := c.Byte()
	m.KeepGoing, m.Shared, m.Known = flags&1 != 0, flags&2 != 0, flags&4 != 0
	m.Timeout = time.Duration(c.Int())
	m.Deadline = time.Duration(c.Int())
	m.ShareType = c.String()
	m.Share = c.Bytes()
	return c.End()
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Item is one item on its way to a worker.
type Item struct {
	Seq   uint64 // counts the items that the worker is sent, from 1
	Index int    // the item's number in the call
	Data  []byte
}

// AppendItemHeader appends what stands before an encoded item whose length is
// not known yet; PatchLength enters it.
func AppendItemHeader(dst []byte, seq uint64, index int) (frame []byte, lengthAt int) {
	dst = binary.AppendUvarint(dst, seq)
	dst = binary.AppendUvarint(dst, uint64(index))
	return append(dst, 0, 0, 0, 0), len(dst)
}

// PatchLength enters, at the place that an Append…Header function returned, the
// number of bytes that were appended behind it.
func PatchLength(frame []byte, lengthAt int) {
	binary.LittleEndian.PutUint32(frame[lengthAt:], uint32(len(frame)-lengthAt-4))
}

// ParseItems calls f with each item of a payload. Data is part of the payload.
func ParseItems(src []byte, f func(Item)) error {
	c := NewCursor(src)
	for c.Len() > 0 {
		it := Item{Seq: c.Uint(math.MaxUint64), Index: int(c.Uint(math.MaxInt))}
		it.Data = c.take(uint64(c.Uint32()))
		if c.Err() != nil {
			return c.Err()
		}
		f(it)
	}
	return c.End()
}

// Stop tells a worker to start no item of a call after Index, −1 for none, and
// to end the context of the one that it is running if it is one of these. After
// a −1 the worker may forget the call.
type Stop struct {
	ID    uint64 // the call's
	Index int
	Cause []byte // an encoded error
}

// Append appends the message to a frame.
func (m *Stop) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, m.ID)
	dst = AppendInt(dst, int64(m.Index))
	return AppendBytes(dst, m.Cause)
}

// Parse reads the message from a payload.
func (m *Stop) Parse(src []byte) error {
	c := NewCursor(src)
	m.ID = c.Uint(math.MaxUint64)
	m.Index = int(c.Int())
	m.Cause = c.Bytes()
	return c.End()
}

// RecordKind tells what a record of a results frame says.
type RecordKind uint8

const (
	RecordResult   RecordKind = iota + 1 // item Seq ran well; Data is its result
	RecordFailure                        // item Seq failed; Data is its error
	RecordStarted                        // item Seq is about to run
	RecordDropped                        // items Seq to Last were not started and will not be, as a Stop wants it
	RecordRecalled                       // the same, for a Recall: its one answer; 0 to 0 if there are none
	RecordBusy                           // Count items took Time, since the last such record
)

// Record is one thing that a worker has to say. What a kind does not name is zero.
type Record struct {
	Kind  RecordKind
	Seq   uint64
	Last  uint64
	Count int
	Time  time.Duration
	Data  []byte // part of the payload
}

// AppendRecordHeader appends what stands before the data of a result or failure
// whose length is not known yet; PatchLength enters it.
func AppendRecordHeader(dst []byte, kind RecordKind, seq uint64) (frame []byte, lengthAt int) {
	dst = append(dst, byte(kind))
	dst = binary.AppendUvarint(dst, seq)
	return append(dst, 0, 0, 0, 0), len(dst)
}

// AppendStarted appends a RecordStarted.
func AppendStarted(dst []byte, seq uint64) []byte {
	return binary.AppendUvarint(append(dst, byte(RecordStarted)), seq)
}

// AppendDropped appends a RecordDropped or RecordRecalled.
func AppendDropped(dst []byte, kind RecordKind, seq, last uint64) []byte {
	dst = binary.AppendUvarint(append(dst, byte(kind)), seq)
	return binary.AppendUvarint(dst, last)
}

// AppendBusy appends a RecordBusy.
func AppendBusy(dst []byte, count int, took time.Duration) []byte {
	dst = binary.AppendUvarint(append(dst, byte(RecordBusy)), uint64(count))
	return binary.AppendUvarint(dst, uint64(max(0, took)))
}

// ReadRecord reads the next record of a results frame.
func ReadRecord(c *Cursor) (Record, error) {
	r := Record{Kind: RecordKind(c.Byte())}
	switch r.Kind {
	case RecordResult, RecordFailure:
		r.Seq = c.Uint(math.MaxUint64)
		r.Data = c.take(uint64(c.Uint32()))
	case RecordStarted:
		r.Seq = c.Uint(math.MaxUint64)
	case RecordDropped, RecordRecalled:
		r.Seq = c.Uint(math.MaxUint64)
		r.Last = c.Uint(math.MaxUint64)
	case RecordBusy:
		r.Count = int(c.Uint(math.MaxInt32))
		r.Time = time.Duration(c.Uint(math.MaxInt64))
	default:
		c.Fail()
	}
	if c.Err() != nil {
		return Record{}, c.Err()
	}
	return r, nil
}
