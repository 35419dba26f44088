package parallel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
)

// The forms of errors that the tests of errors have cross.

// opError is registered, as a value and as a pointer.
type opError struct {
	Op  string
	Err error
}

func (e opError) Error() string { return e.Op + ": " + e.Err.Error() }

func (e opError) Unwrap() error { return e.Err }

// manyError is registered and wraps several.
type manyError struct{ Errs []error }

func (e *manyError) Error() string { return fmt.Sprint(len(e.Errs), " errors") }

func (e *manyError) Unwrap() []error { return e.Errs }

// moodyError is registered. Its methods do what they are told, and it wraps errKnown.
type moodyError struct {
	mood, text string
	err        error
}

func moody(mood string) *moodyError { return &moodyError{mood, "moody: " + mood, errKnown} }

func (e *moodyError) Error() string { return e.text }

func (e *moodyError) Unwrap() error { return e.err }

func (e *moodyError) MarshalBinary() ([]byte, error) {
	return []byte(e.mood), obey(strings.TrimPrefix(e.mood, "encode: "))
}

func (e *moodyError) UnmarshalBinary(b []byte) error {
	switch e.mood, e.text, e.err = string(b), "moody: "+string(b), errKnown; e.mood {
	case "lose the text":
		e.text = "?"
	case "lose what it wraps":
		e.err = nil
	}
	return obey(strings.TrimPrefix(e.mood, "decode: "))
}

// obey ends as it is told.
func obey(how string) error {
	switch how {
	case "fail":
		return errors.New("told to fail")
	case "panic":
		panic("told to panic")
	case "panic with itself":
		panic(rudeError{"Error panics"})
	case "goexit":
		runtime.Goexit()
	case "panic during goexit":
		defer func() { panic("told to panic") }()
		runtime.Goexit()
	}
	return nil
}

// moodyPoint is registered and no error.
type moodyPoint struct{ x int }

func (p moodyPoint) MarshalText() ([]byte, error) { return []byte("p"), nil }

func (p *moodyPoint) UnmarshalText([]byte) error { return errors.New("told to fail") }

// rudeError is registered. One of its methods does not return.
type rudeError struct{ How string }

func (e rudeError) Error() string {
	_ = e.rude("Error")
	return "rude: " + e.How
}

func (e rudeError) Is(error) bool { return e.rude("Is") }

func (e rudeError) As(any) bool { return e.rude("As") }

func (e rudeError) Unwrap() error {
	if e.rude("Unwrap") {
		return nil
	}
	return errKnown
}

func (e rudeError) rude(method string) bool {
	if rest, ok := strings.CutPrefix(e.How, method+" "); ok {
		_ = obey(strings.TrimSuffix(rest, "s"))
	}
	return false
}

// unknownRude is the same, of a type that is not registered.
type unknownRude struct{ rudeError }

// nilError is registered. A nil one has a text.
type nilError struct{ Text string }

func (e *nilError) Error() string {
	if e == nil {
		return "nil"
	}
	return e.Text
}

// unknownMany is not registered.
type unknownMany struct{ errs []error }

func (e unknownMany) Error() string { return "many" }

func (e unknownMany) Unwrap() []error { return e.errs }

// errMutable is a sentinel whose text changes.
var errMutable = &unknownError{"a sentinel"}

// rudeText is what was passed to panic.
type rudeText struct{ how string }

func (t rudeText) String() string {
	_ = obey(t.how)
	return "text"
}

// A form of error: what fn does.
type form struct {
	name string
	fail func() error
	lost string // what is not found if fn ran in a process
}

var zero int

var forms []form

func init() { forms = allForms() } // some of them call fail

