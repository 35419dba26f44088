//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package shm

import (
	"errors"
	"os"
)

// create makes no segment. On Windows a file that is written through a mapping is not
// promised to read the same through ReadFile.
func create(bool) (*Segment, error) { return nil, nil }

func punchHole(*os.File, int64, int64) {}

func mapFile(*os.File) ([]byte, error) { return nil, errors.ErrUnsupported }
