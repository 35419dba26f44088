package worker

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/parallel/internal/shm"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/wire"
)

// Whole workers, in this process.

// serve starts a worker and greets it.
func serve(t *testing.T, shared bool) *parent {
	t.Helper()
	p, l := newParent(t, shared)
	p.start(l, hello)
	return p
}

// start starts the worker with that link, and greets it with m.
func (p *parent) start(l Link, m wire.Hello) {
	t := p.t
	t.Helper()
	go Serve(l, p.config)
	t.Cleanup(func() {
		p.requests.Close()
		await(t, p.dead)
	})
	p.send(helloFrame(m))
	kind, payload, err := p.frames.Next()
	if err != nil || kind != wire.KindHello {
		t.Fatalf("a frame of kind %d, %v", kind, err)
	}
	var welcome wire.Welcome
	if err := welcome.Parse(payload); err != nil {
		t.Fatal(err)
	}
	if welcome.Version != wire.Version || welcome.PID != os.Getpid() || welcome.Mapped != (p.segment != nil) || (welcome.Memory > 0) != (m.MaxMemory > 0) || !slices.Equal(welcome.Registered, []string{"double", "obey"}) {
		t.Fatalf("it is welcomed with %+v", welcome)
	}
}

func TestServeRunsItems(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.send(callFrame(wire.Call{ID: 1, Function: fnDouble}))
		p.send(intsFrame(1, 0, 1, 2, 3))
		p.expect("started 1", "result 1: 2", "started 2", "result 2: 4", "started 3", "result 3: 6")
		p.send(callFrame(wire.Call{ID: 2, Function: fnObey, Timeout: time.Second, Deadline: time.Hour, Shared: true, ShareType: "T", Share: []byte("v")}))
		p.send(textsFrame(4, 0, "a", "", "shared", "limits"))
		p.expect("started 4", "result 4: a", "started 5", "result 5: ", "started 6", "result 6: T=v",
			"started 7", fmt.Sprintf("result 7: 1s %d -1 true", 1<<30))
		p.send(callFrame(wire.Call{ID: 1, Known: true}))
		p.send(intsFrame(8, 3, 4))
		p.expect("started 8", "result 8: 8")
	})
}

// TestServeRunsManyItems sends enough of them for quanta of many.
func TestServeRunsManyItems(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.send(callFrame(wire.Call{ID: 1, Function: fnDouble}))
		const runs, n = 5, 1000
		items := make([]uint64, n)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for r := range runs {
				for i := range items {
					items[i] = uint64(r*n + i)
				}
				p.send(intsFrame(uint64(r*n+1), r*n, items...))
			}
		}()
		for i := range runs * n {
			p.expect(fmt.Sprintf("started %d", i+1), fmt.Sprintf("result %d: %d", i+1, 2*i))
		}
		await(t, done)
	})
}

func TestServeTakesItemsFromTheSegment(t *testing.T) {
	p := serve(t, true)
	data := wire.RunData(intsFrame(1, 0, 7, 8))
	at, ok := p.segment.PutItems(1, data, func() bool { return false })
	if !ok {
		t.Fatal("a slot does not take items")
	}
	p.send(callFrame(wire.Call{ID: 1, Function: fnDouble}))
	m := wire.Slot{Run: wire.Run{Seq: 1, Count: 2, Size: 8}, At: at, Length: len(data)}
	p.send(m.Append(wire.Begin(nil, wire.KindSlot)))
	p.expect("result 1: 14", "result 2: 16")
}

// TestResultsOfAllSizes has results around the sizes at which they take another way.
func TestResultsOfAllSizes(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.costs(fnObey, 1) // so that they are of one quantum, if it can be of many
		p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
		var sizes []int
		for range 2 { // with and without what the first round has left
			for _, around := range []int{200, shm.RingRoom, sendSize, shm.RingFull, 2 * shm.RingFull} {
				sizes = append(sizes, around-4, around-1, around, around+1, around+shm.RingRoom, 1)
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			texts := make([]string, len(sizes))
			for i, n := range sizes {
				texts[i] = fmt.Sprintf("grow %d", n)
			}
			p.send(textsFrame(1, 0, texts...))
		}()
		for i, n := range sizes {
			p.expect(fmt.Sprintf("started %d", i+1), fmt.Sprintf("result %d: %s", i+1, short([]byte(grown(n)))))
		}
		await(t, done)
	})
}

