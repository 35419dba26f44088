//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !windows

package proc

import (
	"errors"
	"os"
	"os/exec"

	"example.com/parallel/internal/transport"
)

// There are no worker processes here: to start one fails with errors.ErrUnsupported.

type group struct{ fault func(op string) error }

func attach(*exec.Cmd, []*os.File, bool) (string, error)        { return "", errors.ErrUnsupported }
func refused(error) bool                                        { return false }
func newGroup(*exec.Cmd, func(op string) error) (*group, error) { return nil, errors.ErrUnsupported }
func (g *group) kill() error                                    { return nil }
func (g *group) wait() bool                                     { return false }
func (g *group) stopped() bool                                  { return false }
func (g *group) reapOrphans()                                   {}
func (g *group) close()                                         {}
func reapByNumber(int) transport.Exit                           { return transport.Exit{Code: -1} }
func inherit(string) (*Inherited, error)                        { return nil, errors.ErrUnsupported }
func resident(int) (int64, error)                               { return 0, errors.ErrUnsupported }
func exitSignal(any) os.Signal                                  { return nil }

// DieWithGroup ends this process. It does not return.
func DieWithGroup() { os.Exit(2) }
