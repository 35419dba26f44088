//go:build !linux

package proc

import "os"

// makePipe makes a pipe.
func makePipe(d direction, _ bool) (our, their *os.File, err error) {
	r, w, err := os.Pipe()
	if d == inward {
		return r, w, err
	}
	return w, r, err
}

func openNull() (*os.File, error) { return os.Open(os.DevNull) }
