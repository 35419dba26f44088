package parallel

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// The lookout notices when a caller who works alone has met an item that takes
// long, so that the items behind it need not wait. That caller looks at no clock,
// since that would cost more than tiny items do; instead it stands at a post, and
// a timer looks at all posts every lookoutEvery while there are such calls.

// lookoutEvery is how often the posts are looked at. A call that is at the same
// item at two looks is to be helped.
const lookoutEvery = time.Millisecond

// lookoutRounds is for how many looks there must have been no call before the
// timer is stopped. Starting it costs about as much as a call of a hundred items.
const lookoutRounds = 4

// post is where a caller who works alone can be seen. Callers take it from posts
// and bring it back, so that callers on several processors do not share one.
type post struct {
	calls atomic.Uint32 // raised at the begin of each call and at its end: odd in between
	alert atomic.Uint32 // not zero: look up, somebody may help
	seen  uint32        // what calls was at the last look; the lookout's
	_     [128]byte     // what is written at each call is on cache lines of its own
}

var posts = sync.Pool{New: func() any {
	p := new(post)
	lookout.mu.Lock()
	defer lookout.mu.Unlock()
	lookout.posts = append(lookout.posts, weak.Make(p))
	return p
}}

var lookout struct {
	mu    sync.Mutex
	posts []weak.Pointer[post] // a post that the pool dropped is forgotten
	quiet int                  // looks since there was a call
	armed atomic.Bool          // whether the timer is set
	timer *time.Timer          // never stopped from outside; init makes it
}

// init makes the timer here, as one that is made in a testing/synctest bubble
// would belong to it.
func init() {
	lookout.timer = time.AfterFunc(time.Hour, look)
	lookout.timer.Stop()
}

// enter begins a call at the post.
func (p *post) enter() {
	p.calls.Add(1)
	if !lookout.armed.Load() {
		arm()
	}
}

// leave ends it.
func (p *post) leave() {
	p.calls.Add(1)
	if p.alert.Load() != 0 {
		p.alert.Store(0)
	}
}

// arm sets the timer. In a testing/synctest bubble, where it is long before this
// process started, it does not: the timer's time would be one of the bubble's.
func arm() {
	if clock() < 0 || !lookout.armed.CompareAndSwap(false, true) {
		return
	}
	lookout.timer.Reset(lookoutEvery)
}

// look looks at all posts.
func look() {
	lookout.mu.Lock()
	defer lookout.mu.Unlock()
	if lookout.quiet++; someoneWorks() {
		lookout.quiet = 0
	}
	if lookout.quiet >= lookoutRounds {
		lookout.quiet = 0
		lookout.armed.Store(false)
		if !someoneWorks() || !lookout.armed.CompareAndSwap(false, true) {
			return // whoever comes now arms it
		}
	}
	lookout.timer.Reset(lookoutEvery)
}

// someoneWorks reports whether there has been a call since the last look, and
// gives an alert where it is the same as then. lookout.mu is held.
func someoneWorks() bool {
	works := false
	lookout.posts = slices.DeleteFunc(lookout.posts, func(w weak.Pointer[post]) bool {
		p := w.Value()
		if p == nil {
			return true
		}
		calls := p.calls.Load()
		if calls%2 == 1 {
			works = true
			if calls == p.seen {
				p.alert.Store(1)
			}
		}
		if calls != p.seen {
			works = true
		}
		p.seen = calls
		return false
	})
	return works
}
