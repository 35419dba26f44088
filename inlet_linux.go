package parallel

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inlet is the reading end of a pipe from one process to another. One goroutine at a
// time may read it; Close and SetReadDeadline may come from others, Close only when
// nobody reads.
//
// Where somebody waits for input in a system call of its own, the kernel also wakes the
// thread that waits in the runtime's poller, if the poller knows the file: for nothing,
// and on an idle processor, for which the one who writes pays 15 µs. So the poller does
// not know the pipe. It knows a set (an epoll instance) that holds it, and in which it is
// armed only while somebody waits by the poller.
type inlet struct {
	fd      int      // of the pipe; does not block
	set     *os.File // in the poller
	setFd   int
	setConn syscall.RawConn
	armed   bool

	// Of the Read that goes on.
	b    []byte
	n    int
	err  error
	step func(set uintptr) (done bool) // readOrArm, made once

	misses  int // spins in vain that others have not made up for
	skipped int // waits that would have spun since
}

// How an inlet spins: in answers that come within microseconds, sleeping and being woken
// is most of the time. To spin for as long as that takes, and then to sleep, costs at most
// twice what is best, whatever comes (Karlin, Li, Manasse and Owicki, "Empirical studies of
// competitive spinning for a shared-memory multiprocessor", SOSP 1991). Where it has been
// in vain again and again it is only tried now and then.
const (
	spinTime   = 50 * time.Microsecond // what it takes to wake a processor that sleeps, and the time to answer
	spinMost   = 1000                  // looks, where the clock stands still, as in a testing/synctest bubble
	spinMisses = 8
	spinAgain  = 16 // waits, of which one spins
)

// newInlet makes an inlet of f, which it takes over, even if it fails.
func newInlet(f *os.File) (_ *inlet, err error) {
	defer f.Close()
	in := &inlet{fd: -1}
	defer func() {
		if err != nil {
			in.Close()
		}
	}()
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	if e := conn.Control(func(fd uintptr) { in.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		return nil, errors.Join(e, os.NewSyscallError("dup", err))
	}
	if err := unix.SetNonblock(in.fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if in.setFd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(in.setFd, true); err != nil { // or the poller would not take it
		unix.Close(in.setFd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	in.set = os.NewFile(uintptr(in.setFd), "inlet")
	if err := unix.EpollCtl(in.setFd, unix.EPOLL_CTL_ADD, in.fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT}); err != nil {
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	in.step = in.readOrArm
	in.setConn, err = in.set.SyscallConn()
	return in, err
}

// Read waits, by the poller, until there is something to read.
func (in *inlet) Read(b []byte) (int, error) {
	in.b = b
	err := in.setConn.Read(in.step)
	in.b = nil
	switch {
	case err != nil:
		return 0, err
	case in.err != nil:
		return 0, in.err
	case in.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return in.n, nil
}

// readOrArm reads. It returns false if nothing is there, and is called again after the
// next event of the set's.
func (in *inlet) readOrArm(uintptr) (done bool) {
	if in.armed {
		var event bool
		if event, in.err = in.disarm(); !event {
			return in.err != nil
		}
	}
	in.err = retryInterrupted(func() (err error) {
		in.n, err = unix.Read(in.fd, in.b)
		return err
	})
	if in.err != unix.EAGAIN {
		in.err = os.NewSyscallError("read", in.err)
		return true
	}
	in.err = in.arm()
	return in.err != nil
}

// arm has the set tell of one event of the pipe's. If there is one already, it does so at
// once.
func (in *inlet) arm() error {
	in.armed = true
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(in.setFd, unix.EPOLL_CTL_MOD, in.fd, &event))
}

// disarm takes that event out of the set, which then is quiet until it is armed again. It
// returns false if there has been none.
func (in *inlet) disarm() (bool, error) {
	var events [1]unix.EpollEvent
	err := retryInterrupted(func() error {
		n, err := unix.EpollWait(in.setFd, events[:], 0)
		in.armed = n < 1
		return err
	})
	return !in.armed, os.NewSyscallError("epoll_wait", err)
}

// linger waits for at most d, and a spin, for there to be something to read, in system calls.
// The runtime takes half as long to go on from there as it does to go on from its
// poller, but nobody else has the processor until it looks, 20 µs to 10 ms later.
func (in *inlet) linger(d time.Duration) {
	if !in.spin() {
		in.poll(unix.NsecToTimespec(int64(d)))
	}
}

// spin looks for input until there is some, for a while. It returns false if there is
// none.
func (in *inlet) spin() bool {
	if in.misses == spinMisses {
		if in.skipped++; in.skipped < spinAgain {
			return false
		}
		in.skipped = 0
	}
	start := clock()
	for i := 0; i < spinMost && clock()-start < spinTime; i++ {
		if in.poll(unix.Timespec{}) {
			in.misses = max(in.misses-1, 0)
			return true
		}
		// Whoever is to write may need this processor.
		_, _, _ = syscall.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
	in.misses = min(in.misses+1, spinMisses)
	return false
}

// poll reports whether there is something to read, for which it waits as long as that.
func (in *inlet) poll(timeout unix.Timespec) bool {
	n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(in.fd), Events: unix.POLLIN}}, &timeout, nil)
	return n > 0 || err != nil && err != unix.EINTR // another error comes again when it is read
}

// SetReadDeadline is as for an os.File.
func (in *inlet) SetReadDeadline(t time.Time) error { return in.set.SetReadDeadline(t) }

// Close gives back what the inlet holds.
func (in *inlet) Close() error {
	if in.set != nil {
		in.set.Close()
	}
	if in.fd < 0 {
		return nil
	}
	fd := in.fd
	in.fd = -1
	return unix.Close(fd)
}
