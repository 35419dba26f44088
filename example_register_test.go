package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"example.com/parallel"
)

func init() {
	registerText(time.LoadLocation)
	parallel.Register(landing)
	parallel.Register(sum[int])
	parallel.Register(sum[float64])
	parallel.RegisterEach(checkParity)
	parallel.Register(outline)
	parallel.RegisterType(circle{}, &rectangle{})
	parallel.Register(withdraw)
	parallel.RegisterType(&overdrawnError{})
	parallel.Register(find)
	parallel.RegisterError(errNotFound)
}

// sum is generic: each instance that is to run in processes is registered.
func sum[T int | float64](ctx context.Context, numbers []T) (total T, err error) {
	for _, n := range numbers {
		total += n
	}
	return total, nil
}

// Register belongs into an init function of the file that the function is in:
//
//	func init() {
//		parallel.Register(sum[int])
//		parallel.Register(sum[float64])
//	}
func ExampleRegister() {
	ctx, in := context.Background(), parallel.Processes(2)
	whole, err := parallel.Map(ctx, [][]int{{1, 2}, {3, 4}}, sum[int], in)
	fmt.Println(whole, err)
	parts, err := parallel.Map(ctx, [][]float64{{0.5, 0.25}, {}}, sum[float64], in)
	fmt.Println(parts, err)
	// Output:
	// [3 7] <nil>
	// [0.75 0] <nil>
}

// checkParity fails for odd numbers.
func checkParity(ctx context.Context, n int) error {
	if n%2 != 0 {
		return fmt.Errorf("%d is odd", n)
	}
	return nil
}

// RegisterEach is for the functions that ForEach takes:
//
//	func init() { parallel.RegisterEach(checkParity) }
func ExampleRegisterEach() {
	err := parallel.ForEach(context.Background(), []int{2, 4, 5, 6, 7}, checkParity, parallel.Processes(2))
	fmt.Println(err)
	// Output: parallel: item 2: 5 is odd
}

type shape interface{ Perimeter() float64 }

type circle struct{ Radius float64 }

func (c circle) Perimeter() float64 { return 2 * math.Pi * c.Radius }

type rectangle struct{ Width, Height float64 }

func (r *rectangle) Perimeter() float64 { return 2 * (r.Width + r.Height) }

// outline takes any shape that the program knows.
func outline(ctx context.Context, s shape) (string, error) {
	return fmt.Sprintf("%T of %.1f", s, s.Perimeter()), nil
}

// The items are of an interface type. What may be in them is named in an init
// function, pointers as pointers:
//
//	func init() { parallel.RegisterType(circle{}, &rectangle{}) }
func ExampleRegisterType() {
	shapes := []shape{circle{1}, &rectangle{2, 3}}
	outlines, err := parallel.Map(context.Background(), shapes, outline, parallel.Processes(2))
	fmt.Println(outlines, err)
	// Output: [parallel_test.circle of 6.3 *parallel_test.rectangle of 10.0] <nil>
}

// overdrawnError says by how much an account would be overdrawn.
type overdrawnError struct{ By int }

func (e *overdrawnError) Error() string { return fmt.Sprintf("overdrawn by %d", e.By) }

func withdraw(ctx context.Context, amount int) (int, error) {
	const balance = 100
	if amount > balance {
		return 0, fmt.Errorf("cannot pay: %w", &overdrawnError{amount - balance})
	}
	return balance - amount, nil
}

// An error type that is registered is found by errors.As on this side of the
// process boundary too, with its fields:
//
//	func init() { parallel.RegisterType(&overdrawnError{}) }
func ExampleRegisterType_error() {
	_, err := parallel.Map(context.Background(), []int{30, 130}, withdraw, parallel.Processes(1))
	var overdrawn *overdrawnError
	if errors.As(err, &overdrawn) {
		fmt.Println("missing:", overdrawn.By)
	}
	// Output: missing: 30
}

var errNotFound = errors.New("not found")

func find(ctx context.Context, key string) (string, error) {
	return "", fmt.Errorf("key %q: %w", key, errNotFound)
}

// A sentinel error that is registered is the same variable on both sides:
//
//	func init() { parallel.RegisterError(errNotFound) }
func ExampleRegisterError() {
	_, err := parallel.Map(context.Background(), []string{"x"}, find, parallel.Processes(1))
	fmt.Println(err)
	fmt.Println(errors.Is(err, errNotFound))
	// Output:
	// parallel: item 0: key "x": not found
	// true
}

// registerText lets the values of a type that is not one's own cross by their text.
func registerText[T fmt.Stringer](parse func(string) (T, error)) {
	parallel.RegisterCodec(
		func(v T) ([]byte, error) { return []byte(v.String()), nil },
		func(b []byte) (T, error) { return parse(string(b)) },
	)
}

type flight struct {
	Lands time.Time
	Zone  *time.Location // has unexported fields; nil for UTC
}

func landing(ctx context.Context, f flight) (string, error) {
	if f.Zone == nil {
		return f.Lands.Format(time.Kitchen), nil
	}
	return f.Lands.In(f.Zone).Format(time.Kitchen), nil
}

// A codec is for types of other packages that cannot cross by themselves. With a
// helper, as registerText here, it is a line for each type. It stands before the
// functions that use the type:
//
//	func init() {
//		registerText(time.LoadLocation)
//		parallel.Register(landing)
//	}
func ExampleRegisterCodec() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	lands := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	times, err := parallel.Map(context.Background(), []flight{{lands, berlin}, {lands, nil}}, landing, parallel.Processes(1))
	fmt.Println(times, err)
	// Output: [1:00PM 12:00PM] <nil>
}
