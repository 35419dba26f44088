package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/testkit"
	"example.com/parallel/internal/transport"
)

func init() {
	roles["open the terminal"] = func() {
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, syscall.SIGINT)
		f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err == nil {
			_, err = f.Read(make([]byte, 1)) // of a terminal in another group's hands: it is stopped
		}
		sid, _ := unix.Getsid(0)
		reportText(fmt.Sprintf("session of its own: %v, no terminal: %v", sid == os.Getpid(), errors.Is(err, syscall.ENXIO)))
		<-interrupted
		reportText("interrupted")
		stay()
	}
	roles["parent that survives Ctrl-C"] = func() {
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, syscall.SIGINT)
		go func() {
			<-interrupted
			reportText("interrupted")
		}()
		parent(os.Getenv(roleVariable + "_WORKER"))
	}
	roles["parent that relays"] = func() {
		w, err := new(Local).Launch(context.Background(), transport.Spec{Env: []string{roleVariable + "=" + os.Getenv(roleVariable+"_WORKER")}})
		if err != nil {
			fail(err.Error())
		}
		_, _ = io.Copy(os.Stdout, w.Stdout)
		w.Process.Wait()
	}
	roles["be told of signals"] = func() {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		fmt.Println(<-c)
	}
	roles["signals of a child"] = signalsOfAChild
	roles["be told of early signals"] = toldOfEarlySignals
	roles["raise what it has just asked for"] = func() {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		fmt.Println(<-c)
	}
	roles["OOM score"] = func() {
		_, _ = inherited.Requests.Read(make([]byte, 1))
		fmt.Print(oomScore())
		if os.Getenv(roleVariable+"_NESTED") == "" {
			os.Setenv(roleVariable+"_NESTED", "1")
			w, err := new(Local).Launch(context.Background(), transport.Spec{})
			if err != nil {
				fail(err.Error())
			}
			w.Requests.Close()
			nested, _ := io.ReadAll(w.Stdout)
			fmt.Printf(" %s", nested)
			w.Process.Wait()
		}
	}
}

// toldOfEarlySignals gets signals while the runtime's handlers are not installed, and then.
func toldOfEarlySignals() {
	undo, ok := dropEarly()
	if !ok {
		fail("signals are not dropped early")
	}
	for _, s := range endSignals {
		_ = syscall.Kill(os.Getpid(), s) // which would end this process
	}
	signalsOfAChild()
	catchSignals()
	signal.Ignore(syscall.SIGHUP)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	undo()
	fmt.Print(<-asked)
	_ = syscall.Kill(os.Getpid(), syscall.SIGHUP) // which stays ignored
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	fmt.Print(" ", <-asked)
}

// reportText reports with a text.
func reportText(text string) {
	name := filepath.Join(os.Getenv(dirVariable), fmt.Sprint(os.Getpid()))
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		fail(err.Error())
	}
	if err := os.Rename(name+".new", name); err != nil {
		fail(err.Error())
	}
}

// signalsOfAChild starts a process that does with signals what is usual, and says what ends
// it.
func signalsOfAChild() {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		child := exec.Command("sleep", "1000")
		if err := child.Start(); err != nil {
			fail(err.Error())
		}
		mask := signalSets(child.Process.Pid)
		_ = child.Process.Signal(s)
		if mask["SigIgn"]&(1<<(s-1)) != 0 { // it would stay
			_ = child.Process.Kill()
		}
		_ = child.Wait()
		fmt.Printf("%d ", child.ProcessState.Sys().(syscall.WaitStatus).Signal())
	}
}

// signalSets are the sets of signals in the status of a process.
func signalSets(pid int) map[string]uint64 {
	sets := make(map[string]uint64)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(name, "Sig") {
			sets[name], _ = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return sets
}

func oomScore() string {
	b, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		fail(err.Error())
	}
	return strings.TrimSpace(string(b))
}

// openTerminal returns both ends of a new terminal, or skips the test if there cannot be one.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals: ", err)
	}
	t.Cleanup(func() { ours.Close() })
	conn, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var refusal error
	if err := conn.Control(func(fd uintptr) {
		if refusal = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); refusal == nil {
			n, refusal = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if refusal != nil {
		t.Skip("there are no terminals: ", refusal)
	}
	theirs, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no terminals: ", err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// TestWorkerHasNoTerminal has a worker open the terminal that its parent has. Ctrl-C, there,
// does not reach it.
func TestWorkerHasNoTerminal(t *testing.T) {
	testkit.CheckLeaks(t)
	ours, theirs := openTerminal(t)
	dir := reportDir(t)
	parent := again("parent that survives Ctrl-C")
	parent.Env = append(parent.Env, roleVariable+"_WORKER=open the terminal", dirVariable+"="+dir)
	parent.Stdin, parent.Stdout, parent.Stderr = theirs, theirs, theirs
	parent.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = parent.Process.Kill(); _ = parent.Wait() }()
	said := make(map[int]string) // by process
	testkit.WaitFor(t, "the worker to report", func() bool {
		said = reportedTexts(t, dir)
		return len(said) > 0
	})
	for _, text := range said {
		if want := "session of its own: true, no terminal: true"; text != want {
			t.Errorf("%s, want %s", text, want)
		}
	}
	if _, err := ours.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	testkit.WaitFor(t, "the parent to be interrupted", func() bool { return reportedTexts(t, dir)[parent.Process.Pid] == "interrupted" })
	for pid, text := range reportedTexts(t, dir) {
		if pid != parent.Process.Pid && text == "interrupted" {
			t.Error("the worker is interrupted too")
		}
	}
}

// reportedTexts is what processes have reported by reportText.
func reportedTexts(t *testing.T, dir string) map[int]string {
	texts := make(map[int]string)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(filepath.Base(name)); err == nil {
			b, _ := os.ReadFile(name)
			texts[pid] = string(b)
		}
	}
	return texts
}

