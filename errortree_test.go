package parallel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/parallel/internal/guard"
	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/wire"
)

// Every form of error, in every place: its text and what errors.Is and errors.As find in it.

func init() {
	Register(fail)
	Register(failDeep)
	Register(failLate)
	RegisterType(opError{}, &opError{}, &manyError{}, &moodyError{}, moodyPoint{}, rudeError{}, &nilError{}, whereError{})
	RegisterError(errMutable)
}

// findings is what is looked for in errors.
var findings = map[string]func(error) bool{
	"errKnown":           func(err error) bool { return errors.Is(err, errKnown) },
	"EOF":                func(err error) bool { return errors.Is(err, io.EOF) },
	"ErrUnexpectedEOF":   func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
	"ErrNotExist":        func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
	"Canceled":           func(err error) bool { return errors.Is(err, context.Canceled) },
	"DeadlineExceeded":   func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
	"ErrGoexit":          func(err error) bool { return errors.Is(err, ErrGoexit) },
	"codeError{7}":       func(err error) bool { return errors.Is(err, codeError{7}) },
	"opError":            finds[opError],
	"*opError":           finds[*opError],
	"*manyError":         finds[*manyError],
	"*moodyError":        finds[*moodyError],
	"*nilError":          finds[*nilError],
	"rudeError":          finds[rudeError],
	"*fs.PathError":      finds[*fs.PathError],
	"*json.SyntaxError":  finds[*json.SyntaxError],
	"*PanicError":        finds[*PanicError],
	"*PanicNilError":     finds[*runtime.PanicNilError],
	"runtime.Error":      finds[runtime.Error],
	"*ItemError":         finds[*ItemError],
	"*ItemError.Err, it": func(err error) bool { return errors.Is(err.(*ItemError).Err, errKnown) },
	"panic value": func(err error) bool {
		var p *PanicError
		return errors.As(err, &p) && slices.Contains([]any{"oh", "parallel: oh", 7, square{3}, codeError{7}}, p.Value)
	},
}

func finds[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// whatItDoes is what f returns, or does in place of returning.
func whatItDoes(f func() any) string {
	did := "it calls Goexit"
	guard.Apart(func() {
		defer func() {
			if v := recover(); v != nil {
				did = fmt.Sprint("it panics: ", v)
			}
		}()
		did = fmt.Sprint(f())
	})
	return did
}

// found is what is found in err. Methods of err may panic.
func found(err error) map[string]string {
	all := make(map[string]string)
	for name, find := range findings {
		all[name] = whatItDoes(func() any { return find(err) })
	}
	return all
}

// TestErrorsAreTheSameInAllPlaces compares each form of error with what it is on goroutines.
func TestErrorsAreTheSameInAllPlaces(t *testing.T) {
	names := make([]string, len(forms))
	for i, f := range forms {
		names[i] = f.name
	}
	run := func(t *testing.T, where Option) []*ItemError {
		_, err := Map(testkit.Patient(t), names, fail, where, KeepGoing())
		joined, ok := err.(joinedError)
		if !ok || len(joined) != len(forms) {
			t.Fatalf("the error is %v", err)
		}
		return joined
	}
	want := run(t, Goroutines(2))
	for name, find := range findings {
		if !slices.ContainsFunc(want, func(e *ItemError) bool { return whatItDoes(func() any { return find(e) }) == "true" }) {
			t.Errorf("%s is in no error", name)
		}
	}
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			got := run(t, p.opt(t, 2))
			if got, want := joinedError(got).Error(), joinedError(want).Error(); got != want {
				t.Errorf("the text is %q, want %q", got, want)
			}
			for i, f := range forms {
				checkForm(t, f, got[i], want[i], p.process)
			}
		})
	}
}

// checkForm compares a form of error with what it is on goroutines.
func checkForm(t *testing.T, f form, got, want *ItemError, process bool) {
	t.Helper()
	for what, text := range map[string]func(*ItemError) string{
		"the text":               func(e *ItemError) string { return e.Error() },
		"the text of it wrapped": func(e *ItemError) string { return fmt.Errorf("w: %w", e).Error() },
		"its own text":           func(e *ItemError) string { return guard.Text(e.Err) },
	} {
		if got, want := text(got), text(want); got != want {
			t.Errorf("%s: %s is %q, want %q", f.name, what, got, want)
		}
	}
	all := found(want)
	for name, got := range found(got) {
		lost := process && slices.Contains(strings.Fields(f.lost), name)
		if lost && got == "false" && all[name] == "true" {
			continue
		}
		if lost || got != all[name] {
			t.Errorf("%s: whether %s is found: %s, on goroutines: %s (lost: %v)", f.name, name, got, all[name], lost)
		}
	}
}

