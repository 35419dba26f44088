package compare

import (
	"errors"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"testing"
)

// rpcWorker is set in the environment of a worker that speaks net/rpc.
const rpcWorker = "COMPARE_RPC_WORKER"

// pipe is the two ends of a worker's pipes that belong to one process.
type pipe struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipe) Close() error { return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close()) }

// serveRPC is the worker: it serves on standard input and output until the input
// ends. It reports whether this process is one.
func serveRPC() bool {
	if os.Getenv(rpcWorker) == "" {
		return false
	}
	for name, fn := range services {
		if err := rpc.RegisterName(name, service{fn}); err != nil {
			panic(err)
		}
	}
	rpc.ServeConn(pipe{os.Stdin, os.Stdout})
	return true
}

// startPiped starts cmd and returns the pipes to its input and from its output.
func startPiped(tb testing.TB, cmd *exec.Cmd) (in io.WriteCloser, out io.ReadCloser) {
	tb.Helper()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if out, err = cmd.StdoutPipe(); err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return in, out
}

// openNetRPC starts a worker and ends it with the test.
func openNetRPC(tb testing.TB, name string) worker {
	tb.Helper()
	cmd := again(tb)
	cmd.Env = append(os.Environ(), rpcWorker+"=1")
	in, out := startPiped(tb, cmd)
	client := rpc.NewClient(pipe{out, in})
	tb.Cleanup(func() {
		if err := errors.Join(client.Close(), cmd.Wait()); err != nil {
			tb.Error(err)
		}
	})
	return worker{client, name}
}

// again is a command that starts this test binary again.
func again(tb testing.TB) *exec.Cmd {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	return exec.Command(exe)
}
