//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package proc

// dropSignals does nothing: a worker is in a process group, to which none is sent.
func dropSignals() {}
