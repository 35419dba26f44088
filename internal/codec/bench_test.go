package codec_test

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
)

func small() Small { return Small{42, "a name of some length", []int32{1, 2, 3, 4, 5, 6, 7, 8}} }

// benchmark encodes and decodes a value of type T, into memory that is there already as an element of the results is.
func benchmark[T any](b *testing.B, v T) {
	types := new(codec.Types)
	plan, err := types.Plan(reflect.TypeFor[T]())
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	var got, zero T
	b.ReportAllocs()
	for b.Loop() {
		got = zero
		if buf, err = plan.Append(buf[:0], unsafe.Pointer(&v), 1<<30); err != nil {
			b.Fatal(err)
		}
		if err = plan.Decode(buf, unsafe.Pointer(&got)); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkCodec(b *testing.B) {
	b.Run("type=small", func(b *testing.B) { benchmark(b, small()) })
	b.Run("type=fixed", func(b *testing.B) { benchmark(b, struct{ A, B, C, D int64 }{1, 2, 3, 4}) })
	b.Run("type=padded", func(b *testing.B) { benchmark(b, Padded{1, 2, true}) })
	b.Run("type=bytes/n=65536", func(b *testing.B) { benchmark(b, make([]byte, 64<<10)) })
	b.Run("type=floats/n=131072", func(b *testing.B) { benchmark(b, make([]float64, 128<<10)) })
	b.Run("type=smalls/n=1000", func(b *testing.B) { benchmark(b, repeated(small(), 1000)) })
	b.Run("type=strings/n=1000", func(b *testing.B) { benchmark(b, repeated("a string", 1000)) })
	b.Run("type=map/n=100", func(b *testing.B) { benchmark(b, hundred()) })
	b.Run("type=any", func(b *testing.B) {
		benchmark[any](b, map[string]any{"a": 1, "b": "two", "c": []any{1.5, nil, true}})
	})
	b.Run("type=url", func(b *testing.B) { benchmark(b, *must(url.Parse("http://u:p@example.com/a?b#c"))) })
	b.Run("type=address", func(b *testing.B) { benchmark(b, netip.MustParseAddr("fe80::1")) })
	b.Run("type=bigint", func(b *testing.B) { benchmark(b, big.NewInt(1<<60)) })
	for name, loc := range map[string]*time.Location{"utc": time.UTC, "local": time.Local, "fixed": zones()["fixed"], "named": zones()["Europe/Berlin"]} {
		b.Run("type=time/zone="+name, func(b *testing.B) { benchmark(b, time.Now().In(loc)) })
		b.Run("type=stamped/zone="+name, func(b *testing.B) { benchmark(b, Stamped{small(), time.Now().In(loc)}) })
		b.Run("type=times/n=1000/zone="+name, func(b *testing.B) { benchmark(b, hours(1000, loc)) })
	}
	b.Run("type=times/n=1000/zone=many", func(b *testing.B) { benchmark(b, hours(1000, slices.Collect(maps.Values(zones()))...)) })
}

// Stamped is a usual struct, with a time.
type Stamped struct {
	Small
	At time.Time
}

// hours gives n times of several years, out of order, in each of the locations in turn.
func hours(n int, locs ...*time.Location) []time.Time {
	times := make([]time.Time, n)
	for i := range times {
		times[i] = time.Unix(1.6e9, 0).Add(time.Duration(i*7919%(5*365*24)) * time.Hour).In(locs[i%len(locs)])
	}
	return times
}

func repeated[T any](v T, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func hundred() map[string]int {
	m := make(map[string]int)
	for i := range 100 {
		m[fmt.Sprint("key", i)] = i
	}
	return m
}

// BenchmarkGob is what the codec is compared with: with an encoder and decoder that are kept, which send the type
// once, and with fresh ones.
func BenchmarkGob(b *testing.B) {
	b.Run("type=small/encoder=kept", func(b *testing.B) {
		var buf bytes.Buffer
		enc, dec := gob.NewEncoder(&buf), gob.NewDecoder(&buf)
		v, got := small(), Small{}
		b.ReportAllocs()
		for b.Loop() {
			gobOnce(b, enc, dec, &v, &got)
		}
	})
	b.Run("type=small/encoder=fresh", func(b *testing.B) {
		v, got := small(), Small{}
		b.ReportAllocs()
		for b.Loop() {
			var buf bytes.Buffer
			gobOnce(b, gob.NewEncoder(&buf), gob.NewDecoder(&buf), &v, &got)
		}
	})
	b.Run("type=bytes/n=65536/encoder=kept", func(b *testing.B) {
		var buf bytes.Buffer
		enc, dec := gob.NewEncoder(&buf), gob.NewDecoder(&buf)
		v, got := make([]byte, 64<<10), []byte(nil)
		b.SetBytes(64 << 10)
		for b.Loop() {
			gobOnce(b, enc, dec, &v, &got)
		}
	})
}

func gobOnce[T any](b *testing.B, enc *gob.Encoder, dec *gob.Decoder, v, got *T) {
	var zero T
	*got = zero
	if err := enc.Encode(v); err != nil {
		b.Fatal(err)
	}
	if err := dec.Decode(got); err != nil {
		b.Fatal(err)
	}
}

// Starting up costs the compilation of plans and the comparison of types.
func BenchmarkDescribe(b *testing.B) {
	for b.Loop() {
		new(codec.Types).Describe()
	}
}

// BenchmarkCopy is the least that sending bytes can cost: one copy into the message and one into fresh memory.
func BenchmarkCopy(b *testing.B) {
	v := make([]byte, 64<<10)
	var buf []byte
	b.SetBytes(64 << 10)
	for b.Loop() {
		buf = append(buf[:0], v...)
		bytes.Clone(buf)
	}
}
