// Package compare measures package parallel beside what else Go and Python offer
// for the same work, in one run of go test -bench. It holds benchmarks only, in a
// module of its own, so that the peers are no dependencies of package parallel.
// README.md says what each peer was asked to do; the command in cmd/figures draws
// the results.
package compare
