//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"os"
	"os/signal"
	"syscall"
)

// endSignals are the signals by which a service manager or a terminal ends all processes of a
// service or a session.
var endSignals = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

// catchSignals makes this process drop the end signals: its parent decides when it ends. They
// are caught, not ignored, since what this process starts would inherit that. Code that asks
// for them, by signal.Notify, still gets them.
func catchSignals() {
	dropped := make(chan os.Signal, 1) // nothing receives
	for _, s := range endSignals {
		if !signal.Ignored(s) { // or what this process starts would not inherit that
			signal.Notify(dropped, s)
		}
	}
}
