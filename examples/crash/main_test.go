package main

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"testing"

	"example.com/parallel"
)

func TestMain(m *testing.M) {
	parallel.Init()
	os.Exit(m.Run())
}

func TestCrash(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`process \d+ `).ReplaceAllString(out.String(), "process PID ")
	killed := "signal killed"
	if runtime.GOOS == "windows" {
		killed = "exit code 1"
	}
	want := `item 0: the square of 0 is 0
item 1: the square of 1 is 1
item 2: the square of 2 is 4
item 3: FAILED: process PID ended with exit code 2: fatal error: concurrent map writes
item 4: the square of 4 is 16
item 5: the square of 5 is 25
item 6: the square of 6 is 36
item 7: FAILED: process PID ended with ` + killed + `: its time was up
item 8: the square of 8 is 64
item 9: the square of 9 is 81
8 results, 2 failures
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
