package parallel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"example.com/parallel/internal/codec"
	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/schedule"
	"example.com/parallel/internal/supervisor"
)

// Sentinel errors. The error of a call wraps them: test with [errors.Is].
var (
	// ErrNotRegistered says that fn was to run in a worker process and had not
	// been given to [Register] or [RegisterEach] before [Init]. Nothing was
	// started.
	ErrNotRegistered = errors.New("parallel: function not registered")

	// ErrNotInitialized says that fn was to run in a worker process and the
	// program has not called [Init]. Nothing was started.
	ErrNotInitialized = errors.New("parallel: Init has not been called")

	// ErrPoolClosed says that the call named a [ProcessPool] after its Close.
	ErrPoolClosed = errors.New("parallel: process pool is closed")

	// ErrMemoryLimit is in the [CrashError] of an item whose worker process
	// was killed because the item had taken it to [ProcessPool.MaxMemoryBytes],
	// and in the error of a call if workers need more before their first item.
	ErrMemoryLimit = errors.New("parallel: memory limit exceeded")

	// ErrGoexit is the error of an item whose fn called [runtime.Goexit], as
	// t.FailNow does. There is one exception. A function of which a thousand
	// items or more have ended may be run by the caller's own goroutine from
	// then on. If it calls Goexit there, the caller ends, as it would in a loop,
	// and the function is not run there again.
	ErrGoexit = errors.New("parallel: fn called runtime.Goexit")
)

// errGoexitInMethod is the ErrGoexit of a method, or of a codec's function, that encodes or
// decodes.
var errGoexitInMethod = &goexitError{}

type goexitError struct{}

func (*goexitError) Error() string { return "a method called runtime.Goexit" }

func (*goexitError) Unwrap() error { return ErrGoexit }

const errPrefix = "parallel: "

// ItemError is the failure of one item. Every failure of an item that Map,
// ForEach and MapSeq report is wrapped in one.
type ItemError struct {
	// Index is the item's position in the input, from 0.
	Index int
	// Err is why it failed: fn's own error, a *PanicError, a *CrashError, a
	// *RemoteError or ErrGoexit.
	Err error
}

// Error names the item and why it failed.
func (e *ItemError) Error() string {
	return fmt.Sprintf("%sitem %d: %s", errPrefix, e.Index, unprefixed(e.Err))
}

// Unwrap returns e.Err.
func (e *ItemError) Unwrap() error { return e.Err }

// PanicError is the error of an item whose fn panicked. The program and the worker
// process continue.
type PanicError struct {
	// Value is what was passed to panic. A value that cannot be sent from the
	// worker process arrives as a *RemoteError. A runtime.Error, such as an index
	// out of range, arrives as one that wraps a *RemoteError.
	Value any
	// Stack is the stack of the panicking goroutine, as debug.Stack prints it.
	Stack []byte
}

// Error returns the panic's value; the stack is in the field.
func (e *PanicError) Error() string {
	if err, ok := e.Value.(error); ok {
		return errPrefix + "panic: " + unprefixed(err)
	}
	return errPrefix + "panic: " + strings.TrimPrefix(fmt.Sprint(e.Value), errPrefix)
}

// Unwrap returns the panic's value if it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// CrashError is the error of an item whose worker process died while running it.
// The cause may be the item (a segmentation fault in C, a fatal error of the Go
// runtime, os.Exit), another process (the kernel out of memory, an operator), or
// this package, because a limit was exceeded.
type CrashError struct {
	// PID is the process that died.
	PID int
	// ExitCode is its exit code; -1 if a signal ended it, or if other code of this
	// program has waited for it and so taken its status.
	ExitCode int
	// Signal is the signal that ended it; nil if it exited, or its status was taken.
	Signal os.Signal
	// Stderr is what the process wrote to its standard error while it ran the
	// item: the first and the last 4 KiB. Go's own "fatal error:" line is kept
	// even if it lies between.
	Stderr []byte
	// Err is why this package killed the process, such as ErrMemoryLimit or a
	// timeout; nil if the process died by itself.
	Err error
}

