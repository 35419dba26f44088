package faithful

import (
	"context"
	"fmt"
	"os"
	"testing"
	_ "time/tzdata"

	"example.com/parallel"
)

// TestMain is also where the worker processes begin: they are this test binary,
// started again.
func TestMain(m *testing.M) {
	parallel.Init()
	os.Exit(m.Run())
}

// modules holds what is tested, by module. It is filled by init functions, since
// worker processes must register the same functions as the parent.
var modules []*moduleTypes

// moduleTypes are the types of one module.
type moduleTypes struct {
	path string
	rows []*row
}

// newModule begins the rows of the module with this path.
func newModule(path string) *moduleTypes {
	m := &moduleTypes{path: path}
	modules = append(modules, m)
	return m
}

// standard is the path of the standard library, which does not count as a module.
const standard = "std"

// boxIdentity is the identity of boxes, which are too many types for a function
// each.
var boxIdentity = identity[any]

func init() { parallel.Register(boxIdentity) }

// identity is what runs in both places: whatever differs afterwards, differs
// because of the way there and back.
func identity[T any](_ context.Context, v T) (T, error) { return v, nil }

func TestFaithful(t *testing.T) {
	pool := &parallel.ProcessPool{Size: 2}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, m := range modules {
		t.Run(m.path, func(t *testing.T) {
			for _, r := range m.rows {
				t.Run(r.rt.String(), func(t *testing.T) { r.run(t, pool) })
			}
		})
	}
}

// TestEnoughTypes keeps the table as large as it says it is.
func TestEnoughTypes(t *testing.T) {
	paths, types, values := make(map[string]bool), make(map[string]bool), 0
	for _, m := range modules {
		if m.path == standard {
			continue
		}
		paths[m.path] = true
		for _, r := range m.rows {
			types[r.rt.String()] = true
			values += len(r.values)
		}
	}
	t.Logf("%d values of %d types of %d modules", values, len(types), len(paths))
	if len(types) < 100 || len(paths) < 25 {
		t.Errorf("%d types of %d modules, want at least 100 of 25", len(types), len(paths))
	}
}

// run compares what comes from goroutines with what comes from processes.
func (r *row) run(t *testing.T, pool *parallel.ProcessPool) {
	if r.refused != "" {
		t.Fatal(r.refused)
	}
	boxes := make([]any, len(r.values))
	for i, v := range r.values {
		boxes[i] = boxOf(r.boxType, v)
	}
	r.runThrough(t, pool, "value", r.values, r.through)
	r.runThrough(t, pool, "box", boxes, through(boxIdentity))
	for _, refused := range r.refusals {
		r.runRefusal(t, pool, refused)
	}
}

func (r *row) runThrough(t *testing.T, pool *parallel.ProcessPool, what string, values []any, through mapFunc) {
	t.Helper()
	goroutines, err := through(t.Context(), values)
	if err != nil {
		t.Fatalf("%s on goroutines: %v", what, err)
	}
	processes, err := through(t.Context(), values, parallel.On(pool), parallel.KeepGoing())
	for _, failed := range failures(err) {
		t.Errorf("%s in processes: %v", what, failed)
	}
	if err != nil {
		return
	}
	for i := range goroutines {
		name := fmt.Sprintf("%s %d", what, i)
		r.compare(t, name, goroutines[i], processes[i])
		if what == "value" {
			r.compareMethods(t, name, goroutines[i], processes[i])
		}
	}
}

// failures gives the errors that are joined in err.
func failures(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
