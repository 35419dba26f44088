package parallel_test

import (
	"go/build"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// rooms is which packages of this module each of its packages may import, and what of others
// it must not. docs/architecture.md has the house, and docs/decisions/0037-rooms.md why.
var rooms = map[string]struct{ may, mustNot []string }{
	"clock":      {nil, []string{"os/exec", "reflect", "unsafe"}},
	"cost":       {nil, []string{"os", "reflect"}},
	"guard":      {nil, []string{"os", "reflect", "unsafe"}},
	"wire":       {nil, []string{"os", "reflect", "unsafe"}},
	"codec":      {[]string{"guard"}, []string{"net", "os/exec"}},
	"shm":        {[]string{"wire"}, []string{"os/exec", "reflect"}},
	"pipe":       {[]string{"cost"}, []string{"os/exec", "reflect"}},
	"transport":  {[]string{"shm"}, []string{"os/exec", "reflect"}},
	"proc":       {[]string{"pipe", "shm", "transport"}, []string{"reflect"}},
	"schedule":   {[]string{"clock", "cost", "guard"}, []string{"os", "reflect", "unsafe"}},
	"stream":     {[]string{"guard", "schedule"}, []string{"os", "reflect", "unsafe"}},
	"worker":     {[]string{"cost", "guard", "pipe", "shm", "wire"}, []string{"os/exec", "reflect"}},
	"supervisor": {[]string{"clock", "cost", "guard", "pipe", "schedule", "shm", "transport", "wire"}, []string{"os/exec", "reflect", "unsafe"}},

	"testkit":     {nil, nil}, // for tests
	"inlinecheck": {nil, nil}, // a command for CI
}

func TestImports(t *testing.T) {
	const module = "example.com/parallel"
	entries, err := os.ReadDir("internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		room, ok := rooms[e.Name()]
		if !ok {
			t.Errorf("internal/%s is not in the table of this test", e.Name())
			continue
		}
		for _, system := range []string{"linux", "darwin", "windows", "plan9"} {
			context := build.Default
			context.GOOS, context.CgoEnabled = system, false
			pkg, err := context.ImportDir(path.Join("internal", e.Name()), 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, imported := range pkg.Imports {
				inner, ours := strings.CutPrefix(imported, module)
				if ours && !slices.Contains(room.may, strings.TrimPrefix(inner, "/internal/")) || slices.Contains(room.mustNot, imported) {
					t.Errorf("on %s, internal/%s imports %s", system, e.Name(), imported)
				}
			}
		}
	}
}

// TestRoot holds that the root has what users see, and little else.
func TestRoot(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"doc.go", "parallel.go", "pool.go", "process.go"} {
		if !slices.Contains(pkg.GoFiles, file) {
			t.Errorf("there is no %s", file)
		}
	}
	if n := len(pkg.GoFiles); n > 10 {
		t.Errorf("the root has %d production files: %v", n, pkg.GoFiles)
	}
}
