package proc

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// setSession makes cmd start as the leader of a session of its own.
func setSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// stopped reports whether the leader has been stopped by a signal.
func (g *group) stopped() bool {
	const sstop = 4 // of <sys/proc.h>
	info, err := unix.SysctlKinfoProc("kern.proc.pid", g.pid)
	return err == nil && info.Proc.P_stat == sstop
}
