package compare

import (
	"bufio"
	"fmt"
	"os/exec"
	"strconv"
	"testing"
)

// inPython makes a processPeer's open of one of Python's pools; it opens nothing if there is no python3. testdata/pools.py keeps the pool
// and the items; it maps them whenever it is sent a line, and answers with a line.
// What that adds to a call is far below its tens of milliseconds.
func inPython(kind string) func(testing.TB, int, cost, int) calls {
	return func(tb testing.TB, workers int, c cost, n int) calls {
		tb.Helper()
		python, err := exec.LookPath("python3")
		if err != nil {
			return calls{}
		}
		cmd := exec.Command(python, "testdata/pools.py", kind, strconv.Itoa(workers),
			strconv.FormatInt(c.item.Nanoseconds(), 10), strconv.Itoa(n))
		in, out := startPiped(tb, cmd)
		tb.Cleanup(func() {
			in.Close() // the end of its input ends it
			if err := cmd.Wait(); err != nil {
				tb.Errorf("python3: %v", err)
			}
		})
		answers := bufio.NewScanner(out)
		answer := func(want string) error {
			if !answers.Scan() || answers.Text() != want {
				return fmt.Errorf("python3 answered %q, %v; want %q", answers.Text(), answers.Err(), want)
			}
			return nil
		}
		if err := answer("ready"); err != nil {
			tb.Fatal(err)
		}
		told := func(what string) func() error {
			return func() error {
				if _, err := fmt.Fprintln(in, what); err != nil {
					return err
				}
				return answer("done")
			}
		}
		return calls{told("map"), told("ideal")}
	}
}
