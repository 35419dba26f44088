package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"example.com/parallel/internal/guard"
)

// log is the pool's Logger. That is code of the user's: it runs in a goroutine of its own, and
// must be called while no lock is held. If it panics or calls runtime.Goexit, its record is
// lost and nothing else is. That is said once, on standard error.
type log struct {
	to   *slog.Logger // nil: silent
	said sync.Once
}

func (l *log) debug(message string, args ...any) { l.record(slog.LevelDebug, message, args) }
func (l *log) warn(message string, args ...any)  { l.record(slog.LevelWarn, message, args) }

func (l *log) record(level slog.Level, message string, args []any) {
	if l.to == nil {
		return
	}
	end := guard.Apart(func() { l.to.Log(context.Background(), level, message, args...) })
	if !end.Returned() {
		l.said.Do(func() {
			complain("ProcessPool.Logger %s: what it is told is lost whenever it does so", end)
		})
	}
}

// complain says, on standard error, what there is nowhere else to say.
func complain(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "parallel: "+format+"\n", args...)
}
