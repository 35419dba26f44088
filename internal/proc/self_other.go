//go:build !linux

package proc

import "errors"

// OpenResident fails with errors.ErrUnsupported: see transport.Process.Resident.
func OpenResident() (func() (int64, error), error) { return nil, errors.ErrUnsupported }
