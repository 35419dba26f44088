//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"os"
	"os/signal"
	"syscall"
)

// dropSignals makes this process drop the signals by which a service manager or a terminal
// ends all processes of a service or a session: the parent decides when its workers end. The
// signals are caught, not ignored, since what this process starts would inherit that. Code
// that asks for them, by signal.Notify, still gets them.
func dropSignals() {
	dropped := make(chan os.Signal, 1) // nothing receives
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // or what this process starts would not inherit that
			signal.Notify(dropped, s)
		}
	}
}