func allForms() []form {
	return []form{
		{"sentinel", func() error { return errKnown }, ""},
		{"sentinel, wrapped", func() error { return fmt.Errorf("w: %w", errKnown) }, ""},
		{"standard sentinel", func() error { return io.ErrUnexpectedEOF }, ""},
		{"text", func() error { return errors.New("text") }, ""},
		{"text with our prefix", func() error { return errors.New("parallel: text") }, ""},
		{"text, wrapped", func() error { return fmt.Errorf("w: %w", errors.New("parallel: text")) }, ""},
		{"empty text", func() error { return errors.New("") }, ""},
		{"value", func() error { return codeError{7} }, ""},
		{"pointer", func() error { return &opError{"read", io.EOF} }, ""},
		{"value of a struct", func() error { return opError{"read", &fs.PathError{Op: "o", Path: "p", Err: errKnown}} }, ""},
		{"pointer, with one that is unknown", func() error { return &opError{"read", unknownMany{[]error{errKnown}}} }, "*opError"},
		{"pointer, with one that cannot be decoded", func() error { return &opError{"read", moody("decode: fail")} }, "*opError *moodyError"},
		{"wrapped value", func() error { return fmt.Errorf("w: %w", codeError{7}) }, ""},
		{"two wrapped", func() error { return fmt.Errorf("%w, %w", codeError{7}, context.Canceled) }, ""},
		{"joined", func() error { return errors.Join(errKnown, errors.New("x"), codeError{7}) }, ""},
		{"joined, nested", func() error { return errors.Join(errors.Join(errKnown, io.EOF), fmt.Errorf("w: %w", codeError{7})) }, ""},
		{"several", func() error { return &manyError{[]error{errKnown, codeError{7}}} }, ""},
		{"several, unknown", func() error { return unknownMany{[]error{errKnown, nil, codeError{7}}} }, ""},
		{"between unknown ones", func() error {
			return fmt.Errorf("a: %w", unknownMany{[]error{fmt.Errorf("b: %w", &opError{"read", errKnown})}})
		}, ""},
		{"unknown", func() error { return &unknownError{"it is unknown"} }, ""},
		{"encode: fail", func() error { return moody("encode: fail") }, "*moodyError"},
		{"encode: panic", func() error { return fmt.Errorf("w: %w", moody("encode: panic")) }, "*moodyError"},
		{"encode: goexit", func() error { return errors.Join(codeError{7}, moody("encode: goexit"), io.EOF) }, "*moodyError"},
		{"encode: panic during goexit", func() error { return moody("encode: panic during goexit") }, "*moodyError"},
		{"decode: fail", func() error { return moody("decode: fail") }, "*moodyError"},
		{"decode: panic", func() error { return fmt.Errorf("w: %w", moody("decode: panic")) }, "*moodyError"},
		{"decode: panic with itself", func() error { return moody("decode: panic with itself") }, "*moodyError"},
		{"decode: goexit", func() error { return errors.Join(codeError{7}, moody("decode: goexit"), io.EOF) }, "*moodyError"},
		{"decode: panic during goexit", func() error { return moody("decode: panic during goexit") }, "*moodyError"},
		{"lose the text", func() error { return fmt.Errorf("w: %w", moody("lose the text")) }, ""},
		{"lose what it wraps", func() error { return moody("lose what it wraps") }, ""},
		{"moody", func() error { return moody("well") }, ""},
		{"nil pointer", func() error { return (*nilError)(nil) }, ""},
		{"nil pointer, Error panics", func() error { return (*opError)(nil) }, ""},
		{"nil pointer, unknown", func() error { return (*unknownError)(nil) }, ""},
		{"Is panics", func() error { return rudeError{"Is panics"} }, ""},
		{"Is goexits", func() error { return rudeError{"Is goexits"} }, ""},
		{"As panics", func() error { return rudeError{"As panics"} }, ""},
		{"As goexits", func() error { return rudeError{"As goexits"} }, ""},
		{"Unwrap panics", func() error { return rudeError{"Unwrap panics"} }, ""},
		{"Unwrap goexits", func() error { return rudeError{"Unwrap goexits"} }, ""},
		{"Unwrap goexits, joined", func() error { return errors.Join(io.EOF, rudeError{"Unwrap goexits"}) }, ""},
		{"Error panics", func() error { return rudeError{"Error panics"} }, ""},
		{"Error panics, wrapped", func() error { return unknownMany{[]error{rudeError{"Error panics"}, codeError{7}}} }, ""},
		{"Error panics, joined", func() error { return errors.Join(rudeError{"Error panics"}, codeError{7}) }, ""},
		{"Error panics, unknown", func() error { return &unknownRude{rudeError{"Error panics"}} }, ""},
		{"nested call", func() error {
			_, err := Map(context.Background(), []string{"value"}, fail)
			return err
		}, ""},
		{"nested calls, joined", func() error {
			_, err := Map(context.Background(), []string{"value", "decode: fail", "index out of range", "sentinel"}, fail, KeepGoing())
			return fmt.Errorf("w: %w", err)
		}, "*moodyError"},
		{"path", func() error { _, err := os.Open("/does/not/exist"); return err }, ""},
		{"json", func() error { return json.Unmarshal([]byte("{"), &zero) }, "*json.SyntaxError"},
		{"canceled", func() error { return context.Canceled }, ""},
		{"deadline", func() error { return fmt.Errorf("w: %w", context.DeadlineExceeded) }, ""},
		{"goexit", func() error { return obey("goexit") }, ""},
		{"panic: string", func() error { panic("oh") }, ""},
		{"panic: string with our prefix", func() error { panic("parallel: oh") }, ""},
		{"panic: int", func() error { panic(7) }, ""},
		{"panic: nil", func() error { panic(nil) }, ""},
		{"panic: error", func() error { panic(fmt.Errorf("w: %w", errKnown)) }, ""},
		{"panic: value", func() error { panic(codeError{7}) }, ""},
		{"panic: decode: fail", func() error { panic(moody("decode: fail")) }, "*moodyError"},
		{"panic: decode: goexit", func() error { panic(moody("decode: goexit")) }, "*moodyError"},
		{"panic: Error panics", func() error { panic(&unknownRude{rudeError{"Error panics"}}) }, ""},
		{"panic: struct", func() error { panic(square{3}) }, ""},
		{"panic: struct that cannot be decoded", func() error { panic(moodyPoint{3}) }, ""},
		{"panic: unknown struct", func() error { panic(inner2{"k"}) }, ""},
		{"panic: String panics", func() error { panic(rudeText{"panic"}) }, ""},
		{"panic: slice", func() error { panic([]any{1, "x"}) }, ""},
		{"nil dereference", func() error { return errors.New(fmt.Sprint(*(*int)(nilPointer))) }, ""},
		{"index out of range", func() error { return errors.New([]string{}[zero]) }, ""},
		{"slice bounds", func() error { return errors.New("x"[zero+2:]) }, ""},
		{"divide by zero", func() error { return fmt.Errorf("%d", 1/zero) }, ""},
		{"type assertion", func() error { return any(zero).(error) }, ""},
		{"nil map", func() error { var m map[string]int; m["x"] = 1; return nil }, ""},
		{"closed channel", func() error { c := make(chan int); close(c); close(c); return nil }, ""},
		{"recovered runtime error", func() (err error) {
			defer func() { err = fmt.Errorf("w: %w", recover().(error)) }()
			return errors.New([]string{}[zero])
		}, ""},
	}
}

var nilPointer *int

// fail is the function whose items are names of forms.
func fail(_ context.Context, name string) (int, error) {
	i := slices.IndexFunc(forms, func(f form) bool { return f.name == name })
	return 0, forms[i].fail()
}
