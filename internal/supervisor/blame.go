package supervisor

import "sync"

// blame counts, for one call, what decides whether a worker's death is an item's fault.
// The item that was running is at fault: that is known and not counted here. What is
// counted are deaths that happen between items: one of them is bad luck, several for the
// same item are not. The zero value is ready. It is safe for concurrent use.
type blame struct {
	mu      sync.Mutex
	between map[int]int // by item: workers that died when it was next to run and had not begun, those that were silent for more; nil: none did
	retries map[int]int // by item: how often it was given back because of Retry; nil: none was
}

// maxUnexplained is how many workers may die when an item is next to run, before that item is
// held responsible all the same.
const maxUnexplained = 3

// diedBefore takes in that a worker died when item i was the next that it was to run; costly
// says that it was killed because it did nothing. It reports whether that has happened too
// often to be the fault of anything but the item: a silence takes seconds, so the second is
// one too many.
func (b *blame) diedBefore(i int, costly bool) (guilty bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.between == nil {
		b.between = make(map[int]int)
	}
	if b.between[i]++; costly {
		b.between[i]++
	}
	return b.between[i] > maxUnexplained
}

// retry reports whether item i, whose worker died under it, may run again, and counts that
// it does. most is how often an item may.
func (b *blame) retry(i, most int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.retries[i] >= most {
		return false
	}
	if b.retries == nil {
		b.retries = make(map[int]int)
	}
	b.retries[i]++
	return true
}
