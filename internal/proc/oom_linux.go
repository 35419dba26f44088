package proc

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// offerToOOMKiller makes the kernel choose worker pid, which has this process's score, before
// this process if it runs out of memory. This process can replace a worker, but nothing
// replaces this process. What cannot be written is done without.
func offerToOOMKiller(pid int) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var b [8]byte
	n, err := unix.Read(fd, b[:])
	if err != nil {
		return
	}
	if score, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		_, _ = unix.Pwrite(fd, strconv.AppendInt(b[:0], int64(offeredScore(score)), 10), 0)
	}
}

// offeredScore is the oom_score_adj of a worker whose parent has score: nine tenths of the way
// to the highest. A thousandth counts as a thousandth of the memory in use. So a worker is
// chosen unless its parent uses 900 thousandths more; and so is a worker's own worker before
// it.
func offeredScore(score int) int {
	const highest = 1000
	return highest - (highest-score)/10
}
