// Package parallel runs loops in parallel.
package parallel
