package supervisor

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestList does the same to a list and to a slice.
func TestList(t *testing.T) {
	type element struct {
		number int
		link   link[*element]
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var l, other list[*element]
	var want []*element
	elements := make([]element, 10)
	for i := range elements {
		elements[i].number = i
	}
	for range 10_000 {
		e := &elements[r.IntN(len(elements))]
		i := slices.Index(want, e)
		switch r.IntN(3) {
		case 0:
			if l.push(&e.link, e); i < 0 {
				want = append(want, e)
			}
		case 1:
			if l.remove(&e.link) != (i >= 0) || other.remove(&e.link) {
				t.Fatalf("element %d, which is at %d, is removed or not", e.number, i)
			}
			if i >= 0 {
				want = slices.Delete(want, i, i+1)
			}
		case 2:
			if i >= 0 {
				l.toEnd(&e.link)
				want = append(slices.Delete(want, i, i+1), e)
			}
		}
		if !slices.Equal(l.values(), want) || l.n != len(want) {
			t.Fatalf("%d elements, %v, want %v", l.n, l.values(), want)
		}
		backwards := 0
		for e := l.last; e != nil; e = e.prev {
			backwards++
		}
		if backwards != len(want) {
			t.Fatalf("%d elements backwards, want %d", backwards, len(want))
		}
	}
}
