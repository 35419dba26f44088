package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

func init() {
	roles["environment of a child"] = func() {
		child := again("environment")
		child.Stdout = os.Stdout
		if err := child.Run(); err != nil {
			fail(err.Error())
		}
	}
}

// lines is what a worker says, by line.
func lines(t *testing.T, w *transport.Worker) []string {
	t.Helper()
	defer w.Process.Wait()
	return strings.Split(output(t, w), "\n")
}

// TestWorkersAreAlike changes the environment and the working directory between the starts of
// one launcher.
func TestWorkersAreAlike(t *testing.T) {
	testkit.CheckLeaks(t)
	first, second := realTempDir(t), realTempDir(t)
	if err := os.Mkdir(filepath.Join(first, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(first)
	t.Setenv("PROC_TEST_A", "first")
	usual, inner := new(Local), new(Local)
	for range 2 {
		for _, test := range []struct {
			launcher *Local
			dir      string
			want     string
		}{{usual, "", first}, {inner, "inner", filepath.Join(first, "inner")}, {new(Local), second, second}} {
			w, err := test.launcher.Launch(t.Context(), transport.Spec{Dir: test.dir, Env: []string{roleVariable + "=environment", "GORACE=atexit_sleep_ms=0"}})
			if err != nil {
				t.Fatal(err)
			}
			defer closeWorker(w)
			got := lines(t, w)
			if !slices.Contains(got, "Dir="+test.want+" <nil>") {
				t.Errorf("%s is not in %q", test.want, got)
			}
			if test.launcher != usual {
				continue
			}
			if !slices.Contains(got, "PROC_TEST_A=first") || slices.Contains(got, "PROC_TEST_B=second") {
				t.Errorf("another environment: %q", got)
			}
		}
		t.Chdir(second)
		t.Setenv("PROC_TEST_A", "second")
		t.Setenv("PROC_TEST_B", "second")
	}
	if err := os.RemoveAll(first); err != nil {
		t.Fatal(err)
	}
	_, err := usual.Launch(t.Context(), transport.Spec{})
	if err == nil || !strings.HasPrefix(err.Error(), "the working directory at the first start of a worker: ") {
		t.Errorf("error %v", err)
	}
}

// TestDirectoryThatHasGone starts workers in a directory without a name.
func TestDirectoryThatHasGone(t *testing.T) {
	testkit.OnlyOn(t, "linux")
	testkit.CheckLeaks(t)
	dir := filepath.Join(realTempDir(t), "inner")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	before := new(Local)
	serveAndEnd(t, launch(t, before, "echo"))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	serveAndEnd(t, launch(t, before, "echo"))
	serveAndEnd(t, launch(t, new(Local), "echo"))
}

// realTempDir is a directory, by the name that the system has for it.
func realTempDir(t *testing.T) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWhatIsForTheWorkerAlone has a worker start a process, which has the environment that this
// process has.
func TestWhatIsForTheWorkerAlone(t *testing.T) {
	for _, ours := range []string{"", "5", "a \"quoted\"\nvalue=\\ ", "0"} {
		t.Run(fmt.Sprintf("%q", ours), func(t *testing.T) {
			testkit.CheckLeaks(t)
			for _, name := range []string{"GOMAXPROCS", "GOMEMLIMIT"} {
				t.Setenv(name, "4") // to be restored
				os.Unsetenv(name)
				if ours != "" && name == "GOMAXPROCS" {
					os.Setenv(name, ours)
				}
			}
			l := new(Local)
			w, err := l.Launch(t.Context(), transport.Spec{GOMAXPROCS: 2, MaxMemoryBytes: 1 << 40, Env: []string{roleVariable + "=environment of a child", "GORACE=atexit_sleep_ms=0"}})
			if err != nil {
				t.Fatal(err)
			}
			defer closeWorker(w)
			got := output(t, w)
			w.Process.Wait()
			if ours == "" {
				if strings.Contains(got, "\nGOMAXPROCS=") {
					t.Errorf("%q", got)
				}
			} else if !strings.Contains(got, "\nGOMAXPROCS="+ours+"\n") {
				t.Errorf("GOMAXPROCS=%q is not in %q", ours, got)
			}
			if strings.Contains(got, "\nGOMEMLIMIT=") || strings.Contains(got, "\n"+markVariable+"=") {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestRestoreEnvironment(t *testing.T) {
	t.Setenv("PROC_TEST_A", "for the worker")
	t.Setenv("PROC_TEST_B", "for the worker")
	mark := withRestore("3,4", []string{"PROC_TEST_A", `PROC_TEST_B="old" = \n`})
	got, err := restoreEnvironment(mark)
	if got != "3,4" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if v, ok := os.LookupEnv("PROC_TEST_A"); ok {
		t.Errorf("A is %q", v)
	}
	if v := os.Getenv("PROC_TEST_B"); v != `"old" = \n` {
		t.Errorf("B is %q", v)
	}
}
