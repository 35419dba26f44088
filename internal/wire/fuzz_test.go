package wire

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// perByte is how much a parser may allocate for each byte that it is given: a
// line of a Welcome can be one byte long, and its string's header takes 16.
const perByte = 20

// FuzzReader reads frames out of anything: it neither panics, nor allocates much
// more than it was given, nor returns what was not there.
func FuzzReader(f *testing.F) {
	f.Add(append(frame(KindHello, "hello"), frame(KindResults, "")...), 100, true)
	f.Add(frame(KindHello, "hello"), 100, false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 1<<31-1, true)
	f.Add([]byte{5, 0, 0, 0}, 5, false)
	f.Fuzz(func(t *testing.T, src []byte, limit int, seal bool) {
		if seal { // or hardly anything would be a frame
			src = bytes.Clone(src)
			new(Sealer).Seal(src)
		}
		seen := 0
		grown := allocated(func() {
			r := NewReader(bytes.NewReader(src), limit)
			for {
				_, payload, err := r.Next()
				if err != nil {
					return
				}
				if len(payload) > limit || !bytes.Equal(payload, src[seen+HeaderLen:][:len(payload)]) {
					t.Fatalf("at %d: a payload of %d bytes that is not there", seen, len(payload))
				}
				seen += HeaderLen + len(payload)
			}
		})
		if most := int64(2*readStep + 100<<10 + 4*len(src)); grown > most {
			t.Errorf("%d bytes allocated for %d", grown, len(src))
		}
	})
}

// FuzzMessages gives anything to every parser.
func FuzzMessages(f *testing.F) {
	for _, m := range messages {
		f.Add(m.Append(nil))
	}
	f.Add(binary.AppendUvarint([]byte{Version, 1}, 1<<40))
	f.Fuzz(func(t *testing.T, src []byte) {
		grown := allocated(func() {
			for _, m := range []message{&Hello{}, &Welcome{}, &Call{}, &Stop{}, &Slot{}} {
				if m.Parse(src) == nil {
					again := m.Append(nil) // what was taken can be said
					if err := m.Parse(again); err != nil {
						t.Errorf("%T took %x and not %x, which says the same: %v", m, src, again, err)
					}
				}
			}
		})
		if most := int64(64<<10 + 4*perByte*len(src)); grown > most {
			t.Errorf("%d bytes allocated for %d", grown, len(src))
		}
	})
}

// FuzzItemsAndRecords gives anything to the parsers of what comes in numbers.
func FuzzItemsAndRecords(f *testing.F) {
	var all []byte
	for _, r := range records {
		all = appendRecord(all, r)
	}
	f.Add(all)
	for _, r := range runs {
		f.Add(appendRun(nil, r))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		grown := allocated(func() {
			var run Run
			if run.Parse(src) == nil {
				if again := appendRun(nil, run); !bytes.Equal(again, src) {
					t.Errorf("%x was read as %x", src, again)
				}
				for run.Size < 0 && run.Count > 0 {
					if first := run.Split(1); len(first.Data) < 4 {
						t.Fatalf("an item is %x", first.Data)
					}
				}
			}
			c := NewCursor(src)
			for c.Len() > 0 {
				left := c.Len()
				r, err := ReadRecord(c)
				if err != nil {
					break
				}
				if c.Len() >= left || len(r.Data) >= left {
					t.Fatalf("record %+v out of %d bytes, %d are left", r, left, c.Len())
				}
			}
		})
		if most := int64(64<<10 + perByte*len(src)); grown > most {
			t.Errorf("%d bytes allocated for %d", grown, len(src))
		}
	})
}

// TestReaderPassesErrorsOn has the stream itself fail.
func TestReaderPassesErrorsOn(t *testing.T) {
	whole := frame(KindCall, "payload")
	for n := range len(whole) {
		broken := io.MultiReader(bytes.NewReader(whole[:n]), errReader{})
		if _, _, err := NewReader(broken, 100).Next(); err != errBroken {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type errReader struct{}

var errBroken = io.ErrClosedPipe

func (errReader) Read([]byte) (int, error) { return 0, errBroken }
