//go:build !(linux && (amd64 || arm64))

package proc

// dropEarly cannot do here what it does on Linux.
func dropEarly() (undo func(), ok bool) { return func() {}, false }
