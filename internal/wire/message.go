package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// Hello is the parent's first frame. The parent speaks first.
type Hello struct {
	Version    int
	MaxMessage int   // largest encoded item or result, in bytes
	MaxMemory  int64 // size at which the worker is killed, in bytes: it is to measure itself. 0: none
}

// Append appends the message to a frame.
func (m *Hello) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Version))
	dst = binary.AppendUvarint(dst, uint64(m.MaxMessage))
	return binary.AppendUvarint(dst, uint64(m.MaxMemory))
}

// Parse reads the message from a payload.
func (m *Hello) Parse(src []byte) error {
	c := NewCursor(src)
	m.Version = int(c.Uint(math.MaxInt32))
	if c.Err() == nil && m.Version != Version {
		return nil // the rest may look different
	}
	m.MaxMessage = int(c.Uint(math.MaxInt))
	m.MaxMemory = int64(c.Uint(math.MaxInt64))
	return c.End()
}

// Welcome is the worker's answer to Hello: it has reached Init and can run these.
type Welcome struct {
	Version    int
	PID        int
	Mapped     bool     // it has mapped the shared segment
	Memory     int64    // what it needs before its first item, in bytes; 0: there is no limit
	Registered []string // functions, types and sentinel errors, a line each
}

// Append appends the message to a frame.
func (m *Welcome) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(m.Version))
	dst = binary.AppendUvarint(dst, uint64(m.PID))
	dst = append(dst, flag(m.Mapped))
	dst = binary.AppendUvarint(dst, uint64(m.Memory))
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
	m.Mapped = c.Byte()&1 != 0
	m.Memory = int64(c.Uint(math.MaxInt64))
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
	Eager     bool          // results are wanted as they come, not only when there is nothing more to do
	Timeout   time.Duration // each item's own; 0: none
	Deadline  time.Duration // from now to the call's; 0: none
	Shared    bool          // there is a shared value
	ShareType string
	Share     []byte // aliases the payload
}

// Append appends the message to a frame.
func (m *Call) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, m.ID)
	dst = binary.AppendUvarint(dst, uint64(m.Function))
	dst = append(dst, flag(m.KeepGoing)|flag(m.Shared)<<1|flag(m.Known)<<2|flag(m.Eager)<<3)
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
	m.KeepGoing, m.Shared, m.Known, m.Eager = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0
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

// Run is items of a call that follow one another, on their way to a worker.
type Run struct {
	Seq   uint64 // the first item's: counts those that the worker is sent, from 1
	Index int    // the first item's number in the call
	Count int
	Size  int    // of each item's encoding; −1: its length stands before it, in 4 bytes
	Data  []byte // aliases the payload
}

// runHeader is the size of what stands before a run's data. It keeps items whose
// size is a multiple of 8 at such addresses.
const runHeader = 24

// AppendRunHeader appends what stands before the data of a run whose count is not
// known yet; PatchCount enters it.
func AppendRunHeader(dst []byte, seq uint64, index, size int) (frame []byte, countAt int) {
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(index))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(size+1)<<32)
	return dst, len(dst) - 8
}

// RunData is the data in a frame that AppendRunHeader stands at the start of.
func RunData(frame []byte) []byte { return frame[HeaderLen+runHeader:] }

// PatchCount enters the number of items at the place that AppendRunHeader
// returned.
func PatchCount(frame []byte, countAt, count int) {
	binary.LittleEndian.PutUint32(frame[countAt:], uint32(count))
}

// PatchLength enters, at the place that an Append…Header function returned, the
// number of bytes that were appended behind it. Such a place also stands before
// each item and result of varying size.
func PatchLength(frame []byte, lengthAt int) {
	binary.LittleEndian.PutUint32(frame[lengthAt:], uint32(len(frame)-lengthAt-4))
}

// FinishHead completes a frame whose last n bytes are written behind it: they are the data of
// the record whose length stands at lengthAt.
func FinishHead(head []byte, lengthAt, n int) []byte {
	binary.LittleEndian.PutUint32(head[lengthAt:], uint32(n))
	binary.LittleEndian.PutUint32(head, uint32(len(head)-HeaderLen+n))
	return head
}

// Parse reads a run from a payload.
func (r *Run) Parse(src []byte) error {
	if len(src) < runHeader {
		return ErrMalformed
	}
	index, count, size := binary.LittleEndian.Uint64(src[8:]), binary.LittleEndian.Uint32(src[16:]), binary.LittleEndian.Uint32(src[20:])
	if index > math.MaxInt-uint64(count) || count > math.MaxInt32 || size > math.MaxInt32 {
		return ErrMalformed
	}
	*r = Run{binary.LittleEndian.Uint64(src), int(index), int(count), int(size) - 1, nil}
	return r.SetData(src[runHeader:])
}

