// Command user is a program outside of the module: the instances of generic
// functions that it links are those that users get.
package main

import (
	"context"
	"fmt"
	"slices"

	"example.com/parallel"
)

// wide is a plain type of 64 bytes: its encoding is its memory. So is int's;
// a string's is not.
type wide struct{ a, b, c, d, e, f, g, h int64 }

func init() {
	parallel.Register(double)
	parallel.Register(widen)
	parallel.Register(greet)
	parallel.RegisterEach(eachInt)
	parallel.RegisterEach(eachWide)
	parallel.RegisterEach(eachString)
}

func double(_ context.Context, x int) (int, error)      { return 2 * x, nil }
func widen(_ context.Context, x wide) (wide, error)     { return wide{h: x.a}, nil }
func greet(_ context.Context, x string) (string, error) { return x + "!", nil }

func eachInt(context.Context, int) error       { return nil }
func eachWide(context.Context, wide) error     { return nil }
func eachString(context.Context, string) error { return nil }

func main() {
	parallel.Init()
	ctx := context.Background()
	ints, wides, strings := make([]int, 10), make([]wide, 10), make([]string, 10)

	fmt.Println(parallel.Map(ctx, ints, double))
	fmt.Println(parallel.Map(ctx, wides, widen))
	fmt.Println(parallel.Map(ctx, strings, greet))

	fmt.Println(parallel.ForEach(ctx, ints, eachInt))
	fmt.Println(parallel.ForEach(ctx, wides, eachWide))
	fmt.Println(parallel.ForEach(ctx, strings, eachString))

	for r, err := range parallel.MapSeq(ctx, slices.Values(ints), double) {
		fmt.Println(r, err)
	}
	for r, err := range parallel.MapSeq(ctx, slices.Values(wides), widen) {
		fmt.Println(r, err)
	}
	for r, err := range parallel.MapSeq(ctx, slices.Values(strings), greet) {
		fmt.Println(r, err)
	}
}