// TestErrorsOfSingleItems has each form be the first error of a call, and a Task's.
func TestErrorsOfSingleItems(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		for _, f := range forms {
			_, want := Map(testkit.Patient(t), []string{f.name}, fail)
			_, err := Map(testkit.Patient(t), []string{f.name}, fail, where)
			if err == nil || err.Error() != want.Error() {
				t.Errorf("%s: error %v, want %v", f.name, err, want)
			}
			_, err = Spawn(testkit.Patient(t), fail, f.name, where).Wait()
			if err == nil || guard.Text(err) != guard.Text(errors.Unwrap(want)) {
				t.Errorf("%s: the task's error is %v, want %v", f.name, err, errors.Unwrap(want))
			}
		}
	})
}

// lateForm is an item that makes a file, and fails when its context ends.
type lateForm struct{ File, Name string }

func failLate(ctx context.Context, item lateForm) (int, error) {
	if err := testkit.Touch(ctx, item.File); err != nil {
		return 0, err
	}
	<-ctx.Done()
	return fail(ctx, item.Name)
}

// TestErrorsWithACause has items fail whose call has ended: each error is asked whether it is
// the cause of that, and the cause is added to it.
func TestErrorsWithACause(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		for _, name := range []string{
			"sentinel", "Is panics", "Is goexits", "Unwrap goexits, joined", "Error panics", "Error panics, joined",
			"decode: goexit", "encode: goexit", "panic: Error panics", "index out of range", "nil pointer, Error panics",
		} {
			ctx, cancel := context.WithCancelCause(testkit.Patient(t))
			file := filepath.Join(t.TempDir(), "runs")
			task := Spawn(ctx, failLate, lateForm{file, name}, where)
			testkit.WaitFor(t, "the item to run", func() bool { return testkit.Exists(file) })
			cancel(errors.New("enough"))
			_, err := task.Wait()
			_, want := Spawn(testkit.Patient(t), fail, name).Wait()
			if want := guard.Text(want) + " (enough)"; err == nil || err.Error() != want {
				t.Errorf("%s: error %v, want %s", name, err, want)
			}
		}
		ctx, cancel := context.WithCancelCause(testkit.Patient(t))
		cancel(rudeError{"Is goexits"})
		if _, err := Map(ctx, testkit.Count(3), testkit.Double, where); err == nil || !strings.Contains(err.Error(), "rude: Is goexits") {
			t.Errorf("error %v", err)
		}
	})
}

// TestRuntimeErrors has the value of a panic be one in all places.
func TestRuntimeErrors(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			where := p.opt(t, 1)
			for _, name := range []string{"nil dereference", "index out of range", "slice bounds", "divide by zero", "type assertion", "nil map", "closed channel", "panic: nil"} {
				_, err := Spawn(testkit.Patient(t), fail, name, where).Wait()
				var panicked *PanicError
				if !errors.As(err, &panicked) {
					t.Fatalf("%s: error %v", name, err)
				}
				value, ok := panicked.Value.(runtime.Error)
				if !ok || err.Error() != "parallel: panic: "+value.Error() {
					t.Errorf("%s: error %v, its value is a %T", name, err, panicked.Value)
				}
				var remote *RemoteError
				if errors.As(err, &remote) != (p.process && name != "panic: nil") || remote != nil && !strings.Contains(remote.Type, "runtime.") {
					t.Errorf("%s: %#v", name, remote)
				}
			}
		})
	}
}

// TestItemErrorOfARudeOne has Item ask an error about the cause.
func TestItemErrorOfARudeOne(t *testing.T) {
	for _, how := range []string{"Is panics", "Is goexits", "Unwrap panics", "Unwrap goexits"} {
		err := makeErrors.Item(3, rudeError{how}, context.Canceled)
		if want := "parallel: item 3: rude: " + how + " (context canceled)"; err.Error() != want {
			t.Errorf("%s: %q, want %q", how, err, want)
		}
	}
}

// whereError has a text that depends on the process.
type whereError struct{ Code int }

func (e whereError) Error() string {
	if inherited != nil {
		return fmt.Sprint("in a worker: ", e.Code)
	}
	return "elsewhere"
}

// failDeep wraps a whereError that often.
func failDeep(_ context.Context, depth int) (int, error) {
	if depth < 0 {
		errMutable.text = "changed"
		return 0, errMutable
	}
	err := error(whereError{7})
	for range depth {
		err = unknownMany{[]error{err}}
	}
	return 0, err
}

// TestTheTextIsTheWorkers has errors with other texts in this process, which are kept all
// the same.
func TestTheTextIsTheWorkers(t *testing.T) {
	for _, p := range places {
		if !p.process {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			testkit.CheckLeaks(t)
			where := p.opt(t, 1)
			for depth, want := range map[int]string{-1: "changed", 0: "in a worker: 7", 1: "many", errMaxDepth - 1: "many", errMaxDepth + 1: "many", 1000: "many"} {
				_, err := Map(testkit.Patient(t), []int{depth}, failDeep, where)
				if err == nil || err.Error() != "parallel: item 0: "+want {
					t.Errorf("%d deep: error %v, want %s", depth, err, want)
				}
				if found := errors.Is(err, whereError{7}) || errors.Is(err, errMutable); found != (depth < errMaxDepth) {
					t.Errorf("%d deep: whether it is found: %v", depth, found)
				}
			}
		})
	}
}

