package guard

import "fmt"

// Methods calls methods of errors and of panics' values. A panic in one of them becomes its
// result. If Apart is false, a Goexit in one ends the goroutine.
type Methods struct {
	Apart bool // each runs in a goroutine of its own, which is all that a Goexit ends
}

// Text is err.Error(), or says what that did in place of returning.
func (m Methods) Text(err error) string {
	if !m.Apart {
		return Text(err)
	}
	s := fmt.Sprintf("%T (its Error method called runtime.Goexit)", err)
	Apart(func() { s = Text(err) })
	return s
}

// Text is err.Error(), or says that it panicked.
func Text(err error) (s string) {
	defer func() {
		if v := recover(); v != nil {
			s = fmt.Sprintf("%T (its Error method panicked: %s)", err, Print(v))
		}
	}()
	return err.Error()
}

// Print is v as a text.
func (m Methods) Print(v any) string {
	if !m.Apart {
		return Print(v)
	}
	s := fmt.Sprintf("%T (its String method called runtime.Goexit)", v)
	Apart(func() { s = Print(v) })
	return s
}

// Print is fmt.Sprint(v), which survives a panic of v's methods, but not one of the methods of
// what these panic with.
func Print(v any) (s string) {
	defer func() {
		if recover() != nil {
			s = fmt.Sprintf("%T (its methods panic)", v)
		}
	}()
	return fmt.Sprint(v)
}

// Unwrap is what err wraps: one error or several, or none if the method does not return.
func (m Methods) Unwrap(err error) []error {
	if !m.Apart {
		return unwrap(err)
	}
	var wrapped []error
	Apart(func() { wrapped = unwrap(err) })
	return wrapped
}

func unwrap(err error) (wrapped []error) {
	defer func() {
		if recover() != nil {
			wrapped = nil
		}
	}()
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		if w := u.Unwrap(); w != nil {
			return []error{w}
		}
	case interface{ Unwrap() []error }:
		return u.Unwrap()
	}
	return nil
}