// TestMemoryForLargeResultsIsKept has a worker with private memory run two items with
// results that its ring has no room for.
func TestMemoryForLargeResultsIsKept(t *testing.T) {
	w, p := newTestWorker(t, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		quantum(w.results, 1, 1, &Function{ResultSize: -1})
		w.part.header = 4
		b := append(w.part.Buffer(), grown(2*shm.RingFull)...)
		w.part.Put(b)
		if again := w.part.Buffer(); len(again) != 4 || cap(again) < cap(b) {
			t.Errorf("the next result begins with %d bytes of %d", len(again), cap(again))
		}
	}()
	p.expect("started 1", fmt.Sprintf("result 1: %d bytes", 2*shm.RingFull))
	await(t, done)
}

func TestServeReportsFailures(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.send(callFrame(wire.Call{ID: 1, Function: fnObey, KeepGoing: true}))
		long := "fail" + strings.Repeat("!", 2*sendSize)
		p.send(textsFrame(1, 0, "a", "fail", "panic", "goexit", "b", long, "c"))
		p.expect("started 1", "result 1: a", "started 2", "failure 2: fail", "started 3", "failure 3: panic: oh",
			"started 4", "failure 4: goexit", "started 5", "result 5: b", "started 6", "failure 6: "+long, "started 7", "result 7: c")
	})
}

// TestServeGoesOn has an item, or a method of its error, end in each of the ways in which
// code of the user's may. The executor goes on behind each.
func TestServeGoesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.costs(fnObey, 1) // so that they are of one quantum, if it can be of many
		p.send(callFrame(wire.Call{ID: 1, Function: fnObey, KeepGoing: true}))
		seq := uint64(0)
		for range 3 {
			for _, test := range []struct{ item, failure string }{
				{"panic", "panic: oh"},
				{"goexit", "goexit"},
				{"panic during goexit", "panic: oh"},
				{"fail, then panic", "panic: oh"},
				{"fail, then goexit", "goexit"},
				{"fail, then panic during goexit", "panic: oh"},
				{"panic, then panic", "panic: oh"},
				{"panic, then goexit", "goexit"},
				{"panic during goexit, then panic", "panic: oh"},
				{"panic during goexit, then goexit", "goexit"},
			} {
				p.send(textsFrame(seq+1, int(seq), "a", test.item, "b"))
				p.expect(fmt.Sprintf("started %d", seq+1), fmt.Sprintf("result %d: a", seq+1),
					fmt.Sprintf("started %d", seq+2), fmt.Sprintf("failure %d: %s", seq+2, test.failure),
					fmt.Sprintf("started %d", seq+3), fmt.Sprintf("result %d: b", seq+3))
				seq += 3
			}
		}
	})
}

// TestServeStopsAtAnyFailure has items behind such failures: they do not start.
func TestServeStopsAtAnyFailure(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.costs(fnObey, 1)
		for i, item := range []string{"goexit", "panic during goexit", "fail, then goexit", "panic during goexit, then goexit"} {
			seq := uint64(3*i + 1)
			p.send(callFrame(wire.Call{ID: uint64(i), Function: fnObey}))
			p.send(textsFrame(seq, 0, item, "a", "b"))
			want := "goexit"
			if item == "panic during goexit" {
				want = "panic: oh"
			}
			p.expect(fmt.Sprintf("started %d", seq), fmt.Sprintf("failure %d: %s", seq, want),
				fmt.Sprintf("dropped %d", seq+1), fmt.Sprintf("dropped %d", seq+2))
		}
	})
}

