// Figures measures what docs/performance.md says, and writes the tables of the
// documents and the pictures from it.
//
//	go run ./cmd/figures [-take [-only REGEXP]] [-measured FILE] [-root DIR]
//
// It reads the output of go test -bench from FILE, measured.txt by default, and writes
// docs/goroutines.svg, docs/processes.svg, and the tables that stand between
// <!-- figures:begin NAME --> and <!-- figures:end --> in the documents. With -take it
// runs the benchmarks first, which takes ten minutes, and writes FILE; with -only
// those of the commands whose -bench matches, and FILE keeps the others. Of a benchmark that ran several times it takes the median. Nothing is written if a figure
// is missing, unless -partial is given.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	root := flag.String("root", "..", "the `directory` of package parallel")
	measured := flag.String("measured", "measured.txt", "the `file` of what was measured")
	takeAll := flag.Bool("take", false, "measure first")
	only := flag.String("only", "", "measure with those commands only whose -bench matches this `regexp`")
	partial := flag.Bool("partial", false, "write the documents even if figures are missing")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	var which *regexp.Regexp
	if *takeAll {
		which = regexp.MustCompile(*only)
	}
	if err := run(*root, *measured, which, *partial, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(root, measured string, only *regexp.Regexp, partial bool, messages io.Writer) error {
	if only != nil {
		if err := take(root, measured, only, messages); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(measured)
	if err != nil {
		return err
	}
	files, err := documents(root, data, messages)
	if err != nil && !(partial && errors.As(err, new(missingError))) {
		return err
	}
	for path, text := range files {
		if old, _ := os.ReadFile(path); !bytes.Equal(old, text) {
			fmt.Fprintln(messages, path)
			if err := os.WriteFile(path, text, 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

// A missingError names the figures that documents need and that were not measured.
type missingError []string

func (m missingError) Error() string {
	return fmt.Sprintf("%d figures are missing:\n\t%s", len(m), strings.Join(m, "\n\t"))
}

// documents returns what the documents and the pictures should be, by path.
func documents(root string, measured []byte, warn io.Writer) (map[string][]byte, error) {
	r := read(bytes.NewReader(measured), warn)
	files := make(map[string][]byte)
	for _, name := range []string{"README.md", "docs/performance.md"} {
		path := filepath.Join(root, name)
		old, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if files[path], err = fill(old, r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	files[filepath.Join(root, "docs", "goroutines.svg")] = goroutinesPicture(r).svg()
	files[filepath.Join(root, "docs", "processes.svg")] = processesPicture(r).svg()
	if len(r.missing) > 0 {
		return files, missingError(r.missing)
	}
	return files, nil
}

const (
	begin = "<!-- figures:begin "
	end   = "<!-- figures:end -->\n"
)

// fill puts the tables of r between the marks of a document.
func fill(document []byte, r *results) ([]byte, error) {
	var out strings.Builder
	rest := string(document)
	for {
		before, after, ok := strings.Cut(rest, begin)
		out.WriteString(before)
		if !ok {
			return []byte(out.String()), nil
		}
		name, after, ok1 := strings.Cut(after, " -->\n")
		_, after, ok2 := strings.Cut(after, end)
		if !ok1 || !ok2 || strings.Contains(name, "\n") {
			return nil, fmt.Errorf("the mark %s%.20s… is not closed", begin, name)
		}
		section := sections[name]
		if section == nil {
			return nil, fmt.Errorf("there are no figures called %q", name)
		}
		fmt.Fprintf(&out, "%s%s -->\n%s%s", begin, name, section(r), end)
		rest = after
	}
}
