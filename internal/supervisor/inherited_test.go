package supervisor_test

import "example.com/parallel/internal/proc"

// inherited is what this process was given as a worker: hostile workers misuse it. It is nil
// in other processes.
var inherited = proc.Inherit()