// Error says how the process died, with the line of its standard error that says
// most.
func (e *CrashError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sworker process %d ", errPrefix, e.PID)
	switch {
	case e.Err != nil:
		fmt.Fprintf(&b, "ended: %s", unprefixed(e.Err))
	case e.Signal != nil:
		fmt.Fprintf(&b, "crashed: signal: %v", e.Signal)
	case e.ExitCode < 0:
		b.WriteString("ended, and its exit status is not known: other code in this program has taken it, as by waiting for any child")
	default:
		fmt.Fprintf(&b, "exited with code %d", e.ExitCode)
	}
	if line := supervisor.SummaryLine(e.Stderr); line != "" {
		fmt.Fprintf(&b, " (stderr: %s)", line)
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *CrashError) Unwrap() error { return e.Err }

// RemoteError stands for an error from a worker process that has no identity in
// this process: it is no sentinel named by [RegisterError], and its type is not
// named by [RegisterType], or a method of the type failed to encode or decode it.
// What the error wrapped is found by errors.Is and errors.As, as far as that has
// an identity.
type RemoteError struct {
	// Type is the error's type in the worker, such as *os.PathError.
	Type string
	// Message is what its Error method returned there.
	Message string
}

// Error returns the message, so that the error reads as it did in the worker.
func (e *RemoteError) Error() string { return e.Message }

// remoteTree is a RemoteError with what the error wrapped.
type remoteTree struct {
	*RemoteError
	wrapped []error
}

// Unwrap returns the RemoteError and what the error wrapped.
func (e *remoteTree) Unwrap() []error { return append([]error{e.RemoteError}, e.wrapped...) }

// remoteRuntimeError stands for a runtime.Error, such as an index out of range.
type remoteRuntimeError struct{ remoteTree }

// RuntimeError makes it a runtime.Error too.
func (*remoteRuntimeError) RuntimeError() {}

// unprefixed is err's text for use behind another of our prefixes. A panic of its Error
// method becomes a text, as it does if the error comes from a worker process.
func unprefixed(err error) string {
	if err == nil {
		return "<nil>"
	}
	return strings.TrimPrefix(guard.Text(err), errPrefix)
}

// explained is an error with what we have to say about it: of our prefixes, one
// is enough.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return errPrefix + e.text + ": " + unprefixed(e.err) }

func (e *explained) Unwrap() error { return e.err }

// explain returns err behind a text.
func explain(err error, format string, args ...any) error {
	return &explained{fmt.Sprintf(format, args...), err}
}

// endedError is the error of a call that stopped short while no item had failed: its
// context ended, or its workers could not be started.
type endedError struct {
	done, total int // total is -1 if it is not known
	cause       error
	also        error // ctx.Err(), if the cause does not wrap it; else nil
}

func (e *endedError) Error() string {
	if e.total < 0 {
		return fmt.Sprintf("%sended after %d items: %s", errPrefix, e.done, unprefixed(e.cause))
	}
	return fmt.Sprintf("%sended after %d of %d items: %s", errPrefix, e.done, e.total, unprefixed(e.cause))
}

func (e *endedError) Unwrap() []error {
	if e.also == nil {
		return []error{e.cause}
	}
	return []error{e.cause, e.also}
}

// withCause is an item's own error together with the reason for which it was
// told to stop, so that neither hides the other.
type withCause struct{ err, cause error }

func (e *withCause) Error() string {
	return fmt.Sprintf("%s (%s)", guard.Text(e.err), unprefixed(e.cause))
}

func (e *withCause) Unwrap() []error { return []error{e.err, e.cause} }

// addCause returns err with cause in it, once.
func addCause(err, cause error) error {
	if cause == nil || isError(err, cause) {
		return err
	}
	return &withCause{err, cause}
}

// isError is errors.Is, which calls methods of the user's, whatever they do.
func isError(err, target error) (is bool) {
	guard.Apart(func() { is = errors.Is(err, target) })
	return is
}

// timeoutError is the error of an item that exceeded its ItemTimeout.
type timeoutError struct{ Limit time.Duration }

func (e *timeoutError) Error() string {
	return fmt.Sprintf("%sitem exceeded its timeout of %v", errPrefix, e.Limit)
}

func (e *timeoutError) Timeout() bool { return true }

func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }

