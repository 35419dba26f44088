package pipe

import (
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"example.com/parallel/internal/cost"
)

// Reader is the reading end of a pipe from one process to another. One goroutine at a
// time may call Read and Poll. SetReadDeadline may be called from others, and so may Close
// when no Read or Poll is running.
//
// When a goroutine waits for input in a system call of its own, the kernel also wakes the
// thread that waits in the runtime's poller, if the poller knows the file: for nothing,
// and on an idle processor, for which the writer pays 15 µs. So the poller does not know
// the pipe. It knows an epoll instance that holds the pipe, and in which the pipe is armed
// only while Read waits.
//
// Without an instance of epoll a Reader is plain: its Reads leave all waiting to the runtime's
// poller, or block if that does not know the pipe either.
type Reader struct {
	plain     *os.File        // the pipe of a plain Reader; else nil
	plainConn syscall.RawConn // of it; nil: it is closed

	fd        int      // of the pipe; does not block
	epoll     *os.File // the instance; the poller knows it
	epollFd   int
	epollConn syscall.RawConn
	armed     bool // the instance reports the pipe's next event

	// Of the Read that is running.
	b    []byte
	n    int
	err  error
	step func(epoll uintptr) (done bool) // readOrArm, made once

	misses  int // spins in vain that others have not made up for
	skipped int // Polls since that would have spun
}

// How a Reader spins: in answers that come within microseconds, sleeping and being woken
// is most of the time. To spin for as long as that takes, and then to sleep, costs at most
// twice what is best, whatever comes (Karlin, Li, Manasse and Owicki, "Empirical studies of
// competitive spinning for a shared-memory multiprocessor", SOSP 1991). After it has been
// in vain again and again it is only tried now and then.
const (
	spinTime   = 50 * time.Microsecond // what it takes to wake a processor that sleeps, and the time to answer
	spinMisses = 8
	spinAgain  = 16 // Polls, of which one spins
)

// NewReader returns a Reader of f, which it takes over, even if it fails. It fails only if
// f is closed.
func NewReader(f *os.File) (*Reader, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &Reader{fd: -1}
	var refusal error
	if err := conn.Control(func(fd uintptr) { refusal = r.open(int(fd)) }); err != nil {
		return nil, err
	}
	if refusal != nil {
		r.Close()
		return NewPlainReader(f), nil
	}
	f.Close()
	return r, nil
}

// NewPlainReader returns a plain Reader of f, which it takes over.
func NewPlainReader(f *os.File) *Reader {
	r := &Reader{plain: f}
	r.plainConn, _ = f.SyscallConn() // else it is closed
	return r
}

// open makes r read a duplicate of fd.
func (r *Reader) open(fd int) (err error) {
	if r.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		r.fd = -1
		return err
	}
	if err := unix.SetNonblock(r.fd, true); err != nil {
		return err
	}
	if r.epollFd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if err := unix.SetNonblock(r.epollFd, true); err != nil { // or the poller would not take it
		unix.Close(r.epollFd)
		return err
	}
	r.epoll = os.NewFile(uintptr(r.epollFd), "epoll")
	if err := unix.EpollCtl(r.epollFd, unix.EPOLL_CTL_ADD, r.fd, &unix.EpollEvent{Events: unix.EPOLLONESHOT}); err != nil {
		return err
	}
	if err := r.epoll.SetReadDeadline(time.Time{}); err != nil { // the poller does not take it
		return err
	}
	r.step = r.readOrArm
	r.epollConn, err = r.epoll.SyscallConn()
	return err
}

// Read waits, by the runtime's poller, until there is something to read.
func (r *Reader) Read(b []byte) (int, error) {
	if r.plain != nil {
		return r.plain.Read(b)
	}
	r.b = b
	err := r.epollConn.Read(r.step)
	r.b = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, r.err
	case r.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// readOrArm reads. It returns false if nothing is there, and is called again after the
// instance's next event.
func (r *Reader) readOrArm(uintptr) (done bool) {
	if r.armed {
		var event bool
		if event, r.err = r.disarm(); !event {
			return r.err != nil
		}
	}
	for r.err = unix.EINTR; r.err == unix.EINTR; {
		r.n, r.err = unix.Read(r.fd, r.b)
	}
	if r.err != unix.EAGAIN {
		r.err = os.NewSyscallError("read", r.err)
		return true
	}
	r.err = r.arm()
	return r.err != nil
}

// arm has the instance report one event of the pipe's; at once, if there is one already.
func (r *Reader) arm() error {
	r.armed = true
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(r.epollFd, unix.EPOLL_CTL_MOD, r.fd, &event))
}

// disarm takes that event from the instance, which then reports nothing until the pipe is
// armed again. It returns false if there has been none.
func (r *Reader) disarm() (bool, error) {
	var events [1]unix.EpollEvent
	n, err := 0, error(unix.EINTR)
	for err == unix.EINTR {
		n, err = unix.EpollWait(r.epollFd, events[:], 0)
	}
	r.armed = n < 1
	return !r.armed, os.NewSyscallError("epoll_wait", err)
}

// Poll waits in system calls, for at most d and a spin, until there is something to read. It
// reports whether there is.
// The runtime takes half as long to go on from there as it does to go on from its poller,
// but no other goroutine has the processor until the runtime looks, 20 µs to 10 ms later.
func (r *Reader) Poll(d time.Duration) bool {
	return r.spin() || r.ready(unix.NsecToTimespec(int64(d)))
}

// spin looks for input for a while, until there is some. It returns false if there is
// none.
func (r *Reader) spin() bool {
	if r.misses == spinMisses {
		if r.skipped++; r.skipped < spinAgain {
			return false
		}
		r.skipped = 0
	}
	if cost.SpinFor(spinTime, r.readyOrYield) {
		r.misses = max(r.misses-1, 0)
		return true
	}
	r.misses = min(r.misses+1, spinMisses)
	return false
}

// readyOrYield reports whether there is something to read. If not, it lets another thread
// have this processor: the writer may need it.
func (r *Reader) readyOrYield() bool {
	if r.ready(unix.Timespec{}) {
		return true
	}
	_, _, _ = syscall.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	return false
}

// ready reports whether there is something to read, for which it waits as long as that.
func (r *Reader) ready(timeout unix.Timespec) bool {
	switch {
	case r.plain == nil:
		return ready(r.fd, timeout)
	case r.plainConn == nil:
		return true // Read says why not
	default:
		return r.plainReady(timeout)
	}
}

func (r *Reader) plainReady(timeout unix.Timespec) (ok bool) {
	err := r.plainConn.Control(func(fd uintptr) { ok = ready(int(fd), timeout) })
	return ok || err != nil
}

func ready(fd int, timeout unix.Timespec) bool {
	n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, &timeout, nil)
	return n > 0 || err != nil && err != unix.EINTR // another error comes again when it is read
}

// SetReadDeadline is as for an os.File.
func (r *Reader) SetReadDeadline(t time.Time) error {
	if r.plain != nil {
		return r.plain.SetReadDeadline(t)
	}
	return r.epoll.SetReadDeadline(t)
}

// Close closes the pipe's reading end and gives back what the Reader holds.
func (r *Reader) Close() error {
	if r.plain != nil {
		return r.plain.Close()
	}
	if r.epoll != nil {
		r.epoll.Close()
	}
	if r.fd < 0 {
		return nil
	}
	fd := r.fd
	r.fd = -1
	return unix.Close(fd)
}
