package codec_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"example.com/parallel/internal/codec"
)

type (
	Job struct {
		Name  string
		Parts []Part
	}
	Part      struct{ conn chan int }
	Bad       struct{ C chan int }
	bad       struct{ f int }
	number    int
	EmbedsBad struct {
		OK int
		bad
	}
	EmbedsNumber struct{ number }
	EmbedsError  struct{ error }
	Moment       time.Time
	BadKey       struct {
		X int
		C chan int
	}
	Recursive struct {
		Next *Recursive
		Fn   func()
	}
)

func TestRefusals(t *testing.T) {
	const unexported = "an unexported field cannot cross"
	for _, c := range []struct {
		v            any
		path, reason string
	}{
		{Job{}, "codec_test.Job.Parts[].conn", unexported},
		{[]chan int(nil), "[]chan int[]", "a chan cannot cross"},
		{make(chan int), "chan int", "a chan cannot cross"},
		{func() {}, "func()", "a func cannot cross"},
		{unsafe.Pointer(nil), "unsafe.Pointer", "an unsafe.Pointer cannot cross"},
		{&Bad{}, "*codec_test.Bad.C", "a chan cannot cross"},
		{map[BadKey]int{}, "map[codec_test.BadKey]int[key].C", "a chan cannot cross"},
		{map[string]*Bad{}, "map[string]*codec_test.Bad[].C", "a chan cannot cross"},
		{[3][]Bad{}, "[3][]codec_test.Bad[][].C", "a chan cannot cross"},
		{EmbedsBad{}, "codec_test.EmbedsBad.bad.f", unexported},
		{EmbedsNumber{}, "codec_test.EmbedsNumber.number", "an embedded field of an unexported type"},
		{EmbedsError{}, "codec_test.EmbedsError.error", "an embedded field of an unexported type"},
		{Moment{}, "codec_test.Moment.wall", unexported},
		{Recursive{}, "codec_test.Recursive.Fn", "a func cannot cross"},
		{struct{ F func() }{}, "struct { F func() }.F", "a func cannot cross"},
		{sync.Mutex{}, "sync.Mutex.", unexported},
		{struct{ N atomic.Int64 }{}, "struct { N atomic.Int64 }.N.v", unexported},
		{time.UTC, "*time.Location.name", unexported},
		{errors.New("x"), "*errors.errorString.s", unexported},
	} {
		rt := reflect.TypeOf(c.v)
		t.Run(rt.String(), func(t *testing.T) {
			types := new(codec.Types)
			_, planErr := types.Plan(rt)
			for _, err := range []error{planErr, types.Register(rt)} {
				var refused *codec.TypeError
				if !errors.As(err, &refused) {
					t.Fatalf("got %v, want a *TypeError", err)
				}
				if !strings.HasPrefix(refused.Path, c.path) || !strings.HasPrefix(refused.Reason, c.reason) {
					t.Errorf("got %q, want %q: %q...", err, c.path, c.reason)
				}
				if want := refused.Path + ": " + refused.Reason; err.Error() != want {
					t.Errorf("message is %q, want %q", err, want)
				}
			}
			// A refusal leaves nothing half compiled behind.
			if _, err := types.Plan(rt); err == nil {
				t.Error("accepted the second time")
			}
		})
	}
}

// A type that is refused because of one part leaves its good parts usable.
func TestRefusalKeepsNothing(t *testing.T) {
	types := new(codec.Types)
	if _, err := types.Plan(reflect.TypeFor[Recursive]()); err == nil {
		t.Fatal("accepted a func")
	}
	if _, err := types.Plan(reflect.TypeFor[*Recursive]()); err == nil {
		t.Fatal("accepted a func behind a type that was refused before")
	}
	through(t, types, Small{1, "a", nil})
}

