package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"example.com/parallel/internal/transport"
)

// activity reads from /proc what process pid is doing.
func activity(pid int) transport.Activity {
	dir := fmt.Sprint("/proc/", pid)
	state, cpu, ok := readStat(dir + "/stat")
	if !ok {
		return transport.Activity{}
	}
	a := transport.Activity{Known: true, Stopped: state == 'T' || state == 't', CPU: cpu}
	tasks, err := os.ReadDir(dir + "/task")
	if err != nil {
		return transport.Activity{}
	}
	for _, task := range tasks {
		state, _, _ := readStat(dir + "/task/" + task.Name() + "/stat")
		a.Eager = a.Eager || state == 'R' || state == 'D'
	}
	return a
}

// readStat reads a process's or a thread's state and how long it has run.
func readStat(name string) (state byte, cpu time.Duration, ok bool) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, 0, false
	}
	// The name of the program stands in parentheses, and may contain anything.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, 0, false
	}
	for _, f := range fields[utime : stime+1] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, 0, false
		}
		cpu += time.Duration(n) * (time.Second / ticksPerSecond)
	}
	return fields[0][0], cpu, true
}

// ticksPerSecond is USER_HZ, the same on every Linux that Go runs on.
const ticksPerSecond = 100
