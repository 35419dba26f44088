package guard

import "fmt"

// Methods calls methods of errors and of panics' values. A panic in one of them becomes its
// result. If Apart is false, a Goexit in one ends the goroutine.
type Methods struct {
	Apart bool // each runs in a goroutine of its own, which is all that a Goexit ends
}

// Apart calls f in a goroutine of its own, and returns when that has ended, however.
func Apart(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
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
			s = fmt.Sprintf("%T (its Error method panicked: %v)", err, v)
		}
	}()
	return err.Error()
}

// Print is fmt.Sprint(v), which deals with panics.
func (m Methods) Print(v any) string {
	if !m.Apart {
		return fmt.Sprint(v)
	}
	s := fmt.Sprintf("%T (its String method called runtime.Goexit)", v)
	Apart(func() { s = fmt.Sprint(v) })
	return s
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
