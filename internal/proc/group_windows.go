package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"example.com/parallel/internal/pipe"
	"example.com/parallel/internal/transport"
)

// group is a worker and all that it started: a job object, which the system ends when its
// last handle is closed, as the death of the parent does.
type group struct {
	job, leader windows.Handle
	fault       func(op string) error // see Local.Fault
}

// attach makes cmd inherit files, and returns the mark that tells it of them. There are no
// sessions.
func attach(cmd *exec.Cmd, files []*os.File, _ bool) (mark string, err error) {
	var handles []string
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	for _, f := range files {
		h := syscall.Handle(f.Fd())
		if err := syscall.SetHandleInformation(h, syscall.HANDLE_FLAG_INHERIT, syscall.HANDLE_FLAG_INHERIT); err != nil {
			return "", err
		}
		cmd.SysProcAttr.AdditionalInheritedHandles = append(cmd.SysProcAttr.AdditionalInheritedHandles, h)
		handles = append(handles, fmt.Sprint(uintptr(h)))
	}
	return strings.Join(handles, ","), nil
}

func refused(error) bool { return false }

// newGroup puts the started cmd into a job.
func newGroup(cmd *exec.Cmd, fault func(op string) error) (*group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("CreateJobObject: %w", err)
	}
	g := &group{job: job, fault: fault}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		g.close()
		return nil, fmt.Errorf("SetInformationJobObject: %w", err)
	}
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.SYNCHRONIZE
	g.leader, err = windows.OpenProcess(access, false, uint32(cmd.Process.Pid))
	if err != nil {
		g.close()
		return nil, fmt.Errorf("OpenProcess: %w", err)
	}
	if err := windows.AssignProcessToJobObject(job, g.leader); err != nil {
		g.close()
		return nil, fmt.Errorf("AssignProcessToJobObject: %w", err)
	}
	return g, nil
}

// kill ends every process of the job.
func (g *group) kill() error {
	if err := g.fault("kill"); err != nil {
		return err
	}
	return windows.TerminateJobObject(g.job, 1)
}

// wait waits until the leader has ended. It returns false if the system refuses that.
func (g *group) wait() bool {
	if g.fault("waitid") != nil {
		return false
	}
	event, err := windows.WaitForSingleObject(g.leader, windows.INFINITE)
	return err == nil && event == windows.WAIT_OBJECT_0
}

// reapOrphans does nothing: there are no zombies.
func (g *group) reapOrphans() {}

// stopped is false: a process here is not stopped as a whole.
func (g *group) stopped() bool { return false }

// reapByNumber knows no more than os.
func reapByNumber(int) transport.Exit { return transport.Exit{Code: -1} }

func (g *group) close() {
	_ = windows.CloseHandle(g.job)
	if g.leader != 0 {
		_ = windows.CloseHandle(g.leader)
	}
}

// inherit takes over the handles that the mark tells of, so that nothing that this process
// starts inherits them in turn.
func inherit(mark string) (*Inherited, error) {
	var files []*os.File
	for _, field := range strings.Split(mark, ",") {
		var h uintptr
		if _, err := fmt.Sscan(field, &h); err != nil {
			return nil, errMark(mark)
		}
		if err := syscall.SetHandleInformation(syscall.Handle(h), syscall.HANDLE_FLAG_INHERIT, 0); err != nil {
			return nil, fmt.Errorf("parallel: inherited handle %d: %w", h, err)
		}
		files = append(files, os.NewFile(h, "inherited"))
	}
	if len(files) != 3 {
		return nil, errMark(mark)
	}
	requests, err := pipe.NewReader(files[0])
	return &Inherited{Requests: requests, Results: files[1], parent: files[2]}, err
}

// DieWithGroup ends this worker process; the job takes the rest. It does not return.
func DieWithGroup() { os.Exit(2) }

// resident is not measured here.
func resident(int) (int64, error) { return 0, errors.ErrUnsupported }

// exitSignal is nil: processes here end with codes.
func exitSignal(any) os.Signal { return nil }