// encodeDecode has err cross, within this process.
func encodeDecode(t *testing.T, err error) (size int, got error) {
	t.Helper()
	var data []byte
	guard.Apart(func() { appendError(&data, err) })
	guard.Apart(func() { _ = decodeError(data, &got) })
	if got == nil || got == wire.ErrMalformed {
		t.Fatalf("%T became %v", err, got)
	}
	return len(data), got
}

// TestErrorWhoseTextEndsTheGoroutine has the text be what can be said of it.
func TestErrorWhoseTextEndsTheGoroutine(t *testing.T) {
	for _, how := range []string{"Error goexits", "Error panic during goexits"} {
		for _, err := range []error{rudeError{how}, &unknownRude{rudeError{how}}, unknownMany{[]error{errKnown, rudeError{how}, codeError{7}}}} {
			_, got := encodeDecode(t, err)
			text := guard.Methods{Apart: true}.Text(got)
			if _, many := err.(unknownMany); many {
				if text != "many" || !errors.Is(got, errKnown) || !errors.Is(got, codeError{7}) || !finds[rudeError](got) {
					t.Errorf("%#v became %#v", err, got)
				}
			} else if want := fmt.Sprintf("%T (its Error method ", err); !strings.HasPrefix(text, want) {
				t.Errorf("%#v has the text %q", err, text)
			}
		}
	}
	_, got := encodeDecode(t, &PanicError{Value: rudeText{"goexit"}})
	if want := "parallel: panic: parallel.rudeText (its String method called runtime.Goexit)"; got.Error() != want {
		t.Errorf("the text is %q, want %q", got, want)
	}
}

// TestEncodedErrorsAreShort holds that the text that is sent for safety is not much.
func TestEncodedErrorsAreShort(t *testing.T) {
	_, path := os.Open("/does/not/exist")
	for _, test := range []struct {
		err  error
		most int
	}{
		{io.EOF, 2},
		{errKnown, 3},
		{ErrGoexit, 3},
		{errors.New("x"), 30},
		{fmt.Errorf("w: %w", io.EOF), 30},
		{path, 50},
		{codeError{7}, 25},
		{&opError{"read", io.EOF}, 30},
		{&ItemError{3, codeError{7}}, 30},
	} {
		size, got := encodeDecode(t, test.err)
		if size > test.most {
			t.Errorf("%T takes %d bytes, want at most %d", test.err, size, test.most)
		}
		if !reflect.DeepEqual(got, test.err) && !finds[*RemoteError](got) {
			t.Errorf("%#v became %#v", test.err, got)
		}
		t.Logf("%T: %d bytes, text of %d", test.err, size, len(test.err.Error()))
	}
}

// TestHugeErrorsAreCut has errors that are too large in each way.
func TestHugeErrorsAreCut(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	chain, bush := error(codeError{7}), error(codeError{7})
	for range 1000 {
		chain = &opError{"op", chain}
	}
	for range 5 {
		bush = unknownMany{slices.Repeat([]error{bush}, 100)}
	}
	for name, err := range map[string]error{
		"text": errors.New(long), "text of a value": &nilError{long}, "value": &manyError{slices.Repeat([]error{codeError{7}}, 200_000)},
		"chain": chain, "bush": bush, "wide": unknownMany{slices.Repeat([]error{errors.New("y")}, 100_000)},
		"stack": &PanicError{Value: long, Stack: []byte(long)}, "crash": &CrashError{Stderr: []byte(long), Err: errors.New(long)},
		"half a value": &nilError{long[:errBudget/2]}, "nearly all of a value": &nilError{long[:errBudget-200]},
	} {
		size, got := encodeDecode(t, err)
		if size > errBudget+errBudget/4 {
			t.Errorf("%s takes %d bytes", name, size)
		}
		short := min(len(err.Error()), errMaxText)
		if text := got.Error(); len(text) < short || text[:short/2] != err.Error()[:short/2] {
			t.Errorf("%s has a text of %d bytes, should have %d", name, len(text), len(err.Error()))
		}
	}
}

// FuzzDecodeError has anything be decoded as an error, which it is in some way.
func FuzzDecodeError(f *testing.F) {
	for _, form := range forms {
		_, err := Map(context.Background(), []string{form.name}, fail)
		var data []byte
		guard.Apart(func() { appendError(&data, err) })
		f.Add(data)
	}
	for _, err := range []error{&CrashError{PID: 1, Signal: os.Kill, Err: ErrMemoryLimit}, &timeoutError{3}, context.Canceled} {
		var data []byte
		appendError(&data, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var err error
		var malformed error
		returned := false
		guard.Apart(func() {
			malformed = decodeError(src, &err)
			returned = true
		})
		if err == nil {
			t.Fatal("there is no error")
		}
		if returned && malformed == nil {
			size, _ := encodeDecode(t, err)
			if size > wire.Slack {
				t.Errorf("%d bytes became an error of %d", len(src), size)
			}
		}
		_ = guard.Methods{Apart: true}.Text(err)
	})
}