// Slot is a run whose data is in shared memory: Length bytes at At.
type Slot struct {
	Run    // without Data
	At     int
	Length int
}

// Append appends the message to a frame.
func (m *Slot) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, m.Seq)
	dst = binary.AppendUvarint(dst, uint64(m.Index))
	dst = binary.AppendUvarint(dst, uint64(m.Count))
	dst = binary.AppendUvarint(dst, uint64(m.Size+1))
	dst = binary.AppendUvarint(dst, uint64(m.At))
	return binary.AppendUvarint(dst, uint64(m.Length))
}

// Parse reads the message from a payload.
func (m *Slot) Parse(src []byte) error {
	c := NewCursor(src)
	m.Run = Run{c.Uint(math.MaxUint64), int(c.Uint(math.MaxInt)), int(c.Uint(math.MaxInt32)), int(c.Uint(math.MaxInt32)) - 1, nil}
	m.At, m.Length = int(c.Uint(math.MaxInt)), int(c.Uint(math.MaxInt))
	if m.Index > math.MaxInt-m.Count {
		c.Fail()
	}
	return c.End()
}

// SetData makes data the encoding of the items. It fails if it is not Count items of Size.
func (r *Run) SetData(data []byte) error {
	if !Fits(data, r.Count, r.Size) {
		return ErrMalformed
	}
	r.Data = data
	return nil
}

// Fits reports whether data is count items or results of the given size, as in
// Run.
func Fits(data []byte, count, size int) bool {
	if size >= 0 {
		return uint64(len(data)) == uint64(count)*uint64(size)
	}
	for ; count > 0; count-- {
		if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
			return false
		}
		data = data[4+int(binary.LittleEndian.Uint32(data)):]
	}
	return len(data) == 0
}

// Next takes the first item or result off data, which Fits, and returns what is
// left.
func Next(data []byte, size int) (item, rest []byte) {
	if size < 0 {
		size = int(binary.LittleEndian.Uint32(data))
		data = data[4:]
	}
	return data[:size:size], data[size:]
}

// Skip takes the first n items or results off data.
func Skip(data []byte, n, size int) (rest []byte) {
	if size >= 0 {
		return data[n*size:]
	}
	for range n {
		data = data[4+int(binary.LittleEndian.Uint32(data)):]
	}
	return data
}

// Split takes the first n items off the run.
func (r *Run) Split(n int) (first Run) {
	rest := Skip(r.Data, n, r.Size)
	first = Run{r.Seq, r.Index, n, r.Size, r.Data[:len(r.Data)-len(rest)]}
	*r = Run{r.Seq + uint64(n), r.Index + n, r.Count - n, r.Size, rest}
	return first
}

// Stop tells a worker to start no item of a call after Index, −1 for none, and
// to end the context of the one that it is running if it is one of these. After
// a −1 the worker may forget the call.
type Stop struct {
	ID    uint64 // the call's
	Index int
	Cause []byte // an encoded error; empty: context.Canceled
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
	RecordResult    RecordKind = iota + 1 // item Seq ran well; Data is its result
	RecordResults                         // Count items from Seq on ran well; Data is their results, of Size as in Run
	RecordRing                            // the same, but the results are in shared memory: Length bytes at At
	RecordFailure                         // item Seq failed; Data is its error
	RecordStarted                         // item Seq is about to run
	RecordDropped                         // items Seq to Last were not started and will not be, as a Stop wants it
	RecordRecalled                        // the same, for a Recall: its one answer; 0 to 0 if there are none
	RecordBusy                            // Count items took Time, since the last such record
	RecordAllowance                       // the worker has run its first item, and will begin none when it is larger than Memory bytes
	RecordOutgrown                        // it is, with Memory bytes, and gives back items Seq to Last and all that it is still sent; 0 to 0 is none
)

// Record is one thing that a worker has to say. What a kind does not name is zero.
type Record struct {
	Kind   RecordKind
	Seq    uint64
	Last   uint64
	Count  int
	Size   int
	At     int
	Length int
	Memory int64
	Time   time.Duration
	Data   []byte // aliases the payload
}

