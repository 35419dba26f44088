package parallel

import (
	"context"
	"sync/atomic"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/wire"
)

// The fast way of a worker: items that take little time are run many at once,
// without a lock or a system call in between. See also outbox.go, whose tray they
// put their results in.

// partTime is how long a part should take: long against what surrounds it, about
// a microsecond, and short enough for items behind it that another worker wants.
const partTime = 20 * time.Microsecond

// part is items that the executor runs one after the other. What is not begun
// when the brake is pulled goes back into the queue.
type part struct {
	items   wire.Run
	begun   int // of the items
	brake   *atomic.Uint32
	out     *outbox
	timeout time.Duration
	limit   int // bytes of an encoded result
}

// partRunner runs items of a part until there are none, the brake has been pulled
// or one fails, whose error it returns. A panic passes through it.
type partRunner func(ctx context.Context, p *part) error

// runPart is the partRunner of fn.
func runPart[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), p *part, in, out *codec.Plan) error {
	fn = limited(fn, p.timeout)
	if p.items.Size > 0 && out.FixedSize() > 0 && out.FixedSize() <= trayRoom {
		return runPlain(ctx, fn, p)
	}
	item, r := new(T), new(R) // codecs look at them: on the heap, once for all
	data := p.items.Data
	for p.begun < p.items.Count && p.brake.Load() == 0 {
		p.begun++
		*item = *new(T)
		var src []byte
		src, data = wire.Next(data, p.items.Size)
		err := in.Decode(src, unsafe.Pointer(item))
		if err != nil {
			return decodeItemError(err)
		}
		*r, err = fn(ctx, *item)
		if err == nil {
			err = p.put(unsafe.Pointer(r), out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runPlain is runPart where the encoding of a value is its memory.
func runPlain[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), p *part) error {
	tray := p.out.tray
	src := unsafe.Pointer(unsafe.SliceData(p.items.Data))
	for i := 0; i < p.items.Count && p.brake.Load() == 0; i++ {
		p.begun = i + 1
		r, err := fn(ctx, *(*T)(unsafe.Add(src, uintptr(i)*unsafe.Sizeof(*new(T)))))
		if err != nil {
			return err
		}
		used := tray.used()
		if used+int(unsafe.Sizeof(r)) > traySize {
			p.out.emptyTray()
			used = 0
		}
		*(*R)(unsafe.Pointer(&tray.data[used])) = r
		tray.commit(int(unsafe.Sizeof(r)))
	}
	return nil
}

// put appends the result at v to the tray.
func (p *part) put(v unsafe.Pointer, plan *codec.Plan) error {
	tray := p.out.tray
	if tray.used()+trayRoom > traySize {
		p.out.emptyTray()
	}
	start, header := tray.used(), 0
	if tray.size < 0 {
		header = 4
	}
	b, err := plan.Append(tray.data[start:start+header], v, p.limit)
	switch {
	case err != nil:
		return encodeError("result", err)
	case start+len(b) > pageStride:
		p.out.single(b[header:])
		return nil
	}
	copy(tray.data[start:], b) // where it stands already, most often
	if header > 0 {
		wire.PatchLength(tray.data[:start+len(b)], start)
	}
	tray.commit(len(b))
	return nil
}
