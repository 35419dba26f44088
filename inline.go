package parallel

import (
	"example.com/parallel/internal/cost"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/stream"
	"example.com/parallel/internal/worker"
)

// The compiler exports the inlinable body of another package's function only if this
// package has inlined it into a plain function (cmd/compile/internal/noder, exportBody).
// The loops are generic and are instantiated in the user's package, which sees nothing
// else: there, what they call for each item would be real calls, a third more for each item.
// So they call these, and internal/inlinecheck proves that it helps.

func cheap(f *cost.Function, n int) bool { return schedule.Cheap(f, n) }
func more(p *worker.Part, i int) bool    { return p.More(i) }
func begun(p *worker.Part) int           { return p.Begun() }
func begin(p *worker.Part, i int)        { p.Begin(i) }
func commit(p *worker.Part, size int)    { p.Commit(size) }

// What package stream calls for each item of MapSeq is exported with this package because it
// is inlined here. It is not run.
var _ = func() {
	stream.InlineFlag()
	stream.InlineWord(nil, nil)
	stream.InlineCall(nil)
}
