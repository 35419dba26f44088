//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package proc

// catchSignals does nothing: a worker is in a process group of its own, to which none is sent.
func catchSignals() {}