// joinedShown is how many failures the text of a joined error spells out.
const joinedShown = 5

// joinedError is what KeepGoing returns: the failures in index order.
type joinedError []*ItemError

func (e joinedError) Error() string {
	var b strings.Builder
	for i, item := range e {
		if i == joinedShown && len(e) > joinedShown+1 {
			fmt.Fprintf(&b, "\n%sand %d more items failed", errPrefix, len(e)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(item.Error())
	}
	return b.String()
}

func (e joinedError) Unwrap() []error {
	errs := make([]error, len(e))
	for i, item := range e {
		errs[i] = item
	}
	return errs
}

// errorMaker makes the errors that users see for the packages below, which do not know
// their types.
type errorMaker struct{}

var makeErrors errorMaker

func (errorMaker) Item(index int, err, cause error) error {
	return &ItemError{Index: index, Err: addCause(err, cause)}
}

func (errorMaker) Recovered(v any) error {
	if v == nil {
		return ErrGoexit
	}
	return &PanicError{Value: v, Stack: debug.Stack()}
}

// methodError is the error of a method that ended with end and did not return.
func methodError(end guard.End) error {
	if v := end.Value(); v != nil {
		return makeErrors.Recovered(v)
	}
	return errGoexitInMethod
}

func (errorMaker) Goexit() error { return errGoexitInMethod }

func (errorMaker) Ended(done, total int, cause, also error) error {
	e := &endedError{done: done, total: total, cause: cause}
	if also != nil && !isError(cause, also) {
		e.also = also
	}
	return e
}

func (errorMaker) Join(failures []schedule.Failure) error {
	joined := make(joinedError, len(failures))
	for i, f := range failures {
		joined[i] = f.Err.(*ItemError) // as Item made it
	}
	return joined
}

func (errorMaker) Crash(c supervisor.Crash) error {
	return &CrashError{PID: c.PID, ExitCode: c.ExitCode, Signal: c.Signal, Stderr: c.Stderr, Err: c.Reason}
}

func (errorMaker) Timeout(limit time.Duration) error { return &timeoutError{limit} }

func (errorMaker) Memory(size, limit int64) error {
	return fmt.Errorf("%w (%d bytes resident, MaxMemoryBytes is %d)", ErrMemoryLimit, size, limit)
}

func (errorMaker) MemoryAtStart(size, limit int64) error {
	return fmt.Errorf("%w before the first item (%d bytes, MaxMemoryBytes is %d): raise MaxMemoryBytes", ErrMemoryLimit, size, limit)
}

func (errorMaker) Start(err error, what string) error { return explain(err, "%s", what) }

func (errorMaker) Encode(err error) error { return encodeError("item", err) }

func (errorMaker) Decode(err error) error {
	return fmt.Errorf("parallel: cannot decode the result: %w", err)
}

func (errorMaker) Append(dst *[]byte, err error) { appendError(dst, err) }

func (errorMaker) Parse(src []byte, into *error) (malformed error) { return decodeError(src, into) }

// decodeItemError is the error of an item with the context ctx that a worker process cannot
// decode because of err, and encodeResultError that of one whose result it cannot encode.
func decodeItemError(ctx context.Context, err error) error {
	return fmt.Errorf("parallel: cannot decode the item in the worker process: %w", stopCause(ctx, err))
}

func encodeResultError(ctx context.Context, err error) error {
	return encodeError("result", stopCause(ctx, err))
}

// stopCause is why the codec has stopped, if err is that it has, else err.
func stopCause(ctx context.Context, err error) error {
	if err == codec.ErrStopped {
		return context.Cause(ctx)
	}
	return err
}

// encodeError is err, from encoding what, in words that say what to do.
func encodeError(what string, err error) error {
	if size, ok := err.(*codec.SizeError); ok { // errors.As would ask methods of the user's
		return fmt.Errorf("parallel: the encoded %s is larger than MaxMessageBytes (%d bytes)", what, size.Limit)
	}
	return fmt.Errorf("parallel: cannot encode the %s: %w", what, err)
}