// TestWorkersDropSignals sends workers the signals by which a service is ended.
func TestWorkersDropSignals(t *testing.T) {
	testkit.CheckLeaks(t)
	w := launch(t, new(Local), "echo")
	ask(t, w, "are you ready?")
	for range 100 {
		for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			if err := syscall.Kill(-w.Process.PID(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask(t, w, "are you still there?")
	w.Requests.Close()
	if e := w.Process.Wait(); e != (transport.Exit{}) {
		t.Errorf("it ended with %+v", e)
	}
}

// TestSignalsThatAreAskedFor has code of the user's ask for a signal.
func TestSignalsThatAreAskedFor(t *testing.T) {
	testkit.CheckLeaks(t)
	w := launch(t, new(Local), "be told of signals")
	if _, err := io.ReadFull(w.Stdout, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(w.Process.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := output(t, w); got != "terminated\n" {
		t.Errorf("it was told %q", got)
	}
	w.Process.Wait()
}

// TestSignalsOfAWorkersChild has a worker start a process, which is to do with signals what
// is usual, or what this process has it inherit.
func TestSignalsOfAWorkersChild(t *testing.T) {
	testkit.CheckLeaks(t)
	w := launch(t, new(Local), "signals of a child")
	if got, want := output(t, w), usualEnds(); got != want {
		t.Errorf("children were ended by the signals %s, want by %s", got, want)
	}
	w.Process.Wait()

	parent := again("parent that relays")
	parent.Args = []string{"sh", "-c", `trap "" HUP; exec "$0"`, parent.Path}
	parent.Path = realPath("sh")
	parent.Env = append(parent.Env, roleVariable+"_WORKER=signals of a child")
	if out, err := parent.CombinedOutput(); err != nil || string(out) != usualEnds(syscall.SIGHUP) {
		t.Errorf("if SIGHUP is ignored, children were ended by the signals %s, want by %s; %v", out, usualEnds(syscall.SIGHUP), err)
	}
}

// TestSignalRightAfterItWasAskedFor has code ask for a signal and send it, as early as it can.
func TestSignalRightAfterItWasAskedFor(t *testing.T) {
	testkit.CheckLeaks(t)
	for range 20 {
		w := launch(t, new(Local), "raise what it has just asked for")
		if got := output(t, w); got != "terminated\n" {
			t.Errorf("it was told %q", got)
		}
		w.Process.Wait()
	}
}

// TestEarlySignals has signals come before the runtime's handlers are installed.
func TestEarlySignals(t *testing.T) {
	if _, ok := dropsEarly[runtime.GOARCH]; !ok {
		t.Skip("the runtime's handlers are installed before anything else here")
	}
	out, err := again("be told of early signals").CombinedOutput()
	if want := usualEnds() + "terminated terminated"; err != nil || string(out) != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
}

// dropsEarly is where dropEarly works.
var dropsEarly = map[string]struct{}{"amd64": {}, "arm64": {}}

// usualEnds is what signalsOfAChild says of processes that do with signals what is usual where
// this process runs, but ignore some: nohup has one ignored, and a shell another for processes
// in the background.
func usualEnds(ignored ...syscall.Signal) (ends string) {
	for _, s := range endSignals {
		if signal.Ignored(s) || slices.Contains(ignored, s) {
			s = syscall.SIGKILL
		}
		ends += fmt.Sprintf("%d ", s)
	}
	return ends
}

// TestOOMScore has workers offer themselves to the kernel.
func TestOOMScore(t *testing.T) {
	testkit.CheckLeaks(t)
	var scores [3]int
	ours, err := strconv.Atoi(oomScore())
	if err != nil {
		t.Fatal(err)
	}
	scores[0] = ours
	w := launch(t, new(Local), "OOM score")
	w.Requests.Close()
	text := output(t, w)
	if n, err := fmt.Sscan(text, &scores[1], &scores[2]); n != 2 || err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	w.Process.Wait()
	for i, score := range scores[1:] {
		if score <= scores[i] && score < 1000 {
			t.Errorf("this process, its worker and the worker's worker have scores of %v", scores)
		}
	}
}

func TestOfferedScore(t *testing.T) {
	for score, want := range map[int]int{-1000: 800, -500: 850, 0: 900, 500: 950, 900: 990, 990: 999, 999: 1000, 1000: 1000} {
		if got := offeredScore(score); got != want {
			t.Errorf("the worker of a process with %d has %d, want %d", score, got, want)
		}
	}
}
