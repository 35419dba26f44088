//go:build linux

package supervisor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// Stray writes: one item writes where it should not, or closes or reads what is not its own,
// and goes on as if nothing had happened. Each way proves that it has hit what it aimed at.

// scribbler is an item.
type scribbler struct {
	N    int
	How  string // a key of scribbles, with its argument behind a colon; empty: nothing
	Runs string // the directory in which each run is noted
}

func init() { parallel.Register(scribbleOn) }

func scribbleOn(_ context.Context, s scribbler) (int, error) {
	f, err := os.OpenFile(filepath.Join(s.Runs, strconv.Itoa(s.N)), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintln(f, "run")
	f.Close()
	if err == nil && s.How != "" {
		how, arg, _ := strings.Cut(s.How, ":")
		n, _ := strconv.Atoi(arg)
		err = scribbles[how](n)
	}
	return s.N, err
}

// errMissed is the error of an item that has not hit what it aimed at.
var errMissed = errors.New("missed")

// scribbles are ways to write where one should not. They return errMissed if they could not.
var scribbles = map[string]func(int) error{
	"text":      func(int) error { return toResults([]byte("GET / HTTP/1.0\r\n\r\n")) },
	"bytes":     func(n int) error { return toResults(bytes.Repeat([]byte{1}, n)) },
	"zeros":     func(n int) error { return toResults(make([]byte, n)) },
	"word+1":    func(at int) error { return toWord(at, 1) },
	"word=0":    func(at int) error { return toWord(at, 0) },
	"word=2^40": func(at int) error { return toWord(at, 1<<40) },
	"word=max":  func(at int) error { return toWord(at, 1<<64-1) },
	"words=0":   func(n int) error { return toSegment(make([]byte, n)) },
	"words=max": func(n int) error { return toSegment(bytes.Repeat([]byte{0xff}, n)) },
	"words=text": func(int) error {
		return toSegment([]byte("GET / HTTP/1.0 and a host and some headers and an accept line and so on, 100 bytes in all"))
	},
	"noise": func(seed int) error {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		for range 3 {
			b := make([]byte, 1+r.IntN(512))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			to := toResults
			if r.IntN(2) == 0 {
				to = toSegment
			}
			if err := to(b); err != nil {
				return err
			}
		}
		return nil
	},
	"both": func(int) error {
		return errors.Join(toWord(0, 1<<40), toResults([]byte("GET / HTTP/1.0\r\n\r\n")))
	},
	"the parent's words": func(at int) error {
		if inherited.Shared == nil {
			return nil
		}
		if _, err := inherited.Shared.Down.WriteAt(make([]byte, 8), int64(at)); err == nil {
			return errors.New("they can be written")
		}
		return nil
	},
	"truncate": func(n int) error {
		if inherited.Shared == nil {
			return nil
		}
		err := inherited.Shared.Up.Truncate(int64(n))
		if sealed := !launcher.SharedInFile; sealed != (err != nil) {
			return errMissed
		}
		return nil
	},
	"read": func(int) error {
		_ = syscall.SetNonblock(requestsFD, true)
		if _, err := syscall.Read(requestsFD, make([]byte, 64<<10)); err != nil && err != syscall.EAGAIN {
			return errMissed
		}
		return nil
	},
	"close": func(fd int) error {
		if syscall.Close(fd) != nil {
			return errMissed
		}
		return nil
	},
	"close the requests": func(int) error { return syscall.Close(requestsFD) },
	"close all others": func(int) error {
		for name := range testkit.Descriptors() {
			if fd, _ := strconv.Atoi(name); fd > fdDown && fd != requestsFD {
				_ = syscall.Close(fd)
			}
		}
		return nil
	},
}

// toResults writes to the pipe to the parent.
func toResults(b []byte) error {
	if n, err := inherited.Results.Write(b); err != nil || n != len(b) {
		return errMissed
	}
	return nil
}

// toSegment writes to the start of what this process shares with the parent.
func toSegment(b []byte) error {
	if inherited.Shared == nil {
		return nil
	}
	got := make([]byte, len(b))
	_, err := inherited.Shared.Up.WriteAt(b, 0)
	if _, e := inherited.Shared.Up.ReadAt(got, 0); err != nil || e != nil || !bytes.Equal(b, got) {
		return errMissed
	}
	return nil
}

// toWord writes to one word there.
func toWord(at int, v uint64) error {
	if inherited.Shared == nil {
		return nil
	}
	if _, err := inherited.Shared.Up.WriteAt(binary.NativeEndian.AppendUint64(nil, v), int64(at)); err != nil {
		return errMissed
	}
	return nil
}

// allScribbles is what one item of a call does.
func allScribbles() map[string]bool {
	all := map[string]bool{
		"text": true, "bytes:1": true, "zeros:4": true, "zeros:12": true, "zeros:500": true, "words=0:64": true, "words=0:100": true,
		"words=max:64": true, "words=text": true, "both": true, "the parent's words:0": true, "the parent's words:8": true,
		"truncate:0": true, "truncate:30": true, "read": true, "close the requests": true, "close all others": true,
	}
	for at := 0; at < 64; at += 8 {
		for _, how := range []string{"word+1", "word=0", "word=2^40", "word=max"} {
			all[fmt.Sprint(how, ":", at)] = true
		}
	}
	for fd := fdResults; fd <= fdParent; fd++ {
		all[fmt.Sprint("close:", fd)] = true
	}
	seeds := 20
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		all[fmt.Sprint("noise:", seed)] = true
	}
	return all
}

// TestScribbles has one item of 40 scribble. Whatever that is, no item runs twice, and no
// item fails that another worker was given.
func TestScribbles(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		sideBySide(t, allScribbles(), func(t *testing.T, how string) { scribbleCall(t, how, 40) })
	})
}

// TestScribblesAmongMany has one item of 2,000 short ones destroy what says what is running.
func TestScribblesAmongMany(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, how := range []string{"truncate:0", "words=0:64", "words=max:64", "words=text", "text", "both"} {
		t.Run(how, func(t *testing.T) { scribbleCall(t, how, 2000) })
	}
}

func scribbleCall(t *testing.T, how string, n int) {
	runs := t.TempDir()
	items := make([]scribbler, n)
	for i := range items {
		items[i] = scribbler{N: i, Runs: runs}
	}
	hostile := n / 8
	items[hostile].How = how
	pool := testPool(t, &parallel.ProcessPool{Size: 2, Stderr: io.Discard, StartTimeout: time.Minute})
	begun := time.Now()
	out, err := parallel.Map(testkit.Patient(t), items, scribbleOn, parallel.On(pool), parallel.KeepGoing())
	// Silence takes two seconds at most, a start's time limit would be a minute.
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("the call took %v", took)
	}
	failed, pids := make(map[int]bool), make(map[int]bool)
	for _, e := range itemErrors(err) {
		failed[e.Index] = true
		var crash *parallel.CrashError
		switch {
		case errors.As(e, &crash):
			pids[crash.PID] = true
		default:
			t.Errorf("%v", e)
		}
	}
	if len(pids) > 1 {
		t.Errorf("items of %d workers failed: %v", len(pids), err)
	}
	for i, v := range out {
		b, _ := os.ReadFile(filepath.Join(runs, strconv.Itoa(i)))
		if n := bytes.Count(b, []byte("run")); n > 1 || n == 0 && !failed[i] {
			t.Errorf("item %d ran %d times", i, n)
		}
		if v != i && !failed[i] {
			t.Errorf("result %d is %d", i, v)
		}
	}
}
