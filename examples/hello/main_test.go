package main

import (
	"os"
	"testing"

	"example.com/parallel"
)

func TestMain(m *testing.M) {
	parallel.Init()
	os.Exit(m.Run())
}

func Example() {
	main()
	// Output: [2 4 6 8 10 12 14 16 18 20]
}
