package parallel_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/parallel"
)

// README.md is held to the code here: its Go code stands in this package's tests
// or in the examples, so that it compiles, and what it names exists.

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goBlocks returns the Go code of README.md, without its indentation.
func goBlocks(t *testing.T) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^( *)```go\n(.*?)^ *```$").FindAllStringSubmatch(readme(t), -1) {
		blocks = append(blocks, regexp.MustCompile("(?m)^"+m[1]).ReplaceAllString(m[2], ""))
	}
	if len(blocks) == 0 {
		t.Fatal("README.md has no Go code")
	}
	return blocks
}

func TestReadmeProgram(t *testing.T) {
	program, err := os.ReadFile("examples/hello/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(goBlocks(t), string(program)) {
		t.Error("README.md does not show examples/hello/main.go as it is")
	}
	if n := strings.Count(string(program), "\n"); n >= 25 {
		t.Errorf("the program has %d lines, and should have fewer than 25", n)
	}
}

func TestReadmeCodeCompiles(t *testing.T) {
	examples, _ := filepath.Glob("examples/*/*.go")
	tests, _ := filepath.Glob("*_test.go")
	var sources []string
	for _, file := range append(examples, tests...) {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, unindented(string(source)))
	}
	for _, block := range goBlocks(t) {
		if !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, unindented(block)) }) {
			t.Errorf("README.md has code that no test and no example has:\n%s", block)
		}
	}
}

// unindented makes code comparable that stands at different depths.
func unindented(code string) string {
	return regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAllString("\n"+code, "")
}

func TestReadmeNamesExist(t *testing.T) {
	names := exportedNames(t)
	for _, pattern := range []string{`\bparallel\.([A-Z]\w*)`, `\b((?:ProcessPool|CrashError|ItemError)\.\w+)`} {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(readme(t), -1) {
			if !names[m[1]] {
				t.Errorf("README.md names %s, which does not exist", m[0])
			}
		}
	}
	for _, m := range regexp.MustCompile(`ProcessPool\{(\w+):`).FindAllStringSubmatch(readme(t), -1) {
		if !names["ProcessPool."+m[1]] {
			t.Errorf("README.md uses the field %s of ProcessPool, which does not exist", m[1])
		}
	}
}

func TestReadmeLinks(t *testing.T) {
	for _, m := range regexp.MustCompile(`\]\(([\w/-]+\.\w+|[A-Z]+)\)`).FindAllStringSubmatch(readme(t), -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("README.md links to what is not there: %v", err)
		}
	}
}

// TestFiguresHaveASource holds that docs/performance.md has each figure with which README.md
// says what something costs.
func TestFiguresHaveASource(t *testing.T) {
	source, err := os.ReadFile("docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, costs, _ := strings.Cut(readme(t), "\n## What it costs\n")
	costs, _, _ = strings.Cut(costs, "\n## ")
	figure := regexp.MustCompile(`(?:^|[\s|(])(\d[\d.,]*\d|\d)( ?(?:[nµm]?s|[KM]i?B|%|times))?`)
	found := 0
	for _, m := range figure.FindAllStringSubmatch(costs, -1) {
		if unit := strings.TrimSpace(m[2]); unit != "" && unit != "times" {
			m[1] += " " + unit
		}
		// Not within a longer number.
		if !regexp.MustCompile(`(?:^|[^\d.,])` + regexp.QuoteMeta(m[1]) + `(?:$|[^\d.,]|[.,]\D)`).Match(source) {
			t.Errorf("README.md says %q, which docs/performance.md does not have", m[1])
		}
		found++
	}
	if found < 5 {
		t.Errorf("README.md has %d figures of what something costs", found)
	}
}

// exportedNames returns what this package exports: Map, ProcessPool,
// ProcessPool.Size, ProcessPool.Close.
func exportedNames(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(file)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				names[receiver(n)+n.Name.Name] = true
			case *ast.ValueSpec:
				for _, name := range n.Names {
					names[name.Name] = true
				}
			case *ast.TypeSpec:
				names[n.Name.Name] = true
				if s, ok := n.Type.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						for _, name := range field.Names {
							names[n.Name.Name+"."+name.Name] = true
						}
					}
				}
			}
			return true
		})
	}
	return names
}

// receiver is "T." for a method of T or of *T, and "" for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	for typ := f.Recv.List[0].Type; ; {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.Ident:
			return t.Name + "."
		default:
			return ""
		}
	}
}

// The rest is README.md's code.

func init() {
	parallel.Register(resize)
	parallel.Register(lookUp)
	parallel.Register(add)
	parallel.Register(surroundings)
}

type image struct{ Width, Height int }

// resize halves an image. An image without height is more than it can bear.
func resize(ctx context.Context, i image) (image, error) {
	if i.Height == 0 {
		os.Exit(3)
	}
	return image{i.Width / 2, i.Height / 2}, nil
}

func TestReadmeFirstCall(t *testing.T) {
	ctx, items := t.Context(), []image{{4, 2}, {8, 6}}
	//lint:ignore SA4006 the two lines are alternatives
	out, err := parallel.Map(ctx, items, resize)                       // on goroutines
	out, err = parallel.Map(ctx, items, resize, parallel.Processes(4)) // in processes: one argument more
	if want := []image{{2, 1}, {4, 3}}; err != nil || !slices.Equal(out, want) {
		t.Errorf("%v, %v", out, err)
	}
}

