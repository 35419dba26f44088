package main

import (
	"bytes"
	"context"
	"io"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/parallel"
)

func TestMain(m *testing.M) {
	parallel.Init()
	os.Exit(m.Run())
}

// The SHA-256 of nothing and of "abc" are from FIPS 180-4.
const (
	sumOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sumOfABC     = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
)

// tree makes a directory with the given files.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestHashtree(t *testing.T) {
	dir := tree(t, map[string]string{"b": "abc", "a/z": "", "a.txt": "abc"})
	if err := os.Symlink("b", filepath.Join(dir, "link")); err != nil {
		t.Log("without a symbolic link:", err)
	}
	var stdout, stderr bytes.Buffer
	if err := run(context.Background(), &stdout, &stderr, dir, 2); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	root := filepath.ToSlash(dir)
	want := sumOfABC + "  " + root + "/a.txt\n" + sumOfNothing + "  " + root + "/a/z\n" + sumOfABC + "  " + root + "/b\n"
	if got := stdout.String(); got != want {
		t.Errorf("standard output:\n%swant:\n%s", got, want)
	}
	for _, line := range []string{
		`(?m)^ *loop +[\d.]+ +\d+ +[\d.]+$`, `(?m)^ *goroutines +[\d.]+ +\d+ +[\d.]+$`, `(?m)^ *processes +[\d.]+ +\d+ +[\d.]+$`,
		`(?m)^3 files, 0.0 MB, 2 processes: all three agree$`,
	} {
		if !regexp.MustCompile(line).Match(stderr.Bytes()) {
			t.Errorf("standard error has no line %s:\n%s", line, &stderr)
		}
	}
}

func TestDirectoryThatIsALink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(tree(t, map[string]string{"f": "abc"}), link); err != nil {
		t.Skip(err)
	}
	paths, err := regularFiles(link)
	if err != nil || len(paths) != 1 || paths[0] != filepath.ToSlash(link)+"/f" {
		t.Errorf("regularFiles(%q) = %q, %v", link, paths, err)
	}
}

func TestNoSuchDirectory(t *testing.T) {
	dir := tree(t, map[string]string{"file": ""})
	for _, name := range []string{"file", "missing"} {
		path := filepath.Join(dir, name)
		if _, err := regularFiles(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("regularFiles(%q): error %v does not name it", path, err)
		}
	}
}

// TestUnreadableFile gives all places a file that is not there: they agree on
// that too, and the other files are hashed.
func TestUnreadableFile(t *testing.T) {
	dir := tree(t, map[string]string{"a": "abc", "c": "abc"})
	paths := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	_, failure := os.Open(paths[1])
	for place, hashes := range map[string]iter.Seq2[digest, error]{
		"loop":       hashInLoop(t.Context(), paths),
		"goroutines": parallel.MapSeq(t.Context(), slices.Values(paths), hashFile, parallel.KeepGoing()),
		"processes":  parallel.MapSeq(t.Context(), slices.Values(paths), hashFile, parallel.KeepGoing(), parallel.Processes(2)),
	} {
		t.Run(place, func(t *testing.T) {
			got := collect(paths, hashes)
			if got[0].String() != sumOfABC || got[1].String() != failure.Error() || got[2].String() != sumOfABC {
				t.Errorf("outcomes %v", got)
			}
			if _, failed := total(got); failed != 1 {
				t.Errorf("%d failures", failed)
			}
			var stdout, stderr bytes.Buffer
			if err := printSums(&stdout, &stderr, paths, got); err != nil {
				t.Fatal(err)
			}
			if lines := strings.Count(stdout.String(), "\n"); lines != 2 {
				t.Errorf("%d lines of output:\n%s", lines, &stdout)
			}
			if want := "hashtree: " + failure.Error() + "\n"; stderr.String() != want {
				t.Errorf("standard error is %q, want %q", &stderr, want)
			}
		})
	}
}

func TestNamesThatNeedEscapes(t *testing.T) {
	var out bytes.Buffer
	if err := printSums(&out, io.Discard, []string{"plain", "a\nb\\c"}, make([]outcome, 2)); err != nil {
		t.Fatal(err)
	}
	zero := strings.Repeat("0", 64)
	if want := zero + "  plain\n\\" + zero + `  a\nb\\c` + "\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}
