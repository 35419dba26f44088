// Package parallel runs a function over a slice or an iterator, on goroutines or
// in worker processes that may crash. Results keep their order, and the error is
// the one that a sequential loop would return.
//
// [Map] returns results:
//
//	out, err := parallel.Map(ctx, items, resize)                        // on goroutines
//	out, err := parallel.Map(ctx, items, resize, parallel.Processes(4)) // the same call in processes
//
// [ForEach] has no results, [MapSeq] works on sequences that may be endless, and
// [Spawn] starts a single call. Options choose where the function runs:
// [Goroutines] is the default, [Processes] starts worker processes for one call,
// and [On] uses a [ProcessPool], which keeps them for the next call.
//
// Use goroutines unless an item can do harm that a goroutine cannot survive or be
// freed from: crash in C code, stop the Go runtime, loop for ever, leak, or use
// up the memory. A worker process contains all of that. It costs the encoding of
// each item and each result, and a few milliseconds to start.
//
// # Results and errors
//
// Results are in the order of the items. If fn fails, Map does what a loop does
// that returns at the first error: the error is the [*ItemError] of the lowest
// index that fails, and the results are exactly those before it, so that
// len(results) == e.Index. Later items are not started any more, and the context
// of those that are running ends. Earlier items run to their end undisturbed. If
// fn is deterministic, results and error are therefore the same at every run,
// with any number of workers, on goroutines and in processes.
//
// With [KeepGoing] every item runs. A failed item has a zero result, and the
// error joins the *ItemErrors in index order.
//
// Items must not wait for one another. How many of them run at once depends on
// what they take: if a function is known to be fast, the caller runs it alone.
// Only with as many [Goroutines], [Processes] or workers of a pool as there are
// items are all of them sure to run at once.
//
// An *ItemError wraps the error that fn returned, or one of these:
//
//   - [*PanicError], if fn panicked, and [ErrGoexit], if it called
//     runtime.Goexit. The program continues.
//   - [*CrashError], if the worker process died. Only the item that it was
//     running fails. Items that it had finished keep their results, and items
//     that it had not started go to another worker. No item runs twice unless
//     [Retry] allows it. If something in the worker has destroyed what says
//     which item it was running, all items fail that it had been given.
//   - [*RemoteError], for an error from a worker process whose type is unknown
//     to this package. [RegisterError] and [RegisterType] give an error an
//     identity that crosses the process boundary, for errors.Is and errors.As.
//
// An error has the same text on goroutines and in processes. If a method of its
// type fails to encode or decode it, a *RemoteError with that text takes its
// place, and errors.Is and errors.As still find what it wraps. An error is cut if
// it has more than 256 KiB of text or wraps more than about 1 MiB, and what is
// nested deeper than 64 levels becomes text.
//
// # Cancellation and timeouts
//
// When the context of the call ends, no further item is started, the context
// that fn was given ends too, and the error wraps context.Cause(ctx). The results
// are the longest complete run from the start. With KeepGoing every item without
// a result has an *ItemError with the cause. [ItemTimeout] limits each item; its
// error satisfies errors.Is(err, context.DeadlineExceeded).
//
// An item that ignores its context is waited for on a goroutine. In a worker
// process it is killed after [ProcessPool.KillDelay]. An item that is still being
// encoded when the call ends counts as not started.
//
// # Worker processes
//
// A worker process is this program, started again. It needs a registered function
// and Init as the first statement of main:
//
//	func init() { parallel.Register(resize) }
//
//	func main() {
//		parallel.Init() // does not return in a worker process
//		out, err := parallel.Map(context.Background(), items, resize, parallel.Processes(4))
//		…
//	}
//
// A worker runs one item at a time. What fn prints reaches this program's
// standard output and error in whole lines. The context of fn has the deadline,
// the cancellation and the shared value of the call's context, and no other
// values. Package-level variables are the worker's own. A function crosses by its
// identity: a function that captures variables, or a method value, is refused
// with [ErrNotRegistered]. What it would have captured goes into the items or
// into [Share].
//
// # What can be sent
//
// A result from a worker process equals the result from a goroutine, for every
// type that [Register] accepts:
//
//   - basic types, strings, arrays, slices, maps, pointers, and structs with
//     exported fields, also embedded ones;
//   - interfaces that hold basic types, common containers of these, or types
//     named by [RegisterType];
//   - types with MarshalBinary and UnmarshalBinary, GobEncode and GobDecode, or
//     MarshalText and UnmarshalText;
//   - types that have a codec by [RegisterCodec].
//
// A codec comes first, and the structure second: a type crosses by its fields or
// elements if all fields are exported and each can cross in any way, even if it
// has methods for text or JSON, which may lose something. Only a type with an
// unexported field, or with a part that cannot cross, is sent by its methods,
// the first complete pair in the order above. Methods that are promoted from an
// embedded field do not count. A zero value arrives as a zero value without a
// method or codec being called.
//
// In the standard library, url.URL and regexp.Regexp arrive as they were, except
// that a regular expression of CompilePOSIX whose meaning depends on it is its
// item's error.
//
// Nil and empty stay apart, NaN keeps its bits, and a time keeps its location but
// not its monotonic reading. The location must be UTC, Local, a fixed zone, or a
// zone of the time zone database; a time in any other is its item's error, and so
// is a time that would have another offset in the other process. Two pointers to
// one value arrive as pointers to two equal ones. Register panics with the path
// to what cannot be sent (a func, a chan, or an unexported field) and says what to
// do about it. A value that contains itself is its item's error, and so is one in
// which more than 100,000 pointers, slices, maps and interfaces lie within one
// another, as in a long linked list.
//
// # Callbacks
//
// Code that is given to this package may panic, or call [runtime.Goexit], as
// t.FailNow does. Whichever goroutine or process it runs in, there is one rule for
// what it is called for:
//
//   - For an item: fn, and the methods and codecs of items, results and errors. The
//     item fails. [ErrGoexit] names the one exception.
//   - For a call: [OnProgress], and the sequence that [MapSeq] ranges over. It is as
//     in a loop of the caller's: the call ends, all that it has started is gone,
//     and then the panic or the Goexit goes on in the goroutine that made the call.
//     For [Spawn] it is the task's error. Methods that encode the value of [Share]
//     make the call fail.
//   - For a pool: its Logger, Stdout and Stderr. The record or the lines are lost,
//     and nothing else. That is said once for each pool.
//
// No lock of this package is held while such code runs, but that which keeps two
// calls of OnProgress apart, or two writes. If it blocks, the call waits for it,
// also after its context has ended; only in a worker process is it killed. The
// [ProcessPool.Logger] is told when the decoding of a result or an error takes
// longer than KillDelay. docs/callbacks.md has a table of all cases.
//
// # Lifetime
//
// When Map, ForEach, Close or Wait returns, or a loop over MapSeq ends, no
// goroutine, process, descriptor or temporary file of the call is left. The
// workers of a [ProcessPool] stay until its Close. If this program dies, even by
// SIGKILL, its workers die with it, and so does what they started in their
// process group. On Linux that holds even if a worker has closed all descriptors
// or executed another program, unless it has changed its credentials.
//
// On Unix systems each worker has a session of its own, so it has no terminal, and
// Ctrl-C does not reach it. It drops SIGINT, SIGTERM and SIGHUP unless fn asks for
// them: what a service manager sends to all processes of a service reaches this
// program, which can finish what it has begun. On Linux workers are offered to the
// OOM killer before this program.
//
// What the system refuses, workers do without if they can: docs/reliability.md has
// the list.
//
// In a testing/synctest bubble everything works on goroutines. Worker processes
// work there too, but the bubble's time stands still while one of them runs, and
// limits of time go by the system's clock. A call in a bubble starts workers of
// its own, also with On: those that a pool keeps cannot be used from a bubble.
//
// # Security
//
// Worker processes contain faults. They are no sandbox: a worker is the same
// program under the same user. What a worker sends is checked, though: it cannot
// crash this program, have it read memory out of bounds, or change the results of
// items that other workers run.
//
// # Platforms
//
// Goroutines work wherever Go does. Worker processes run on Linux, macOS, Windows
// and the BSDs; elsewhere starting one fails with [errors.ErrUnsupported]. On
// Windows a CrashError has exit codes and no signals, and limits of time do not
// hold in a bubble. MaxMemoryBytes works on Linux only, and needs /proc.
package parallel