func TestRegister(t *testing.T) {
	types := new(codec.Types)
	before := len(types.Describe())
	for range 2 {
		if err := types.Register(reflect.TypeFor[Circle]()); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(types.Describe()) - before; got != 1 {
		t.Errorf("registering twice added %d lines to the description", got)
	}
	for _, rt := range []reflect.Type{nil, reflect.TypeFor[error](), reflect.TypeFor[any]()} {
		var refused *codec.TypeError
		if err := types.Register(rt); !errors.As(err, &refused) {
			t.Errorf("Register(%v) gives %v, want a *TypeError", rt, err)
		}
	}
}

func TestUnregistered(t *testing.T) {
	type M map[string]int
	types := new(codec.Types)
	for _, c := range []struct {
		v    any
		line string
	}{
		{Circle{}, "parallel.RegisterType(codec_test.Circle{})"},
		{&Circle{}, "parallel.RegisterType((*codec_test.Circle)(nil))"},
		{Color(1), "parallel.RegisterType(codec_test.Color(0))"},
		{M{}, "parallel.RegisterType(codec_test.M(nil))"},
		{[]Circle{}, "parallel.RegisterType([]codec_test.Circle(nil))"},
		{[2]int{}, "parallel.RegisterType([2]int{})"},
		{errors.New("x"), "*errors.errorString.s: an unexported field"},
		{errors.New("y"), "parallel.RegisterError"},
		{make(chan int), "chan int: a chan cannot cross"},
	} {
		t.Run(fmt.Sprintf("%T", c.v), func(t *testing.T) {
			v := struct{ In []any }{[]any{nil, c.v}}
			plan, err := types.Plan(reflect.TypeOf(v))
			if err != nil {
				t.Fatal(err)
			}
			_, err = plan.Append(nil, unsafe.Pointer(&v), noLimit)
			var failed *codec.ValueError
			if !errors.As(err, &failed) || !strings.Contains(failed.Reason, c.line) {
				t.Fatalf("got %v, want a *ValueError with %s", err, c.line)
			}
			if want := "struct { In []interface {} }.In[]"; failed.Path != want {
				t.Errorf("path is %q, want %q", failed.Path, want)
			}
		})
	}
}

var errMine = errors.New("mine")

// valueError is comparable as a type, but not when it holds a slice.
type valueError struct{ V any }

func (valueError) Error() string { return "value error" }

type sliceError []int

func (sliceError) Error() string { return "slice error" }

type panicError struct{}

func (*panicError) Error() string { panic("Error called") }

func TestSentinels(t *testing.T) {
	types := new(codec.Types)
	for _, err := range []error{errMine, valueError{1}, errMine} {
		if err := types.RegisterError(err); err != nil {
			t.Fatal(err)
		}
	}
	if err := types.RegisterError(nil); err == nil {
		t.Error("a nil error was accepted")
	}
	for _, err := range []error{sliceError{}, valueError{[]int{}}} {
		if err := types.RegisterError(err); err == nil {
			t.Errorf("an uncomparable error was accepted: %#v", err)
		}
	}
	known := []error{
		errMine, valueError{1}, context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe,
		fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrClosed, fs.ErrInvalid, os.ErrDeadlineExceeded, errors.ErrUnsupported,
	}
	for _, err := range known {
		t.Run(err.Error(), func(t *testing.T) {
			id, ok := types.SentinelID(err)
			if got, ok2 := types.Sentinel(id); !ok || !ok2 || got != err {
				t.Errorf("id %d, %t, leads back to %v, %t", id, ok, got, ok2)
			}
			if got := *decode(t, types, reflect.TypeFor[error](), encode(t, types, reflect.ValueOf(&err))).Interface().(*error); got != err {
				t.Errorf("as an error: got %v, another one", got)
			}
			var inside any = &fs.PathError{Op: "o", Path: "p", Err: err}
			got := *decode(t, types, reflect.TypeFor[any](), encode(t, types, reflect.ValueOf(&inside))).Interface().(*any)
			if !errors.Is(got.(error), err) {
				t.Errorf("inside of another: got %v", got)
			}
		})
	}
	t.Run("uncomparable value of a comparable type", func(t *testing.T) {
		if _, ok := types.SentinelID(valueError{[]int{}}); ok {
			t.Error("found")
		}
	})
	t.Run("unknown", func(t *testing.T) {
		if _, ok := types.SentinelID(errors.New("mine")); ok {
			t.Error("another error with the same text was found")
		}
		if _, ok := types.SentinelID(nil); ok {
			t.Error("nil was found")
		}
		for _, id := range []int{-1, 1 << 30} {
			if _, ok := types.Sentinel(id); ok {
				t.Errorf("%d was found", id)
			}
		}
	})
}

func TestBuiltinTypesCanCross(t *testing.T) {
	for _, rt := range codec.BuiltinTypes() {
		if _, err := new(codec.Types).Plan(rt); err != nil {
			t.Error(err)
		}
	}
}

func TestBuiltinFingerprint(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the constant is that of 64-bit machines; a shape says which one it is for")
	}
	h := fnv.New64a()
	for _, line := range codec.BuiltinLines() {
		h.Write([]byte(line + "\n"))
	}
	want := strconv.FormatUint(h.Sum64(), 16)
	if codec.BuiltinFingerprint != want {
		t.Errorf("builtinFingerprint is %q, should be %q", codec.BuiltinFingerprint, want)
	}
	if line := new(codec.Types).Describe()[0]; !strings.Contains(line, want) || !strings.Contains(line, runtime.Version()) {
		t.Errorf("the description begins with %q", line)
	}
}