func lookUp(ctx context.Context, name string) (string, error) {
	dictionary, _ := parallel.Shared[map[string]string](ctx)
	return dictionary[name], nil
}

func TestReadmeShare(t *testing.T) {
	ctx, names, dictionary := t.Context(), []string{"good"}, map[string]string{"good": "god"}
	words, err := parallel.Map(ctx, names, lookUp, parallel.Processes(2), parallel.Share(dictionary))
	if err != nil || !slices.Equal(words, []string{"god"}) {
		t.Errorf("%q, %v", words, err)
	}
}

func TestReadmeErrors(t *testing.T) {
	var logged strings.Builder
	log := log.New(&logged, "", 0)
	ctx, items := t.Context(), []image{{4, 2}, {8, 0}, {8, 6}}
	out, err := parallel.Map(ctx, items, resize, parallel.Processes(4))
	var item *parallel.ItemError
	var crash *parallel.CrashError
	switch {
	case errors.As(err, &item) && errors.As(item.Err, &crash):
		log.Printf("item %d took its process down (exit code %d, signal %v): %s",
			item.Index, crash.ExitCode, crash.Signal, crash.Stderr)
	case err != nil:
		log.Print(err)
	}
	if want := []image{{2, 1}}; !slices.Equal(out, want) {
		t.Errorf("results %v, want %v", out, want)
	}
	if want := "item 1 took its process down (exit code 3, signal <nil>): \n"; logged.String() != want {
		t.Errorf("logged %q, want %q", &logged, want)
	}
}

func TestReadmePool(t *testing.T) {
	ctx, images := t.Context(), []image{{4, 2}}
	pool := &parallel.ProcessPool{
		Size:        4,                // at most so many workers; 0: GOMAXPROCS
		MaxItems:    1000,             // the library leaks: a fresh worker now and then
		IdleTimeout: 10 * time.Second, // then an idle worker ends
	}
	defer pool.Close()
	thumbnails, err := parallel.Map(ctx, images, resize, parallel.On(pool), parallel.ItemTimeout(time.Second))
	if err != nil || !slices.Equal(thumbnails, []image{{2, 1}}) {
		t.Errorf("%v, %v", thumbnails, err)
	}
}

// surroundings says what a worker finds around it.
func surroundings(ctx context.Context, key any) (string, error) {
	input, err := io.ReadAll(os.Stdin)
	return fmt.Sprintf("%d arguments, input %q, %v, context value %v", len(os.Args)-1, input, err, ctx.Value(key)), nil
}

func TestReadmeWorkerSurroundings(t *testing.T) {
	ctx := context.WithValue(t.Context(), any(7), "of the caller") //lint:ignore SA1029 a key that crosses
	found, err := parallel.Map(ctx, []any{7}, surroundings, parallel.Processes(1))
	if want := `0 arguments, input "", <nil>, context value <nil>`; err != nil || found[0] != want {
		t.Errorf("%q, %v, want %q", found, err, want)
	}
}

// pair is what starmap's tuples become.
type pair struct{ A, B int }

func add(ctx context.Context, p pair) (int, error) { return p.A + p.B, nil }

// TestComingFromMultiprocessing runs what the last table of README.md says to
// write.
func TestComingFromMultiprocessing(t *testing.T) {
	ctx, x, xs, f := t.Context(), 1, []int{1, 2, 3}, double
	want := []int{2, 4, 6}

	task := parallel.Spawn(ctx, f, x, parallel.Processes(1))
	if result, err := task.Wait(); result != 2 || err != nil || task.PID() == 0 {
		t.Errorf("Process: %v, %v, PID %d", result, err, task.PID())
	}
	<-task.Done()

	pool := &parallel.ProcessPool{Size: 4}
	defer pool.Close()
	if results, err := parallel.Map(ctx, xs, f, parallel.On(pool)); !slices.Equal(results, want) || err != nil {
		t.Errorf("map: %v, %v", results, err)
	}
	for _, order := range [][]parallel.Option{{}, {parallel.Unordered()}} {
		var results []int
		for r, err := range parallel.MapSeq(ctx, slices.Values(xs), f, append(order, parallel.On(pool))...) {
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, r)
		}
		if len(order) > 0 {
			slices.Sort(results)
		}
		if !slices.Equal(results, want) {
			t.Errorf("imap: %v", results)
		}
	}
	if sums, err := parallel.Map(ctx, []pair{{1, 2}, {3, 4}}, add, parallel.On(pool)); fmt.Sprint(sums, err) != "[3 7] <nil>" {
		t.Errorf("starmap: %v, %v", sums, err)
	}
	task = parallel.Spawn(ctx, f, x, parallel.On(pool), parallel.ItemTimeout(2*time.Second))
	if result, err := task.Wait(); result != 2 || err != nil {
		t.Errorf("apply_async: %v, %v", result, err)
	}

	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := parallel.Map(ctx, xs, f, parallel.On(pool)); !errors.Is(err, context.Canceled) {
		t.Errorf("terminate: %v", err)
	}
}