// TestServeStopsForAnyCause has the code that decodes the cause of a stop end in each of
// these ways. The listener goes on.
func TestServeStopsForAnyCause(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		for i, test := range []struct{ cause, want string }{
			{"", "context canceled"}, {"panic", "panic: oh"}, {"goexit", "goexit"}, {"panic during goexit", "panic: oh"}, {"known", "known"},
		} {
			seq := uint64(i + 1)
			p.send(callFrame(wire.Call{ID: seq, Function: fnObey}))
			p.send(textsFrame(seq, 0, "wait"))
			await(t, p.hooks.running)
			p.send(stopFrame(seq, -1, test.cause))
			p.expect(fmt.Sprintf("started %d", seq), fmt.Sprintf("failure %d: %s", seq, test.want))
		}
	})
}

// TestServeStopsAtAFailure has items behind one that fails.
func TestServeStopsAtAFailure(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
		p.send(textsFrame(1, 0, "a", "fail", "b", "c"))
		p.expect("started 1", "result 1: a", "started 2", "failure 2: fail", "dropped 3", "dropped 4")
	})
}

// TestServeStops ends what runs, by the listener: the executor is in the item.
func TestServeStops(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		for i := range 3 { // a worker is there for other calls afterwards
			id, seq := uint64(i), uint64(4*i+1)
			p.send(callFrame(wire.Call{ID: id, Function: fnObey}))
			p.send(textsFrame(seq, 0, "a"))
			p.send(textsFrame(seq+1, 1, "wait")) // the quantum ends where the frame does
			p.send(textsFrame(seq+2, 2, "b", "c"))
			await(t, p.hooks.running)
			p.expect(fmt.Sprintf("started %d", seq), fmt.Sprintf("result %d: a", seq), fmt.Sprintf("started %d", seq+1))
			p.send(stopFrame(id, 2, "known")) // it is wanted, and goes on
			p.expect(fmt.Sprintf("dropped %d", seq+3))
			p.send(stopFrame(id, -1, "known"))
			p.expect(fmt.Sprintf("dropped %d", seq+2), fmt.Sprintf("failure %d: known", seq+1))
		}
	})
}

// TestServeAnswersRecalls recalls the items behind one that runs, which the listener reads.
// When there is nothing to run, the executor reads again, unless the last item took long.
func TestServeAnswersRecalls(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
		seq := uint64(1)
		for range 10 {
			p.send(textsFrame(seq, int(seq), "gate")) // the quantum ends where the frame does
			p.send(textsFrame(seq+1, int(seq+1), "b", "c"))
			await(t, p.hooks.running)
			p.send(recallFrame())
			p.expect(fmt.Sprintf("started %d", seq), fmt.Sprintf("recalled %d-%d", seq+1, seq+2))
			p.send(recallFrame())
			p.expect("recalled 0-0")
			p.hooks.release <- struct{}{}
			p.expect(fmt.Sprintf("result %d: gate", seq))
			select {
			case <-p.polled: // from before
			default:
			}
			seq += 3
			for polled := false; !polled; seq++ {
				p.send(textsFrame(seq, int(seq), "b"))
				p.expect(fmt.Sprintf("started %d", seq), fmt.Sprintf("result %d: b", seq))
				select {
				case <-p.polled:
					polled = true
				case <-time.After(50 * relistenTime): // the item was kept from running: another try
				}
			}
		}
	})
}

// TestClaimedItemsGoBackIntoTheQueue has an item of a quantum of many take long. The first
// recall gives back what was queued, and the second what had been claimed behind the item.
func TestClaimedItemsGoBackIntoTheQueue(t *testing.T) {
	w, p := newTestWorker(t, true)
	p.costs(fnObey, quantumTime/4)
	give(t, w, callFrame(wire.Call{ID: 1, Function: fnObey}))
	give(t, w, textsFrame(1, 0, "a", "gate", "b", "c", "d", "e"))
	call, ctx := w.next() // four of them
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(call, ctx)
	}()
	await(t, p.hooks.running)
	give(t, w, recallFrame())
	p.expect("result 1: a", "recalled 5-6")
	p.hooks.release <- struct{}{}
	await(t, ended)
	checkWaiting(t, w, "the gate", 2, 3)
	give(t, w, recallFrame())
	p.expect("result 2: gate", "recalled 3-4")
	if w.part.run.Data != nil || w.claimed.Count != 2 {
		t.Errorf("of what it claimed %d items count, and %d bytes are held", w.claimed.Count, len(w.part.run.Data))
	}
}

