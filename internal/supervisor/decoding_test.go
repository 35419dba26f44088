package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/parallel"
	"example.com/parallel/internal/testkit"
)

// A result or an error whose decoder, in this process, blocks.

func init() {
	parallel.Register(returnGated)
	parallel.RegisterType(gated{})
}

// gated is a result, and an error, whose decoder calls a function of the test's.
type gated struct{ text string }

var inGated atomic.Pointer[func()]

func (g gated) Error() string { return g.text }

func (g gated) MarshalText() ([]byte, error) { return []byte(g.text), nil }

func (g *gated) UnmarshalText(b []byte) error {
	if f := inGated.Load(); f != nil {
		(*f)()
	}
	g.text = string(b)
	return nil
}

// returnGated fails with a gated for item 1, and returns one for the others.
func returnGated(_ context.Context, i int) (gated, error) {
	if i == 1 {
		return gated{}, gated{"an error"}
	}
	return gated{"a result"}, nil
}

// safeBuffer is a buffer that several goroutines may use.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestADecoderThatBlocks has the call wait for a decoder, of a result and of an error. The
// Logger is told, once, even if nothing else of the call goes on and its context ends.
func TestADecoderThatBlocks(t *testing.T) {
	everyTransport(t, func(t *testing.T) {
		testkit.CheckLeaks(t)
		var log safeBuffer
		pool := testPool(t, &parallel.ProcessPool{Size: 1, KillDelay: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		open := make(chan struct{})
		wait := func() { <-open }
		inGated.Store(&wait)
		t.Cleanup(func() {
			inGated.Store(nil)
			close(open) // lets the call of a failed test end
		})
		for index, line := range []string{"item=0", "item=1"} {
			ctx, cancel := context.WithCancel(testkit.Patient(t))
			items := testkit.Count(index + 1)
			if index == 1 {
				items[0] = 7
			}
			ended := make(chan error, 1)
			go func() {
				out, err := parallel.Map(ctx, items, returnGated, parallel.On(pool), parallel.KeepGoing())
				if out[0].text != "a result" {
					t.Errorf("the result is %q", out[0].text)
				}
				ended <- err
			}()
			testkit.WaitFor(t, "the Logger to be told of item 0", func() bool { return strings.Count(log.String(), "level=WARN") == index+1 })
			if index == 1 {
				open <- struct{}{}
				testkit.WaitFor(t, "the Logger to be told of item 1", func() bool { return strings.Count(log.String(), "level=WARN") == 3 })
				cancel() // changes nothing: all items have been run
			}
			select {
			case err := <-ended:
				t.Fatalf("the call did not wait: %v", err)
			default:
			}
			open <- struct{}{}
			err := <-ended
			if want := (gated{"an error"}); index == 1 && !errors.Is(err, want) || index == 0 && err != nil {
				t.Errorf("error %v", err)
			}
			cancel()
			for _, want := range []string{line, "pid=", "decoding="} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %q", want)
				}
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 3 {
			t.Errorf("the Logger was told %d times, want 3:\n%s", n, log.String())
		}
		t.Log("\n" + log.String())
	})
}
