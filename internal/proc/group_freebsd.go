package proc

import (
	"os/exec"
	"syscall"
)

// setSession makes cmd start as the leader of a session of its own, which the kernel kills at
// the death of this process.
func setSession(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// stopped cannot be known without taking the status.
func (g *group) stopped() bool { return false }
