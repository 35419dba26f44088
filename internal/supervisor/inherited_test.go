package supervisor_test

import (
	_ "unsafe" // for go:linkname

	"example.com/parallel/internal/proc"
)

// inherited is what package parallel was given in a worker process: hostile workers misuse
// it. It is nil in other processes.
//
//go:linkname inherited example.com/parallel.inherited
var inherited *proc.Inherited
