// Package faithful tests that values of popular modules' types cross the process
// boundary unchanged. It has tests only, and is a module of its own, so that these
// modules do not become dependencies of parallel.
//
// A row of the table is a type with some of its values, made by check in an init
// function. For each row, parallel.Map calls an identity function on goroutines and
// in processes, and the results are compared:
//
//	check ──> row ──> Map on goroutines ──┐
//	                                      ├──> go-cmp, reflect.DeepEqual, methods
//	              └─> Map in processes ───┘
package faithful
