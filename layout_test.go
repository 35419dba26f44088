package parallel

import (
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	gotypes "go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// floors is the package from the ground up. A file may use what is defined in
// its own floor and in those below it, and what it is allowed besides.
var floors = []struct {
	name  string
	files []string
	// besides names what of a higher floor may be used, and so where the floors
	// are joined.
	besides []string
}{
	{name: "words", files: []string{"doc.go", "errors.go"}, besides: []string{"tellingLine"}},
	{name: "what crosses", files: []string{"share.go", "registry.go", "remote.go"},
		besides: []string{"option", "Option", "settings", "shared", "identity", "identify", "caller", "fn", "typ", "limited", "withoutResult", "runPart", "partRunner", "part", "costScale"}},
	{name: "what a call is", files: []string{"options.go"}, besides: []string{"ProcessPool", "size"}},
	{name: "the book", files: []string{"pool.go", "claims.go", "cost.go", "lookout.go", "goroutines.go"}},
	{name: "the worker's side", files: []string{"page.go", "tray.go", "outbox.go", "part.go", "worker.go", "listen.go", "inlet_linux.go", "inlet_other.go", "process_unix.go", "process_linux.go",
		"process_bsd.go", "process_windows.go", "process_other.go"}, besides: []string{"markVariable", "maxFrame", "limited", "pageInFile"}},
	{name: "the parent's side", files: []string{"relay.go", "start.go", "handle.go", "reader.go", "session.go", "outcomes.go", "monitor.go", "dispatch.go", "pulse.go", "process.go"},
		besides: []string{"identity", "caller"}},
	{name: "the calls", files: []string{"slots.go", "seq.go", "task.go", "parallel.go"}},
}

// notUsedBy names files that must not use others although those are below them.
var notUsedBy = map[string][]string{
	"parent":    {"relay.go", "start.go", "handle.go", "reader.go", "session.go", "outcomes.go", "monitor.go", "dispatch.go", "pulse.go", "process.go"},
	"worker":    {"worker.go", "listen.go", "part.go", "tray.go", "outbox.go"},
	"scheduler": {"pool.go", "claims.go", "cost.go", "lookout.go", "goroutines.go", "slots.go", "seq.go"},
}

func TestFilesUseOnlyWhatIsBelow(t *testing.T) {
	floorOf := make(map[string]int)
	for i, f := range floors {
		for _, file := range f.files {
			floorOf[file] = i
		}
	}
	for _, use := range usesBetweenFiles(t) {
		from, ok := floorOf[use.from]
		if !ok {
			t.Fatalf("%s has no floor: give it one in this test", use.from)
		}
		if to := floorOf[use.to]; to > from && !slices.Contains(floors[from].besides, use.name) {
			t.Errorf("%s (%s) uses %s of %s (%s), which is above it", use.from, floors[from].name, use.name, use.to, floors[to].name)
		}
		for _, pair := range [][2]string{{"parent", "worker"}, {"worker", "parent"}, {"scheduler", "parent"}, {"scheduler", "worker"}} {
			allowed := []string{"inheritance", "markVariable", "maxFrame", "pageInFile"}
			if slices.Contains(notUsedBy[pair[0]], use.from) && slices.Contains(notUsedBy[pair[1]], use.to) && !slices.Contains(allowed, use.name) {
				t.Errorf("%s (%s) uses %s of %s (%s): the sides do not know each other", use.from, pair[0], use.name, use.to, pair[1])
			}
		}
	}
}

type fileUse struct{ from, to, name string }

// usesBetweenFiles lists what each file of this package uses of which other.
func usesBetweenFiles(t *testing.T) []fileUse {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	info := &gotypes.Info{Uses: make(map[*ast.Ident]gotypes.Object)}
	conf := gotypes.Config{Importer: importer.ForCompiler(fset, "source", nil), FakeImportC: true}
	self, err := conf.Check("example.com/parallel", fset, files, info)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[fileUse]bool)
	for ident, object := range info.Uses {
		if object.Pkg() != self {
			continue
		}
		use := fileUse{
			filepath.Base(fset.Position(ident.Pos()).Filename),
			filepath.Base(fset.Position(object.Pos()).Filename), object.Name(),
		}
		if use.from != use.to {
			seen[use] = true
		}
	}
	var uses []fileUse
	for use := range seen {
		uses = append(uses, use)
	}
	slices.SortFunc(uses, func(a, b fileUse) int { return strings.Compare(a.from+a.name, b.from+b.name) })
	return uses
}

// TestImports holds the direction of imports between the packages, and keeps
// the lower ones from what is none of their business.
func TestImports(t *testing.T) {
	for _, test := range []struct {
		dir       string
		forbidden []string
	}{
		{"internal/wire", []string{"example.com/parallel", "os", "os/exec", "reflect", "unsafe"}},
		{"internal/codec", []string{"example.com/parallel", "os/exec", "net"}},
	} {
		pkg, err := build.ImportDir(test.dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range pkg.Imports {
			for _, bad := range test.forbidden {
				if path == bad || strings.HasPrefix(path, bad+"/") && strings.HasPrefix(bad, "example.com") {
					t.Errorf("%s imports %s", test.dir, path)
				}
			}
		}
	}
	for file, forbidden := range map[string][]string{
		"pool.go": {"os", "os/exec", "example.com/parallel/internal/wire", "example.com/parallel/internal/codec"},
		"seq.go":  {"os", "os/exec", "example.com/parallel/internal/wire"},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			if path := strings.Trim(spec.Path.Value, `"`); slices.Contains(forbidden, path) {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}
