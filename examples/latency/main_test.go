package main

import (
	"os"
	"strings"
	"testing"

	"example.com/parallel"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "echo" {
		echo()
		return
	}
	parallel.Init()
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, 2); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 6 {
		t.Errorf("%d lines, want 6:\n%s", lines, out.String())
	}
}
