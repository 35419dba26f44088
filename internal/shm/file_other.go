//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package shm

import (
	"errors"
	"os"
)

// create makes no files. On Windows a file that is written through a mapping is not
// promised to read the same through ReadFile.
func create(Options) (files, error) { return files{}, errors.ErrUnsupported }

func punchHole(*os.File, int64, int64) {}

func mapFile(*os.File, int, bool) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmap([]byte) {}
