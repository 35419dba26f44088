//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !windows

package parallel

import (
	"errors"
	"os"
	"os/exec"
)

// There are no worker processes here: starting one fails with
// errors.ErrUnsupported.

type processGroup struct{}

func attach(*exec.Cmd, []*os.File) (string, error)     { return "", errors.ErrUnsupported }
func newProcessGroup(*exec.Cmd) (*processGroup, error) { return nil, errors.ErrUnsupported }
func (g *processGroup) kill()                          {}
func (g *processGroup) wait()                          {}
func (g *processGroup) close()                         {}
func inherit(string) (*inheritance, error)             { return nil, errors.ErrUnsupported }
func executable() (string, error)                      { return "", errors.ErrUnsupported }
func newPage() (*os.File, error)                       { return nil, nil }
func shrink(*os.File, int64, int64)                    {}
func mapPage(*os.File) ([]byte, error)                 { return nil, errors.ErrUnsupported }
func dieWithGroup()                                    { os.Exit(2) }
func resident(int) (int64, error)                      { return 0, errors.ErrUnsupported }
func exitSignal(*os.ProcessState) os.Signal            { return nil }
