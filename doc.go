// Package parallel runs loops in parallel: on goroutines, or in operating system
// processes that may crash. Map is the for loop, only faster: the same results,
// the same error.
//
//	out, err := parallel.Map(ctx, items, resize)                        // on goroutines
//	out, err := parallel.Map(ctx, items, resize, parallel.Processes(4)) // the same call in processes
//
// [Map] returns results, [ForEach] has none, [MapSeq] works on sequences that
// may be endless, and [Spawn] starts a single call. Options choose the place:
// [Goroutines] is the default; [Processes] starts worker processes for one call;
// [On] names a [ProcessPool] that keeps them for the next.
//
// # Goroutines or processes?
//
// Take goroutines unless an item can do harm that a goroutine cannot survive or
// be freed from: crash in C code, make the Go runtime stop, run for ever without
// looking at its context, leak, or eat all memory. A worker process contains
// all of that, at the cost of encoding each item and each result and of a few
// milliseconds to start.
//
// # Results and errors
//
// Results come in the order of the items. Where fn fails, Map does as a loop that
// returns at the first error: the error is the [*ItemError] of the lowest index
// that fails, and the results are exactly those before it, so that
// len(results) == e.Index. No later item is started any more, the context of
// later items that are running ends, and earlier items run to their end
// undisturbed. For an fn that does the same at each run, both results and error
// are therefore the same at each run, with any number of workers, in both
// places.
//
// With [KeepGoing] every item runs. The results have a zero value where an item
// failed, and the error joins the *ItemErrors in index order.
//
// When the context of the call ends, no further item is started, and the error
// has context.Cause(ctx) in it. The results are the longest run of complete ones
// from the start; with KeepGoing every item without a result has an *ItemError
// with the cause. The context that fn is given ends too. A goroutine that does
// not listen to it is waited for; a worker process is killed after
// [ProcessPool.KillDelay].
//
// Inside an *ItemError is the error that fn returned, or one of these:
//
//   - [*PanicError], if fn panicked, and [ErrGoexit], if it called
//     runtime.Goexit. The program goes on. (There is one exception: a function
//     of which a thousand items and more have come to an end may be run by the
//     caller's own goroutine from then on. If it calls Goexit there, the caller
//     ends as it would in a loop, and the function is not run there again.)
//   - [*CrashError], if the worker process died. Only the item that it was
//     running has failed. Items that it had finished keep their results, and
//     those that it had not started go to another worker. No item runs twice,
//     unless [Retry] says that it may.
//   - [*RemoteError], for an error from a process whose type and value mean
//     nothing on this side. [RegisterError] and [RegisterType] give an error an
//     identity that crosses, for errors.Is and errors.As.
//
// A timeout ([ItemTimeout]) satisfies errors.Is(err, context.DeadlineExceeded) in
// both places.
//
// # Processes
//
// A worker process is this program, started again. Three lines prepare for it:
//
//	func init() { parallel.Register(resize) }
//
//	func main() {
//		parallel.Init() // first: in a worker process it never returns
//
// [Register] also checks that items and results can cross. What comes back from
// a process equals what comes back from a goroutine, for all that Register
// accepts: all basic types, strings, arrays, slices, maps, pointers, structs with
// exported fields, structs embedded in them, interfaces that hold types named by
// [RegisterType], and types that have MarshalBinary and UnmarshalBinary,
// GobEncode and GobDecode, or MarshalText and UnmarshalText (used in this order).
// Nil and empty stay apart, NaN keeps its bits, a time keeps its location but not
// its monotonic reading. What cannot cross (a func, a chan, an unexported field)
// makes Register panic with the path to it, and a value that contains itself is
// its item's error: nothing is ever dropped in silence. Two pointers to one value
// arrive as pointers to two equal ones.
//
// A function value crosses by its identity: a function that captures variables,
// or a method value, is refused by name ([ErrNotRegistered]). What it would have
// captured goes into the items or into [Share].
//
// A worker runs one item at a time. What fn prints reaches this program's
// standard output and error in whole lines. The context of fn has the deadline,
// the cancellation and the shared value of the call's context, no other values.
// Package-level variables are the worker's own. Workers are not trusted: nothing
// that one sends can make this program crash or read memory that it should not,
// or spoil items that other workers run.
//
// When Map, ForEach, Close or Wait returns, or a loop over MapSeq ends, nothing
// that the call started is left: no goroutine, process, descriptor or temporary
// file (the workers of a [ProcessPool] stay till its Close). When this program
// dies, by SIGKILL even, its workers and what they started in their process
// group die with it.
//
// # Limits
//
// Worker processes run on Linux, macOS, Windows and the BSDs; elsewhere starting
// one fails with [errors.ErrUnsupported]. On Windows, CrashError has exit codes
// and no signals. MaxMemoryBytes works on Linux only.
package parallel
