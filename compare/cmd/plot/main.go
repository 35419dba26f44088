// Plot draws what the benchmarks of package compare measured.
//
//	go run ./cmd/plot [-dir DIR] [-format svg|png] [FILE]
//
// It reads the output of go test -bench from FILE, or from standard input where
// none is given, and writes goroutines.svg and processes.svg to DIR, the current
// directory where it is not given. Of a benchmark that ran several times (-count)
// it draws the median. A picture for which there are no results is not touched.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	dir := flag.String("dir", ".", "write the pictures to this `directory`")
	format := flag.String("format", "svg", "write svg or png")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: plot [-dir DIR] [-format svg|png] [FILE]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 1 || (*format != "svg" && *format != "png") {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *dir, *format, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// run draws the pictures and says on messages what it has written and what it
// could not read.
func run(file, dir, format string, messages io.Writer) error {
	in := io.Reader(os.Stdin)
	if file == "" {
		file = "standard input"
	} else {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	samples, machine, err := read(in, file, messages)
	if err != nil {
		return err
	}
	drawn := 0
	for _, f := range figures {
		lines := group(samples, f.x)
		if len(lines) == 0 {
			continue
		}
		path := filepath.Join(dir, f.name+"."+format)
		if err := f.save(path, format, lines, machine); err != nil {
			return err
		}
		fmt.Fprintln(messages, path)
		drawn++
	}
	if drawn == 0 {
		return fmt.Errorf("%s: no results of BenchmarkGoroutines/work=tiny or BenchmarkProcesses", file)
	}
	return nil
}
