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
	items   wire.Run // those not begun yet
	brake   *atomic.Uint32
	out     *outbox
	timeout time.Duration
	limit   int // bytes of an encoded result
}

// partRunner runs items of a part until there are none, the brake has been pulled
// or one fails, which it takes off the part and returns the error of.
type partRunner func(ctx context.Context, p *part) error

// runPart is the partRunner of fn.
func runPart[T, R any](ctx context.Context, fn func(context.Context, T) (R, error), p *part, in, out *codec.Plan) error {
	fn = limited(fn, p.timeout)
	tray := p.out.tray
	for p.items.Count > 0 && p.brake.Load() == 0 {
		data, rest := wire.Next(p.items.Data, p.items.Size)
		p.items.Data = rest
		p.items.Count--
		p.items.Index++
		p.items.Seq++
		var item T
		if p.items.Size > 0 {
			item = *(*T)(unsafe.Pointer(unsafe.SliceData(data)))
		} else if p.items.Size < 0 {
			if err := in.Decode(data, unsafe.Pointer(&item)); err != nil {
				return decodeItemError(err)
			}
		}
		r, err := fn(ctx, item)
		if err != nil {
			return err
		}
		switch size := int(unsafe.Sizeof(r)); {
		case tray.size == 0:
			tray.commit(0)
		case tray.size > 0 && tray.fits(size):
			*(*R)(unsafe.Pointer(&tray.data[tray.used])) = r
			tray.commit(size)
		default:
			if err := p.put(unsafe.Pointer(&r), out); err != nil {
				return err
			}
		}
	}
	return nil
}

// put appends the result at v to the tray, whatever its size.
func (p *part) put(v unsafe.Pointer, plan *codec.Plan) error {
	tray := p.out.tray
	if !tray.fits(trayRoom) {
		p.out.emptyTray()
	}
	start, header := tray.used, 0
	if tray.size < 0 {
		header = 4
	}
	b, err := plan.Append(tray.data[start:start+header], v, p.limit)
	if err != nil {
		return encodeError("result", err)
	}
	if !tray.fits(len(b)) {
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
