package parallel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/parallel/internal/testkit"
)

// How fn may fail, in all places.

func goexits(_ context.Context, x int) (int, error) {
	if x%3 == 1 {
		runtime.Goexit()
	}
	return x, nil
}

func panics(_ context.Context, x int) (int, error) {
	switch x {
	case 1:
		panic("a string")
	case 2:
		panic(fmt.Errorf("wrapped: %w", errKnown))
	case 3:
		var m map[string]int
		m["x"] = 1
	case 4:
		panic(struct{ f func() }{})
	case 5:
		panic(nil)
	}
	return x, nil
}

func TestGoexitIsAnError(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		out, err := Map(t.Context(), testkit.Count(10), goexits, where)
		var item *ItemError
		if !errors.As(err, &item) || item.Index != 1 || !errors.Is(err, ErrGoexit) || len(out) != 1 {
			t.Errorf("%v, %v", out, err)
		}
		out, err = Map(t.Context(), testkit.Count(10), goexits, where, KeepGoing())
		if want := []int{0, 0, 2, 3, 0, 5, 6, 0, 8, 9}; !slices.Equal(out, want) {
			t.Errorf("results %v, want %v", out, want)
		}
		if n := len(err.(interface{ Unwrap() []error }).Unwrap()); n != 3 {
			t.Errorf("%d failures, want 3", n)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	everywhere(t, 2, func(t *testing.T, where Option) {
		out, err := Map(t.Context(), testkit.Count(7), panics, where, KeepGoing())
		if want := []int{0, 0, 0, 0, 0, 0, 6}; !slices.Equal(out, want) {
			t.Errorf("results %v, want %v", out, want)
		}
		failures := err.(interface{ Unwrap() []error }).Unwrap()
		if len(failures) != 5 {
			t.Fatalf("%d failures, want 5: %v", len(failures), err)
		}
		for _, e := range failures {
			var p *PanicError
			if !errors.As(e, &p) {
				t.Fatalf("%v is no PanicError", e)
			}
			if !strings.Contains(string(p.Stack), "parallel.panics") {
				t.Errorf("the stack of %v does not name the function:\n%s", e, p.Stack)
			}
		}
		var p *PanicError
		if errors.As(failures[0], &p); p.Value != "a string" {
			t.Errorf("panic value %#v", p.Value)
		}
		if !errors.Is(failures[1], errKnown) {
			t.Errorf("%v lost its sentinel", failures[1])
		}
		if want := "parallel: item 3: panic: assignment to entry in nil map"; failures[2].Error() != want {
			t.Errorf("%q, want %q", failures[2], want)
		}
	})
}

func TestErrorWhoseIsPanics(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Map(ctx, testkit.Count(1), func(context.Context, int) (int, error) {
		cancel()
		return 0, rudeError{"Is panics"}
	})
	var rude rudeError
	if !errors.As(err, &rude) {
		t.Errorf("error %v", err)
	}
}

// codeError is an error type that is registered.
type codeError struct{ Code int }

func (e codeError) Error() string { return fmt.Sprint("code ", e.Code) }

// unknownError is one that is not.
type unknownError struct{ text string }

func (e *unknownError) Error() string { return e.text }

func errorForms(_ context.Context, form string) (int, error) {
	switch form {
	case "sentinel":
		return 0, errKnown
	case "standard":
		return 0, io.EOF
	case "type":
		return 0, codeError{7}
	case "wrapped type":
		return 0, fmt.Errorf("while at it: %w", codeError{8})
	case "joined":
		return 0, errors.Join(errKnown, codeError{9}, errors.New("other"))
	case "path":
		_, err := os.Open("/does/not/exist")
		return 0, err
	case "unknown":
		return 0, &unknownError{"nobody knows me"}
	case "long":
		return 0, errors.New(strings.Repeat("x", 2<<20))
	}
	return 0, nil
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	tests := []struct {
		form, text string
		check      func(error) bool
	}{
		{"sentinel", "known on both sides", func(err error) bool { return errors.Is(err, errKnown) }},
		{"standard", "EOF", func(err error) bool { return errors.Is(err, io.EOF) }},
		{"type", "code 7", func(err error) bool { var e codeError; return errors.As(err, &e) && e.Code == 7 }},
		{"wrapped type", "while at it: code 8", func(err error) bool { var e codeError; return errors.As(err, &e) && e.Code == 8 }},
		{"joined", "known on both sides\ncode 9\nother", func(err error) bool {
			var e codeError
			return errors.Is(err, errKnown) && errors.As(err, &e) && e.Code == 9
		}},
		{"path", "open /does/not/exist: no such file or directory", func(err error) bool {
			var e *os.PathError
			return errors.Is(err, os.ErrNotExist) && errors.As(err, &e) && e.Path == "/does/not/exist"
		}},
		{"unknown", "nobody knows me", func(err error) bool { return true }},
	}
	everywhere(t, 2, func(t *testing.T, where Option) {
		for _, test := range tests {
			_, err := Map(t.Context(), []string{test.form}, errorForms, where)
			if got, want := fmt.Sprint(err), "parallel: item 0: "+test.text; got != want {
				t.Errorf("%s: %q, want %q", test.form, got, want)
			}
			if !test.check(err) {
				t.Errorf("%s: %v lost its identity", test.form, err)
			}
		}
		if _, err := Map(t.Context(), []string{"long"}, errorForms, where); len(err.Error()) < 100_000 {
			t.Errorf("a long text shrank to %d bytes", len(err.Error()))
		}
	})
	_, err := Spawn(t.Context(), errorForms, "unknown", Processes(1)).Wait()
	var remote *RemoteError
	if !errors.As(err, &remote) || *remote != (RemoteError{"*parallel.unknownError", "nobody knows me"}) {
		t.Errorf("Spawn's error is %#v, want a RemoteError", err)
	}
}
