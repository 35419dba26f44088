//go:build !linux

package proc

// executedAs is not known here.
func executedAs() string { return "" }
