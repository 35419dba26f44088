package supervisor

import "sync"

// gate is a sync.WaitGroup that may be used within and outside of a testing/synctest bubble at
// the same time, as a pool may be that is a variable of the program. The zero value is open.
type gate struct {
	mu   sync.Mutex
	n    int        // what must be done before the gate is open
	shut sync.Mutex // held while n is positive, by no goroutine in particular
}

// Add adds n, which is negative for what is done.
func (g *gate) Add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.n
	switch g.n += n; {
	case g.n < 0:
		panic("supervisor: a gate was opened too often")
	case was == 0 && g.n > 0:
		g.shut.Lock() // at most for as long as Wait takes from here on
	case was > 0 && g.n == 0:
		g.shut.Unlock()
	}
}

// Done takes in that one thing is done.
func (g *gate) Done() { g.Add(-1) }

// Wait waits until the gate is open.
func (g *gate) Wait() {
	g.shut.Lock()
	defer g.shut.Unlock()
}
