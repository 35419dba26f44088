package main

import (
	"context"
	"fmt"
	"log"

	"example.com/parallel"
)

func double(ctx context.Context, n int) (int, error) { return 2 * n, nil }

func init() { parallel.Register(double) } // so that it can run in worker processes

func main() {
	parallel.Init() // first of all: in a worker process it never returns
	data := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	results, err := parallel.Map(context.Background(), data, double, parallel.Processes(4))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results) // [2 4 6 8 10 12 14 16 18 20]
}
