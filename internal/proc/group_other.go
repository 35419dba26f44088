//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !windows

package proc

import (
	"errors"
	"os"
	"os/exec"
)

// There are no worker processes here: to start one fails with errors.ErrUnsupported.

type group struct{}

func attach(*exec.Cmd, []*os.File) (string, error) { return "", errors.ErrUnsupported }
func newGroup(*exec.Cmd) (*group, error)           { return nil, errors.ErrUnsupported }
func (g *group) kill()                             {}
func (g *group) wait()                             {}
func (g *group) close()                            {}
func inherit(string) (*Inherited, error)           { return nil, errors.ErrUnsupported }
func executable() (string, error)                  { return "", errors.ErrUnsupported }
func resident(int) (int64, error)                  { return 0, errors.ErrUnsupported }
func exitSignal(*os.ProcessState) os.Signal        { return nil }

// DieWithGroup ends this process. It does not return.
func DieWithGroup() { os.Exit(2) }
