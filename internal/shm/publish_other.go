//go:build !amd64 || race

package shm

import "sync/atomic"

// publish stores v with what was written before it visible first.
func publish(word *atomic.Uint64, v uint64) { word.Store(v) }
