package shm

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"os"
	"runtime/debug"
	"unsafe"
)

// area is a part of one of the files, as the parent reaches it: words, a ring or a slot. Its
// start is mapped as far as it has been used, if that may be. What is not mapped is read and
// written as a file. An area that could not be mapped is left so until trim.
//
// Mapped memory may fault, if the worker has punched a hole where no memory is left to fill
// it. All of it is touched by touch alone, to which a fault is an error.
type area struct {
	file    *os.File
	at      int      // where it begins in the file
	writes  bool     // this process writes it
	options *Options // how it may be mapped; nil: it may not
	mapped  []byte   // as the system knows it: from the start of a page on
	mem     []byte   // the area's part of that
	filled  int      // how far it has been filled since trim
}

// mapMost is how many bytes of a ring or a slot are mapped at most: of what is larger, the
// rest is accessed as a file, which is hardly slower there. A process may have few addresses.
const mapMost = min(64<<20, stride)

// extend has the first n bytes mapped, if that may be.
func (a *area) extend(n int) {
	if n <= len(a.mem) || n > mapMost {
		return
	}
	a.resize(min(max(keep, 1<<bits.Len(uint(n-1))), mapMost))
}

// resize maps the first n bytes and no more. If that fails, what is mapped stays, and no more
// will be.
func (a *area) resize(n int) {
	if a.options == nil {
		return
	}
	lead := a.at % os.Getpagesize()
	err := a.options.fault("map")
	if err == nil {
		var mapped []byte
		if mapped, err = mapPart(a.file, a.at-lead, lead+n, a.writes, a.mapped); err == nil {
			a.mapped, a.mem = mapped, mapped[lead:]
		}
	}
	if err != nil {
		a.options = nil
	}
}

// unmap gives back the addresses. What is done to the area afterwards is done to the file.
func (a *area) unmap() {
	if a.mapped != nil {
		unmapPart(a.mapped)
	}
	a.mapped, a.mem, a.options = nil, nil, nil
}

// readAt fills dst with what is at offset.
func (a *area) readAt(dst []byte, offset int) error {
	a.extend(offset + len(dst))
	n := min(max(0, len(a.mem)-offset), len(dst))
	if n > 0 {
		if err := touch(func() { copy(dst[:n], a.mem[offset:]) }); err != nil {
			return err
		}
	}
	_, err := a.file.ReadAt(dst[n:], int64(a.at+offset+n))
	return err
}

// writeAt writes src at offset, and returns how much of it. Where the area has been filled
// before, its memory is there. Else it is taken by writing to the file: then it is an error and
// no fault if there is none, and no page is made to be cleared first.
func (a *area) writeAt(src []byte, offset int) (n int, err error) {
	if offset < a.filled {
		a.extend(min(offset+len(src), a.filled))
		n = min(max(0, min(len(a.mem), a.filled)-offset), len(src))
	}
	if n > 0 {
		if err := touch(func() { copy(a.mem[offset:], src[:n]) }); err != nil {
			return 0, err
		}
	}
	if n < len(src) {
		var m int
		m, err = a.file.WriteAt(src[n:], int64(a.at+offset+n))
		n += m
	}
	a.filled = max(a.filled, offset+n)
	return n, err
}

// load reads the words at the start of the area. Each is read at once, and what was written
// before a word is not read older than the word.
func (a *area) load(words []uint64) error {
	if a.mem != nil {
		return touch(func() {
			for i := range words {
				words[i] = wordAt(a.mem, 8*i).Load()
			}
		})
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
	_, err := a.file.ReadAt(b, int64(a.at))
	return err
}

// store writes one word.
func (a *area) store(word int64, v uint64) error {
	if a.mem != nil {
		return touch(func() { wordAt(a.mem, int(word)).Store(v) })
	}
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	_, err := a.file.WriteAt(b[:], int64(a.at)+word)
	return err
}

// errFault is a fault: a hole was touched that no memory can fill, or what is behind the end.
var errFault = errors.New("there is no memory for a part of the segment")

// touch calls f, which copies from or to mapped memory and does nothing else. A fault is an
// error: without this it ends the process.
func touch(f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch v := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // what the runtime makes of a fault has the address
			err = errFault
		default:
			panic(v)
		}
	}()
	f()
	return nil
}

// trim gives back what has been used beyond keep. The area may be mapped again.
func (a *area) trim(o *Options) {
	if a.options = o; len(a.mem) > keep {
		if a.resize(keep); len(a.mem) > keep {
			a.unmap()
		}
	}
	if a.filled > keep {
		punchHole(a.file, int64(a.at+keep), int64(a.filled-keep))
		a.filled = keep
	}
}