// AppendResults appends a RecordResults.
func AppendResults(dst []byte, seq uint64, count, size int, data []byte) []byte {
	dst = binary.AppendUvarint(append(dst, byte(RecordResults)), seq)
	dst = binary.AppendUvarint(dst, uint64(count))
	dst = binary.AppendUvarint(dst, uint64(size+1))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// AppendRing appends a RecordRing.
func AppendRing(dst []byte, seq uint64, count, size, at, length int) []byte {
	dst = binary.AppendUvarint(append(dst, byte(RecordRing)), seq)
	dst = binary.AppendUvarint(dst, uint64(count))
	dst = binary.AppendUvarint(dst, uint64(size+1))
	dst = binary.AppendUvarint(dst, uint64(at))
	return binary.AppendUvarint(dst, uint64(length))
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

// AppendAllowance appends a RecordAllowance.
func AppendAllowance(dst []byte, memory int64) []byte {
	return binary.AppendUvarint(append(dst, byte(RecordAllowance)), uint64(memory))
}

// AppendOutgrown appends a RecordOutgrown.
func AppendOutgrown(dst []byte, memory int64, seq, last uint64) []byte {
	dst = binary.AppendUvarint(append(dst, byte(RecordOutgrown)), uint64(memory))
	dst = binary.AppendUvarint(dst, seq)
	return binary.AppendUvarint(dst, last)
}

// ReadRecord reads the next record of a results frame.
func ReadRecord(c *Cursor) (Record, error) {
	r := Record{Kind: RecordKind(c.Byte())}
	switch r.Kind {
	case RecordResult, RecordFailure:
		r.Seq = c.Uint(math.MaxUint64)
		r.Data = c.next(uint64(c.Uint32()))
	case RecordResults:
		r.Seq = c.Uint(math.MaxUint64)
		r.Count = int(c.Uint(math.MaxInt32))
		r.Size = int(c.Uint(math.MaxInt32)) - 1
		r.Data = c.next(uint64(c.Uint32()))
		if c.Err() == nil && !Fits(r.Data, r.Count, r.Size) {
			c.Fail()
		}
	case RecordRing:
		r.Seq = c.Uint(math.MaxUint64)
		r.Count = int(c.Uint(math.MaxInt32))
		r.Size = int(c.Uint(math.MaxInt32)) - 1
		r.At = int(c.Uint(math.MaxInt))
		r.Length = int(c.Uint(math.MaxInt))
	case RecordStarted:
		r.Seq = c.Uint(math.MaxUint64)
	case RecordDropped, RecordRecalled:
		r.Seq = c.Uint(math.MaxUint64)
		r.Last = c.Uint(math.MaxUint64)
	case RecordBusy:
		r.Count = int(c.Uint(math.MaxInt32))
		r.Time = time.Duration(c.Uint(math.MaxInt64))
	case RecordAllowance:
		r.Memory = int64(c.Uint(math.MaxInt64))
	case RecordOutgrown:
		r.Memory = int64(c.Uint(math.MaxInt64))
		r.Seq = c.Uint(math.MaxUint64)
		r.Last = c.Uint(math.MaxUint64)
	default:
		c.Fail()
	}
	if c.Err() != nil {
		return Record{}, c.Err()
	}
	return r, nil
}

// GatherSize is how large a record may be that is gathered with others. One that is larger,
// and each RecordResult, has a frame of its own.
const GatherSize = 64 << 10

// Apart reports whether the record is an outcome that certainly has a frame of its own.
func (r *Record) Apart() bool {
	return r.Kind == RecordResult || r.Kind == RecordFailure && len(r.Data) > GatherSize
}

// startOfRecords reports whether b may be the start of records of total bytes.
func startOfRecords(b []byte, total int) bool {
	for len(b) > 0 {
		c := NewCursor(b)
		if _, err := ReadRecord(c); err != nil {
			return startOfRecord(b, total)
		}
		total -= len(b) - c.Len()
		b = b[len(b)-c.Len():]
	}
	return true
}

// startOfRecord reports whether b, which is no whole record, may be the start of one that is
// within total bytes.
func startOfRecord(b []byte, total int) bool {
	numbers := 4 // at most, before what else there is
	switch RecordKind(b[0]) {
	case RecordResult, RecordFailure:
		numbers = 1
	case RecordResults:
		numbers = 3
	case RecordRing, RecordStarted, RecordDropped, RecordRecalled, RecordBusy, RecordAllowance, RecordOutgrown:
		return len(b) < 1+(numbers+1)*binary.MaxVarintLen64
	default:
		return false
	}
	rest := b[1:]
	for range numbers {
		_, n := binary.Uvarint(rest)
		if n <= 0 {
			return n == 0 // too few bytes
		}
		rest = rest[n:]
	}
	if len(rest) < 4 {
		return true
	}
	length, before := uint64(binary.LittleEndian.Uint32(rest)), len(b)-len(rest)+4
	return length > uint64(len(rest)-4) && length <= uint64(max(0, total-before))
}
