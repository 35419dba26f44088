package worker

import (
	"io"
	"runtime"
	"testing"

	"example.com/parallel/internal/wire"
)

// FuzzHandle hands a worker frames of all kinds.
func FuzzHandle(f *testing.F) {
	for _, frame := range [][]byte{
		callFrame(wire.Call{ID: 1, Function: fnObey, Shared: true, Eager: true}), callFrame(wire.Call{ID: 1, Known: true}),
		intsFrame(1, 0, 1, 2), textsFrame(1, 0, "a", "b"), stopFrame(1, 0, "known"), stopFrame(1, -1, ""), recallFrame(),
		(&wire.Slot{Run: wire.Run{Seq: 1, Count: 1, Size: 8}, At: 1 << 20, Length: 8}).Append(wire.Begin(nil, wire.KindSlot)),
	} {
		f.Add(frame[4], frame[wire.HeaderLen:])
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		w := newWorker(Link{Results: io.Discard, Die: runtime.Goexit}, newConfig(nil))
		w.prepare()
		for _, frame := range [][]byte{callFrame(wire.Call{ID: 1, Function: fnDouble}), intsFrame(1, 0, 1, 2)} {
			if err := w.handle(wire.Kind(frame[4]), frame[wire.HeaderLen:]); err != nil {
				t.Fatal(err)
			}
		}
		_ = w.handle(wire.Kind(kind), payload)
		for _, r := range w.queue.runs {
			if r.Count <= 0 || r.call == nil || !wire.Fits(r.Data, r.Count, r.Size) {
				t.Errorf("it queued %+v", r)
			}
		}
	})
}
