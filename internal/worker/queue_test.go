package worker

import (
	"fmt"
	"slices"
	"testing"

	"example.com/parallel/internal/wire"
)

// in is a run of items of c, numbered as their indices.
func in(c *call, from, n int) queuedRun {
	return queuedRun{wire.Run{Seq: uint64(from), Index: from, Count: n, Data: nil, Size: 0}, c}
}

func (q *queue) String() (s string) {
	for _, r := range q.runs {
		s += fmt.Sprintf("%d:%d+%d ", r.call.id, r.Index, r.Count)
	}
	return s
}

func TestQueueDrops(t *testing.T) {
	for _, test := range []struct {
		bound   int64
		left    string
		dropped []seqRange
	}{
		{noBound, "1:10+3 2:20+2 1:30+1 ", nil},
		{30, "1:10+3 2:20+2 1:30+1 ", nil},
		{29, "1:10+3 2:20+2 ", []seqRange{{30, 30}}},
		{12, "1:10+3 2:20+2 ", []seqRange{{30, 30}}},
		{10, "1:10+1 2:20+2 ", []seqRange{{11, 12}, {30, 30}}},
		{9, "2:20+2 ", []seqRange{{10, 12}, {30, 30}}},
		{-1, "2:20+2 ", []seqRange{{10, 12}, {30, 30}}},
	} {
		one, two := &call{id: 1, bound: test.bound}, &call{id: 2, bound: 0}
		var q queue
		q.push(in(one, 10, 3))
		q.push(in(two, 20, 2))
		q.push(in(one, 30, 1))
		if got := q.drop(one); !slices.Equal(got, test.dropped) || q.String() != test.left {
			t.Errorf("bound %d: dropped %v and left %v, want %v and %v", test.bound, got, &q, test.dropped, test.left)
		}
	}
}

func TestQueueDropsRevoked(t *testing.T) {
	for _, test := range []struct {
		before  uint64
		left    string
		dropped []seqRange
	}{
		{0, "1:10+3 2:20+2 1:30+1 ", nil},
		{10, "1:10+3 2:20+2 1:30+1 ", nil},
		{11, "1:11+2 2:20+2 1:30+1 ", []seqRange{{10, 10}}},
		{13, "2:20+2 1:30+1 ", []seqRange{{10, 12}}},
		{21, "2:21+1 1:30+1 ", []seqRange{{10, 12}, {20, 20}}},
		{31, "", []seqRange{{10, 12}, {20, 21}, {30, 30}}},
	} {
		one, two := &call{id: 1}, &call{id: 2}
		var q queue
		q.push(in(one, 10, 3))
		q.push(in(two, 20, 2))
		q.push(in(one, 30, 1))
		if got := q.dropBefore(test.before); !slices.Equal(got, test.dropped) || q.String() != test.left {
			t.Errorf("before %d: dropped %v and left %v, want %v and %v", test.before, got, &q, test.dropped, test.left)
		}
	}
}

// TestQueueDropsWhatHasChanged has revoked items whose memory holds others by now.
func TestQueueDropsWhatHasChanged(t *testing.T) {
	r := in(&call{id: 1}, 10, 2)
	r.Size, r.Data = -1, []byte("lengths that are none")
	var q queue
	q.push(r)
	if got := q.dropBefore(r.Seq + 2); !slices.Equal(got, []seqRange{{r.Seq, r.Seq + 1}}) || !q.empty() {
		t.Errorf("dropped %v and left %v", got, &q)
	}
}

func TestQueueKeepsOrder(t *testing.T) {
	c := &call{id: 1}
	var q queue
	check := func(want string) {
		t.Helper()
		if got := q.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := q.clear(); got != (seqRange{}) {
		t.Errorf("an empty queue held %v", got)
	}
	q.push(in(c, 1, 5))
	q.push(in(c, 6, 2))
	r, last := q.pop(2)
	if r.Index != 1 || r.Count != 2 || last {
		t.Errorf("it took %+v, %v", r, last)
	}
	check("1:3+3 1:6+2 ")
	r.Split(1)
	q.putBack(r)
	check("1:2+1 1:3+3 1:6+2 ")
	if r, last = q.pop(10); r.Count != 1 || !last {
		t.Errorf("it took %+v, %v", r, last)
	}
	if got := q.clear(); got != (seqRange{3, 7}) || !q.empty() {
		t.Errorf("it held %v, and %v is left", got, &q)
	}
}
