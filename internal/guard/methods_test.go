package guard_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"example.com/parallel/internal/guard"
)

// methods is an error, with a String method for when it is none, whose methods call f.
type methods struct {
	f       func()
	wrapped []error
}

func (m *methods) Error() string { m.f(); return "text" }

func (m *methods) Unwrap() []error { m.f(); return m.wrapped }

type printed func()

func (p printed) String() string { p(); return "text" }

// TestMethods has a method end in each of the ways in which code of the user's may.
func TestMethods(t *testing.T) {
	for _, test := range endings {
		for _, apart := range []bool{false, true} {
			m := guard.Methods{Apart: apart}
			err := &methods{test.f, []error{errors.New("a"), nil}}
			var text, print string
			var wrapped []error
			ended := inGoroutine(func(note func(string)) {
				guard.Run(func() { text = m.Text(err) }, func() { note("lost") })
			})
			inGoroutine(func(func(string)) { print = m.Print(printed(test.f)) })
			inGoroutine(func(func(string)) { wrapped = m.Unwrap(err) })
			goexit := strings.Contains(test.name, "Goexit")
			if lost := len(ended) > 0; lost != (goexit && !apart) {
				t.Errorf("%s, apart %v: %q", test.name, apart, ended)
			}
			var want []string
			switch {
			case test.name == "return":
				want = []string{"text", "text", "2"}
			case goexit && !apart:
				want = []string{"", "", "0"}
			case goexit:
				want = []string{"*guard_test.methods (its Error method called runtime.Goexit)", "guard_test.printed (its String method called runtime.Goexit)", "0"}
			default:
				want = []string{"*guard_test.methods (its Error method panicked: oh)", "%!v(PANIC=String method: oh)", "0"}
			}
			if got := []string{text, print, fmt.Sprint(len(wrapped))}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, apart %v: %q, want %q", test.name, apart, got, want)
			}
		}
	}
}

func TestUnwrap(t *testing.T) {
	inner := errors.New("inner")
	for _, test := range []struct {
		err  error
		want []error
	}{
		{inner, nil},
		{fmt.Errorf("w: %w", inner), []error{inner}},
		{fmt.Errorf("w: %w", nil), nil},
		{errors.Join(inner, inner), []error{inner, inner}},
		{(*methods)(nil), nil}, // its method panics
	} {
		if got := (guard.Methods{}).Unwrap(test.err); fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%T wraps %v, want %v", test.err, got, test.want)
		}
	}
}