// TestTheDoorbellIsAnswered rings for a frame that the executor has to read between two
// quanta, though there is more to run.
func TestTheDoorbellIsAnswered(t *testing.T) {
	p := serve(t, true)
	p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
	p.send(textsFrame(1, 0, "gate"))
	p.send(textsFrame(2, 1, "gate", "c"))
	await(t, p.hooks.running)
	p.segment.RingDoorbell(1)
	p.hooks.release <- struct{}{}
	for {
		if running, ok := p.segment.Running(); running != 1 || !ok {
			break
		}
		runtime.Gosched()
	}
	select {
	case <-p.hooks.running:
		t.Error("an item was begun before the frame was read")
	case <-time.After(10 * time.Millisecond): // too short a time can only make the test pass
	}
	p.send(recallFrame())
	p.expect("result 1: gate", "recalled 2-3")
}

func TestAWorkerDies(t *testing.T) {
	for name, end := range map[string]func(p *parent){
		"with its requests":                func(p *parent) { p.requests.Close() },
		"of a frame that it does not know": func(p *parent) { p.send(wire.Begin(nil, 77)) },
		"of a second hello":                func(p *parent) { p.send(helloFrame(hello)) },
		"of nonsense":                      func(p *parent) { p.send(append(wire.Begin(nil, wire.KindItems), "nonsense"...)) },
		"of a length that nothing follows": func(p *parent) {
			frame := wire.Begin(nil, wire.KindItems)
			copy(frame, "\xff\xff\xff\xff")
			p.sealer.Seal(frame)
			_, _ = p.requests.Write(append(frame, 1))
			p.requests.Close()
		},
		"of what is no frame":             func(p *parent) { _, _ = p.requests.Write([]byte("GET / HTTP/1.0\r\n\r\n")) },
		"of a frame that is not the next": func(p *parent) { p.sealer.Seal(wire.Begin(nil, wire.KindCall)); p.send(recallFrame()) },
		"when its results are not read": func(p *parent) {
			p.results.Close()
			p.send(callFrame(wire.Call{ID: 1}))
			p.send(intsFrame(1, 0, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, shared bool) {
				p := serve(t, shared)
				end(p)
				await(t, p.dead)
			})
		})
	}
}

// TestAWorkerDiesWhileAnItemRuns cuts the requests off when the executor does not read.
func TestAWorkerDiesWhileAnItemRuns(t *testing.T) {
	p := serve(t, false)
	p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
	p.send(textsFrame(1, 0, "gate"))
	await(t, p.hooks.running)
	p.requests.Close()
	await(t, p.dead)
	p.hooks.release <- struct{}{}
}

// TestAnItemEndsBeforeItsWorker sends a frame that makes no sense while an item runs, which is
// not to blame: it comes to its end before the worker dies.
func TestAnItemEndsBeforeItsWorker(t *testing.T) {
	everywhere(t, func(t *testing.T, shared bool) {
		p := serve(t, shared)
		p.send(callFrame(wire.Call{ID: 1, Function: fnObey}))
		p.send(textsFrame(1, 0, "gate"))
		p.expect("started 1")
		await(t, p.hooks.running)
		p.send(append(wire.Begin(nil, wire.KindSlot), 1))
		w := serving.Load()
		testkit.WaitFor(t, "the frame to be read", func() bool {
			select {
			case <-p.dead:
				t.Fatal("it died while the item was running")
			default:
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.doomed
		})
		p.hooks.release <- struct{}{}
		p.expect("result 1: gate")
		await(t, p.dead)
	})
}

func TestAWorkerIsGreetedFirst(t *testing.T) {
	for name, frame := range map[string][]byte{
		"another kind": recallFrame(),
		"malformed":    wire.Begin(nil, wire.KindHello),
	} {
		t.Run(name, func(t *testing.T) {
			p, l := newParent(t, false)
			w := newWorker(l, p.config)
			p.send(frame)
			if err := w.greet(); err == nil {
				t.Error("it was welcomed")
			}
		})
	}
	p, l := newParent(t, false)
	p.requests.Close()
	if err := newWorker(l, p.config).greet(); err == nil {
		t.Error("nothing was welcomed")
	}
}
