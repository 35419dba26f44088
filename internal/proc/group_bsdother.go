//go:build dragonfly || netbsd || openbsd

package proc

import (
	"os/exec"
	"syscall"
)

// setSession makes cmd start as the leader of a session of its own.
func setSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// stopped cannot be known without taking the status.
func (g *group) stopped() bool { return false }