func TestDescribe(t *testing.T) {
	describe := func(change func(*codec.Types)) []string {
		types := new(codec.Types)
		change(types)
		return types.Describe()
	}
	register := func(v any) func(*codec.Types) {
		return func(types *codec.Types) {
			if err := types.Register(reflect.TypeOf(v)); err != nil {
				t.Fatal(err)
			}
		}
	}
	sentinel := func(err error) func(*codec.Types) {
		return func(types *codec.Types) {
			if err := types.RegisterError(err); err != nil {
				t.Fatal(err)
			}
		}
	}
	none := describe(func(*codec.Types) {})
	if !slices.Equal(none, describe(func(*codec.Types) {})) {
		t.Error("equal registrations are described differently")
	}
	all := map[string][]string{
		"none": none, "Circle": describe(register(Circle{})), "*Circle": describe(register(&Circle{})),
		"int sentinel": describe(sentinel(errMine)), "other sentinel": describe(sentinel(errors.New("other"))),
		"panicking sentinel": describe(sentinel((*panicError)(nil))),
	}
	seen := make(map[string]string)
	for name, lines := range all {
		text := strings.Join(lines, "\n")
		if other, ok := seen[text]; ok {
			t.Errorf("%s and %s are described alike", name, other)
		}
		seen[text] = name
	}
}

func TestShape(t *testing.T) {
	type A struct{ X int }
	type fieldRenamed struct{ A struct{ Y int } }
	shapes := make(map[string]reflect.Type)
	for _, v := range []any{
		0, int64(0), uint(0), true, "", []int{}, [1]int{}, [2]int{}, map[int]int{}, map[int]string{}, ptr(0), ptr(any(0)), ptr(error(nil)),
		A{}, struct{ X int }{}, struct{ Y int }{}, struct{ X int64 }{}, fieldRenamed{}, Node{}, Tree{}, Lists{}, Blank{}, time.Time{},
		Bin{}, Gob{}, Text{}, Generic[int]{}, Generic[string]{}, Color(0), Exported{}, struct{ Inner Inner }{}, struct{ Inner }{},
	} {
		rt := reflect.TypeOf(v)
		plan, err := new(codec.Types).Plan(rt)
		if err != nil {
			t.Fatal(err)
		}
		again, err := new(codec.Types).Plan(rt)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Shape() != again.Shape() {
			t.Errorf("two shapes of %v:\n%s\n%s", rt, plan.Shape(), again.Shape())
		}
		if other, ok := shapes[plan.Shape()]; ok {
			t.Errorf("%v and %v have the same shape %s", rt, other, plan.Shape())
		}
		shapes[plan.Shape()] = rt
	}
}

func TestShapeText(t *testing.T) {
	plan, err := new(codec.Types).Plan(reflect.TypeFor[[]Node]())
	if err != nil {
		t.Fatal(err)
	}
	want := `-bit little-endian []#1="example.com/parallel/internal/codec_test".Node(struct{Value int;Next *#1;})`
	if got := plan.Shape(); !strings.HasSuffix(strings.Replace(got, "big-", "little-", 1), want) {
		t.Errorf("got %s, want ...%s", got, want)
	}
}

// Plans, registrations and encodings at the same time; the race detector looks on.
func TestConcurrentUse(t *testing.T) {
	types := new(codec.Types)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				rt := reflect.ArrayOf(i*5+j%5, reflect.TypeFor[Scene]())
				if err := types.Register(rt); err != nil {
					t.Error(err)
				}
				if err := types.RegisterError(fmt.Errorf("error %d", j)); err != nil {
					t.Error(err)
				}
				through(t, types, Scene{"s", nil, []any{1, io.EOF, time.Now()}, io.EOF})
			}
		})
	}
	wg.Wait()
}

func TestInclude(t *testing.T) {
	types := new(codec.Types)
	before := types.Describe()
	types.Include([]reflect.Type{reflect.TypeFor[Circle]()}, []error{errMine})
	if got := types.Describe(); !slices.Equal(got, before) {
		t.Errorf("what is included is described: %q", got)
	}
	id, ok := types.SentinelID(errMine)
	if err, found := types.Sentinel(id); !ok || !found || err != errMine {
		t.Errorf("the sentinel has number %d, %v, at which there is %v, %v", id, ok, err, found)
	}
	through[any](t, types, Circle{1})
	// Registering it again changes nothing, and another is described.
	if err := types.Register(reflect.TypeFor[Circle]()); err != nil || !slices.Equal(types.Describe(), before) {
		t.Errorf("%v, %q", err, types.Describe())
	}
	if err := types.Register(reflect.TypeFor[Small]()); err != nil || len(types.Describe()) != len(before)+1 {
		t.Errorf("%v, %q", err, types.Describe())
	}
}
