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
	"regexp"
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

	// layout is a seed by which the linker shuffles functions; 0: it does not. Where the
	// compiler and the linker put a loop of a few instructions makes a difference of up to a
	// third, so that what one build says is luck.
	layout int
}

var commands = []command{
	{".", "^BenchmarkRatio$", "200ms", 1, 1},
	{".", "^BenchmarkRatio$", "200ms", 1, 2},
	{".", "^BenchmarkRatio$", "200ms", 1, 3},
	{".", "^BenchmarkRatio$", "200ms", 1, 4},
	{".", "^BenchmarkRatio$", "200ms", 1, 5},
	{".", "ProcessRatio$", "4s", 1, 0},
	{".", "Payload|Limits", "3s", 1, 0},
	{".", "Map$/work=(tiny|blocking)/place=(goroutines|kept)", "300ms", 1, 0},
	{".", "Map$/work=skewed", "1s", 1, 0},
	{".", "MapSeq", "1s", 1, 0},
	{".", "ShortCalls", "500ms", 1, 0},
	{".", "WrongEstimate", "1500ms", 1, 0},
	{".", "WarmCall|ColdStart|Recovery", "2s", 1, 0},
	{".", "IdleWorkerMemory|Spawns|Callers|ManyWorkers", "1s", 1, 0},
	{"internal/codec", "(Codec|Gob)/type=(small|bytes)", "200ms", 3, 0},
	{"compare", "Goroutines/.*/n=(1|10|100|200|1000|10000|100000)$", "4s", 1, 0},
	{"compare", "Goroutines/.*/n=1000000$", "12s", 1, 0}, // a round takes more than a second
	{"compare", "Processes|Spawns", "8s", 1, 0},
}

func (c command) args() []string {
	args := []string{"test", "-run", "^$", "-bench", c.bench, "-benchtime", c.time}
	if c.count > 1 {
		args = append(args, "-count", strconv.Itoa(c.count))
	}
	if c.layout > 0 {
		args = append(args, fmt.Sprintf("-ldflags=-randlayout=%d", c.layout))
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

// take runs the commands that only matches, and writes what they print to file, after what
// it says about the machine. What the file has of the other commands stays.
func take(root, file string, only *regexp.Regexp, messages io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var out bytes.Buffer
	if err := about(ctx, root, &out); err != nil {
		return err
	}
	old, _ := os.ReadFile(file)
	begun := time.Now()
	for _, c := range commands {
		if !only.MatchString(c.bench) {
			out.WriteString(block(old, c))
			continue
		}
		fmt.Fprintf(messages, "%4.0f s  %s\n", time.Since(begun).Seconds(), c)
		fmt.Fprintf(&out, "\n%s%s\n", commandMark, c)
		fmt.Fprintf(&out, "commit: %s\n", say(ctx, root, "git", measuredCommit...))
		fmt.Fprintf(&out, "date: %s\n", time.Now().UTC().Format(time.DateOnly))
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

// measuredCommit is for git: the last commit that changed what is measured.
var measuredCommit = []string{"log", "-1", "--abbrev=12", "--format=%h", "--", ".", ":!compare/cmd", ":!compare/*.md", ":!compare/measured.txt", ":!docs", ":!*.md"}

const commandMark = "command: "

// block is what a file of measurements has of a command.
func block(file []byte, c command) string {
	for _, b := range strings.Split(string(file), "\n"+commandMark)[1:] {
		if rest, ok := strings.CutPrefix(b, c.String()+"\n"); ok {
			return "\n" + commandMark + c.String() + "\n" + rest
		}
	}
	return ""
}

// say returns what a program prints, or "" if there is none.
func say(ctx context.Context, dir, name string, words ...string) string {
	cmd := exec.CommandContext(ctx, name, words...)
	cmd.Dir = dir
	text, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// about writes what the figures depend on.
func about(ctx context.Context, root string, out io.Writer) error {
	fmt.Fprintf(out, "go: %s\n", strings.TrimPrefix(runtime.Version(), "go"))
	fmt.Fprintf(out, "cores: %d\n", runtime.GOMAXPROCS(0))
	fmt.Fprintf(out, "kernel: %s\n", say(ctx, root, "uname", "-sr"))
	fmt.Fprintf(out, "python: %s\n", strings.TrimPrefix(say(ctx, root, "python3", "--version"), "Python "))
	for _, p := range peers {
		if p.module == "" || p.module == "python" {
			continue
		}
		version := say(ctx, filepath.Join(root, "compare"), "go", "list", "-m", "-f", "{{.Version}}", p.module)
		if version == "" {
			return fmt.Errorf("compare/go.mod has no version of %s", p.module)
		}
		fmt.Fprintf(out, "%s: %s\n", p.module, version)
	}
	return nil
}
