package pipe

import (
	"sync"
	"testing"
	"testing/synctest"
)

// step is one thing that is done to a Turn, and what becomes of it. A step of the
// follower's that blocks goes on in the background, at most one at a time.
type step struct {
	op    string // what is done
	got   string // what it returned; of await: "follows", "pending" or "blocks"
	wakes string // how an await that blocked before has returned now; empty: it blocks still
	state string // afterwards: the state and every flag that is set
}

func TestTurn(t *testing.T) {
	for _, test := range []struct {
		name    string
		resting bool
		steps   []step
	}{
		{"a follower that is wanted goes on", false, []step{
			{"want", "", "", "follows wanted"},
			{"await", "follows", "", "follows wanted"},
			{"await", "follows", "", "follows wanted"},
			{"lead", "no", "", "follows wanted"},
		}},
		{"a follower that is not wanted rests", false, []step{
			{"lead", "no", "", "follows"},
			{"await", "blocks", "", "rests"},
			{"free", "yes", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"free", "no", "", "leads"},
			{"lead", "no", "", "leads"},
			{"yield", "", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"yield", "", "", "rests"},
		}},
		{"it is wanted before it is woken", false, []step{
			{"await", "blocks", "", "rests"},
			{"want", "", "", "rests wanted"},
			{"lead", "no", "", "rests wanted"},
			{"unwant", "", "", "rests"},
			{"wake", "", "", "rests"},
			{"want", "", "", "rests wanted"},
			{"wake", "", "follows", "follows wanted"},
			{"unwant", "", "", "follows"},
			{"await", "blocks", "", "rests"},
		}},
		{"the leader leaves something", false, []step{
			{"await", "blocks", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"yield pending", "", "pending", "follows"},
			{"await", "blocks", "", "rests"},
		}},
		{"what is left is handed over once, before all else", true, []step{
			{"lead", "yes", "", "leads"},
			{"yield pending", "", "", "rests pending"},
			{"lead", "no", "", "rests pending"},
			{"want", "", "", "rests wanted pending"},
			{"end", "", "", "rests wanted pending ended"},
			{"await", "pending", "", "follows wanted ended"},
			{"await", "follows", "", "follows wanted ended"},
		}},
		{"a follower that is wanted while the leader reads", false, []step{
			{"await", "blocks", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"want", "", "", "leads wanted"},
			{"wake", "", "", "leads wanted"},
			{"yield", "", "follows", "follows wanted"},
		}},
		{"the end while the leader reads", false, []step{
			{"await", "blocks", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"end", "", "", "leads ended"},
			{"yield pending", "", "pending", "follows ended"},
			{"await", "follows", "", "follows ended"},
			{"lead", "no", "", "follows ended"},
		}},
		{"the end while no goroutine reads", false, []step{
			{"await", "blocks", "", "rests"},
			{"end", "", "follows", "follows ended"},
			{"rest", "", "", "rests ended"},
			{"lead", "no", "", "rests ended"},
			{"await", "follows", "", "follows ended"},
		}},
		{"a leader from the start", true, []step{
			{"free", "yes", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"await", "blocks", "", "leads"},
			{"wake", "", "", "leads"},
			{"yield", "", "", "rests"},
			{"reclaim", "", "follows", "follows wanted"},
			{"lead", "no", "", "follows wanted"},
		}},
		{"the follower rests early", true, []step{
			{"reclaim", "", "", "rests wanted"},
			{"lead", "no", "", "rests wanted"},
			{"await", "follows", "", "follows wanted"},
			{"rest", "", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"await", "blocks", "", "leads"},
			{"yield", "", "", "rests"},
			{"lead", "yes", "", "leads"},
		}},
		{"the follower is reclaimed before it has come to rest", true, []step{
			{"reclaim", "", "", "rests wanted"},
			{"await", "follows", "", "follows wanted"},
			{"rest", "", "", "rests"},
			{"reclaim", "", "", "rests wanted"},
			{"lead", "no", "", "rests wanted"},
			{"await", "follows", "", "follows wanted"},
		}},
		{"a leader is not reclaimed from", true, []step{
			{"await", "blocks", "", "rests"},
			{"lead", "yes", "", "leads"},
			{"reclaim", "", "", "leads"},
			{"yield", "", "", "rests"},
			{"lead", "yes", "", "leads"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runSteps(t, NewTurn(test.resting), test.steps) })
		})
	}
}

func runSteps(t *testing.T, turn *Turn, steps []step) {
	awaited := make(chan string, 1)
	blocked := false
	defer func() {
		turn.mu.Lock()
		turn.ended, turn.state = true, rests // lets a goroutine go that is still in Await
		turn.mu.Unlock()
		turn.Wake()
	}()
	for i, s := range steps {
		got, wakes := "", ""
		if s.op == "await" {
			go func() { awaited <- choose(turn.Await(), "pending", "follows") }()
			synctest.Wait()
			select {
			case got = <-awaited:
			default:
				got, blocked = "blocks", true
			}
		} else {
			got = do(turn, s.op)
			synctest.Wait()
			select {
			case wakes = <-awaited:
				blocked = false
			default:
			}
		}
		if state := describe(turn); got != s.got || wakes != s.wakes || state != s.state {
			t.Fatalf("step %d, %s: returned %q, an await %q, then %q; want %q, %q, %q",
				i, s.op, got, wakes, state, s.got, s.wakes, s.state)
		}
		if blocked && i+1 < len(steps) && steps[i+1].op == "await" {
			t.Fatalf("step %d: the test has two followers", i+1)
		}
	}
}

func do(turn *Turn, op string) string {
	switch op {
	case "want":
		turn.Want(true)
	case "unwant":
		turn.Want(false)
	case "wake":
		turn.Wake()
	case "rest":
		turn.Rest()
	case "end":
		turn.End()
	case "lead":
		return choose(turn.Lead(), "yes", "no")
	case "free":
		return choose(turn.Free(), "yes", "no")
	case "yield":
		turn.Yield(false)
	case "yield pending":
		turn.Yield(true)
	case "reclaim":
		turn.Reclaim()
	default:
		panic("unknown operation " + op)
	}
	return ""
}

func choose(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func describe(t *Turn) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := [...]string{rests: "rests", follows: "follows", leads: "leads"}[t.state]
	return s + choose(t.wanted, " wanted", "") + choose(t.pending, " pending", "") + choose(t.ended, " ended", "")
}

// TestTurnHasOneReader has follower and leader take turns. The race detector sees two that
// read at once, and the test hangs if one is forgotten.
func TestTurnHasOneReader(t *testing.T) {
	const rounds = 1000
	turn := NewTurn(true)
	reads, left := 0, false // of the reader
	followed, quit := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			if pending := turn.Await(); pending != left {
				t.Errorf("pending is %v, the leader has left something: %v", pending, left)
			}
			reads, left = reads+1, false
			select {
			case <-quit:
				return
			default:
			}
			turn.Want(false)
			followed <- struct{}{}
		}
	})
	led := 0
	for i := range rounds {
		if turn.Lead() {
			led++
			leave := i%3 == 0
			reads, left = reads+1, leave
			turn.Yield(leave)
			if leave {
				<-followed
			}
		}
		if i%2 == 0 {
			turn.Want(true)
			turn.Wake()
			<-followed
		}
	}
	close(quit)
	turn.End()
	group.Wait()
	if led == 0 || reads <= led {
		t.Errorf("%d reads, %d of them the leader's", reads, led)
	}
}
