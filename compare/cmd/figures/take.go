package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A command is one run of go test. All of them take about ten minutes on 2 cores.
type command struct {
	dir   string // below the root
	bench string
	time  string
	count int
}

var commands = []command{
	{".", "^BenchmarkRatio$", "1s", 1},
	{".", "ProcessRatio$", "4s", 1},
	{".", "Payload|Limits", "3s", 1},
	{".", "Map$/work=(tiny|blocking)/place=(goroutines|kept)", "300ms", 1},
	{".", "Map$/work=skewed", "1s", 1},
	{".", "MapSeq", "1s", 1},
	{".", "ShortCalls", "500ms", 1},
	{".", "WrongEstimate", "1500ms", 1},
	{".", "WarmCall|ColdStart|Recovery", "2s", 1},
	{".", "IdleWorkerMemory|Spawns|Callers|ManyWorkers", "1s", 1},
	{"internal/codec", "(Codec|Gob)/type=(small|bytes)", "200ms", 3},
	{"compare", "Goroutines/.*/n=(1|10|100|200|1000|10000|100000)$", "4s", 1},
	{"compare", "Goroutines/.*/n=1000000$", "12s", 1}, // a round takes more than a second
	{"compare", "Processes|Spawns", "8s", 1},
}

func (c command) args() []string {
	args := []string{"test", "-run", "^$", "-bench", c.bench, "-benchtime", c.time}
	if c.count > 1 {
		args = append(args, "-count", strconv.Itoa(c.count))
	}
	return append(args, ".")
}

// String is the command for a shell.
func (c command) String() string {
	words := append([]string{"go"}, c.args()...)
	for i, w := range words {
		if strings.ContainsAny(w, "^$|()") {
			words[i] = "'" + w + "'"
		}
	}
	line := strings.Join(words, " ")
	if c.dir != "." {
		line = "(cd " + c.dir + " && " + line + ")"
	}
	return line
}

// take runs the commands and writes what they print to file, after what it says about
// the machine.
func take(root, file string, messages io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var out bytes.Buffer
	if err := about(ctx, root, &out); err != nil {
		return err
	}
	begun := time.Now()
	for _, c := range commands {
		fmt.Fprintf(messages, "%4.0f s  %s\n", time.Since(begun).Seconds(), c)
		fmt.Fprintf(&out, "\ncommand: %s\n", c)
		cmd := exec.CommandContext(ctx, "go", c.args()...)
		cmd.Dir = filepath.Join(root, c.dir)
		cmd.Stdout, cmd.Stderr = &out, messages
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w\n%s", c, err, out.Bytes())
		}
	}
	fmt.Fprintf(messages, "%4.0f s\n", time.Since(begun).Seconds())
	return os.WriteFile(file, out.Bytes(), 0o666)
}

// about writes what the figures depend on.
func about(ctx context.Context, root string, out io.Writer) error {
	say := func(dir, name string, words ...string) string {
		cmd := exec.CommandContext(ctx, name, words...)
		cmd.Dir = filepath.Join(root, dir)
		text, err := cmd.Output()
		if err != nil {
			return "" // no such program here
		}
		return strings.TrimSpace(string(text))
	}
	fmt.Fprintf(out, "date: %s\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(out, "commit: %s\n", say(".", "git", "rev-parse", "--short=12", "HEAD"))
	fmt.Fprintf(out, "go: %s\n", strings.TrimPrefix(runtime.Version(), "go"))
	fmt.Fprintf(out, "cores: %d\n", runtime.GOMAXPROCS(0))
	fmt.Fprintf(out, "kernel: %s\n", say(".", "uname", "-sr"))
	fmt.Fprintf(out, "python: %s\n", strings.TrimPrefix(say(".", "python3", "--version"), "Python "))
	for _, p := range peers {
		if p.module == "" || p.module == "python" {
			continue
		}
		version := say("compare", "go", "list", "-m", "-f", "{{.Version}}", p.module)
		if version == "" {
			return fmt.Errorf("compare/go.mod has no version of %s", p.module)
		}
		fmt.Fprintf(out, "%s: %s\n", p.module, version)
	}
	return nil
}
