package codec

import (
	"fmt"
	"slices"
	"strings"
)

// TypeError says that values of a type cannot cross a process boundary, and because of which part of it.
type TypeError struct {
	// Path leads from the type that was asked for to the part that cannot cross: the type's name (or the type itself
	// where it has no name), then ".Field" for a field (an embedded field goes by its name too), "[]" for the elements
	// of a slice or an array and for the values of a map, and "[key]" for the keys of a map. A pointer adds nothing.
	Path   string
	Reason string
}

func (e *TypeError) Error() string { return e.Path + ": " + e.Reason }

// SizeError says that an encoded value would have been longer than allowed.
type SizeError struct {
	Limit int // in bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the encoded value is larger than the limit of %d bytes", e.Limit)
}

// ValueError says that one value of an acceptable type cannot cross: an interface in it holds an unregistered type, it
// contains itself, it is nested too deeply, a time in it has a location that cannot be found by its name or differs
// between the processes, or its own marshal or unmarshal method failed.
type ValueError struct {
	Path   string // as in TypeError
	Reason string
	Err    error // the error of the value's own method, or nil

	trail trail
}

func (e *ValueError) Error() string { return joinPath(e.Path, e.Reason) }

// Unwrap gives the error of the value's own marshal or unmarshal method.
func (e *ValueError) Unwrap() error { return e.Err }

// DecodeError says that bytes are not the encoding of a value of the wanted type. The process that wrote them is
// broken, hostile or of another build.
type DecodeError struct {
	Path   string // as in TypeError
	Offset int    // in bytes from the start of the message, close to the fault
	Reason string

	trail trail
	left  int // bytes of the message that followed; Offset is made of it
}

func (e *DecodeError) Error() string {
	return joinPath(e.Path, fmt.Sprintf("malformed message at byte %d: %s", e.Offset, e.Reason))
}

func joinPath(path, reason string) string {
	if path == "" {
		return reason
	}
	return path + ": " + reason
}

// A trail collects the steps of a path while an error returns through the levels of a value, innermost first, so that
// a value that is encoded without an error pays nothing for its path.
type trail struct {
	steps []string
}

// maxSteps bounds the path of a value that is nested a hundred thousand levels deep to what a person can read.
const maxSteps = 16

func (t *trail) path(root string) string {
	steps, more := t.steps, ""
	if len(steps) > maxSteps {
		steps, more = steps[len(steps)-maxSteps:], "…"
	}
	steps = slices.Clone(steps)
	slices.Reverse(steps)
	return root + strings.Join(steps, "") + more
}

// within notes that err was found one step below the place that returns it.
func within(err error, step string) error {
	switch e := err.(type) {
	case *ValueError:
		e.trail.steps = append(e.trail.steps, step)
	case *DecodeError:
		e.trail.steps = append(e.trail.steps, step)
	}
	return err
}

// rooted ends a trail with the name of the type at which encoding or decoding began. total is the length of the message
// that was decoded.
func rooted(err error, root string, total int) error {
	switch e := err.(type) {
	case *ValueError:
		e.Path, e.trail = e.trail.path(root), trail{}
	case *DecodeError:
		e.Path, e.trail = e.trail.path(root), trail{}
		e.Offset = total - e.left
	}
	return err
}
