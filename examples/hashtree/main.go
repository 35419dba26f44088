// Hashtree prints the SHA-256 of every regular file below a directory, a line
// for each as sha256sum prints it. Then it hashes all of them again in a plain
// loop, on goroutines and in worker processes, checks that the three agree, and
// says on standard error how fast each was.
//
//	go run ./examples/hashtree [-processes N] [DIR]
//
// DIR is the source of the Go installation where it is not given. Symbolic links
// are skipped. A file that cannot be read is named on standard error, and the
// exit status is 1.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/parallel"
)

// digest is what hashFile makes of a file. The fields are exported because they
// travel from a worker process.
type digest struct {
	Sum   [sha256.Size]byte
	Bytes int64
}

func init() { parallel.Register(hashFile) }

// hashFile is the work, the same in all three places.
func hashFile(_ context.Context, path string) (digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return digest{}, err
	}
	return digest{[sha256.Size]byte(h.Sum(nil)), n}, nil
}

func main() {
	parallel.Init()
	processes := flag.Int("processes", runtime.GOMAXPROCS(0), "the number of worker processes, at least 1")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: hashtree [-processes N] [DIR]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 1 || *processes < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), os.Stdout, os.Stderr, flag.Arg(0), *processes); err != nil {
		fmt.Fprintln(os.Stderr, "hashtree:", err)
		os.Exit(1)
	}
}

// run is main without the process around it.
func run(ctx context.Context, stdout, stderr io.Writer, dir string, processes int) error {
	paths, err := regularFiles(dir)
	if err != nil {
		return err
	}

	passes := []struct {
		place  string
		hashes iter.Seq2[digest, error]
	}{
		{"loop", hashInLoop(ctx, paths)},
		{"goroutines", parallel.MapSeq(ctx, slices.Values(paths), hashFile, parallel.KeepGoing())},
		{"processes", parallel.MapSeq(ctx, slices.Values(paths), hashFile, parallel.KeepGoing(), parallel.Processes(processes))},
	}

	// This pass is printed and not timed: it brings the files into memory, where
	// those after it all find them.
	want := collect(paths, passes[1].hashes)
	if err := printSums(stdout, stderr, paths, want); err != nil {
		return err
	}
	megabytes, failed := total(want)
	table := tabwriter.NewWriter(stderr, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "place\tseconds\tfiles/s\tMB/s\t")
	for _, pass := range passes {
		start := time.Now()
		got := collect(paths, pass.hashes)
		seconds := time.Since(start).Seconds()
		for i := range got {
			if got[i] != want[i] {
				return fmt.Errorf("%s: %s: %v, unlike before: %v", pass.place, paths[i], got[i], want[i])
			}
		}
		fmt.Fprintf(table, "%s\t%.3f\t%.0f\t%.1f\t\n", pass.place, seconds,
			float64(len(paths))/seconds, megabytes/seconds)
	}
	table.Flush()
	fmt.Fprintf(stderr, "%d files, %.1f MB, %d processes: all three agree\n", len(paths), megabytes, processes)
	if failed > 0 {
		return fmt.Errorf("%d of %d files could not be read", failed, len(paths))
	}
	return nil
}

// hashInLoop is what MapSeq with KeepGoing stands for.
func hashInLoop(ctx context.Context, paths []string) iter.Seq2[digest, error] {
	return func(yield func(digest, error) bool) {
		for _, path := range paths {
			if !yield(hashFile(ctx, path)) {
				return
			}
		}
	}
}

// regularFiles returns the regular files below dir, sorted.
func regularFiles(dir string) ([]string, error) {
	if dir == "" {
		goroot, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return nil, fmt.Errorf("cannot find the Go installation, so name a directory: %w", err)
		}
		dir = filepath.Join(strings.TrimSpace(string(goroot)), "src")
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	var paths []string
	// Through DirFS, a dir that is itself a symbolic link is followed.
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() {
			paths = append(paths, filepath.ToSlash(filepath.Join(dir, path)))
		}
		return nil
	})
	slices.Sort(paths)
	return paths, err
}

// outcome is what became of one file.
type outcome struct {
	digest
	failure string
}

func (o outcome) String() string {
	if o.failure != "" {
		return o.failure
	}
	return fmt.Sprintf("%x", o.Sum)
}

// collect runs a pass over paths.
func collect(paths []string, hashes iter.Seq2[digest, error]) []outcome {
	outcomes := make([]outcome, 0, len(paths))
	for d, err := range hashes {
		o := outcome{digest: d}
		if err != nil {
			var item *parallel.ItemError
			if errors.As(err, &item) {
				err = item.Err // it names the file, which says more than an index
			}
			o.failure = err.Error()
		}
		outcomes = append(outcomes, o)
	}
	return outcomes[:len(paths)] // where a pass ended early, the rest are zero
}

// total adds up the bytes that were read and the files that could not be.
func total(outcomes []outcome) (megabytes float64, failed int) {
	for _, o := range outcomes {
		megabytes += float64(o.Bytes) / 1e6
		if o.failure != "" {
			failed++
		}
	}
	return megabytes, failed
}

// printSums prints the sums to stdout, and to stderr what could not be read.
func printSums(stdout, stderr io.Writer, paths []string, outcomes []outcome) error {
	out := bufio.NewWriter(stdout)
	escape := strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\r", "\\r")
	for i, o := range outcomes {
		if o.failure != "" {
			fmt.Fprintln(stderr, "hashtree:", o.failure)
			continue
		}
		// As sha256sum does, mark the line of a name that had to be escaped.
		mark, name := "", escape.Replace(paths[i])
		if name != paths[i] {
			mark = "\\"
		}
		fmt.Fprintf(out, "%s%x  %s\n", mark, o.Sum, name)
	}
	return out.Flush()
}
