package parallel_test

import (
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestDocumentation holds that every exported name has a doc comment and an
// example with checked output that godoc shows. Methods that a type has only to
// satisfy a well-known interface may do with the example of their type.
func TestDocumentation(t *testing.T) {
	p := parsePackage(t)
	if p.Doc == "" {
		t.Error("the package has no comment")
	}
	packageExamples := make(map[string]bool)
	for _, e := range p.Examples {
		packageExamples[e.Suffix] = true
		checkExample(t, e)
	}
	if !packageExamples[""] {
		t.Error("the package has no example")
	}
	funcs := p.Funcs
	for _, typ := range p.Types {
		checkName(t, typ.Name, typ.Doc, typ.Examples)
		checkFields(t, typ)
		for _, m := range typ.Methods {
			examples := m.Examples
			if len(examples) == 0 && (m.Name == "Error" || m.Name == "Unwrap") {
				examples = typ.Examples
			}
			checkName(t, typ.Name+"."+m.Name, m.Doc, examples)
		}
		funcs = append(funcs, typ.Funcs...)
		p.Consts, p.Vars = append(p.Consts, typ.Consts...), append(p.Vars, typ.Vars...)
	}
	for _, f := range funcs {
		checkName(t, f.Name, f.Doc, f.Examples)
	}
	// The examples of variables and constants are the package's, since godoc
	// knows no other place for them: that of ErrX is Example_errX.
	for _, v := range append(p.Consts, p.Vars...) {
		for _, spec := range v.Decl.Specs {
			spec := spec.(*ast.ValueSpec)
			text := spec.Doc.Text()
			if len(v.Decl.Specs) == 1 {
				text += v.Doc
			}
			for _, name := range spec.Names {
				if !name.IsExported() {
					continue
				}
				if text == "" {
					t.Errorf("%s has no doc comment", name)
				}
				if suffix := lowerFirst(name.Name); !packageExamples[suffix] {
					t.Errorf("%s has no example: want one called Example_%s", name, suffix)
				}
			}
		}
	}
}

// parsePackage reads the package of the current directory, as godoc shows it
// for Linux, the one system on which all of it can be used.
func parsePackage(t *testing.T) *doc.Package {
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = "linux", "amd64", false
	dir, err := context.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, names := range [][]string{dir.GoFiles, dir.TestGoFiles, dir.XTestGoFiles} {
		for _, name := range names {
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
	}
	p, err := doc.NewFromFiles(fset, files, "example.com/parallel")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func checkName(t *testing.T, name, text string, examples []*doc.Example) {
	t.Helper()
	if text == "" {
		t.Errorf("%s has no doc comment", name)
	}
	if len(examples) == 0 {
		t.Errorf("%s has no example: want one called Example%s", name, strings.ReplaceAll(name, ".", "_"))
	}
	for _, e := range examples {
		checkExample(t, e)
	}
}

func checkExample(t *testing.T, e *doc.Example) {
	t.Helper()
	if e.Output == "" && !e.EmptyOutput {
		t.Errorf("Example%s has no output to check", e.Name)
	}
	if e.Doc == "" && e.Name != "" {
		t.Errorf("Example%s does not say what it is an example of", e.Name)
	}
}

// checkFields holds that the exported fields of a struct are explained.
func checkFields(t *testing.T, typ *doc.Type) {
	t.Helper()
	for _, spec := range typ.Decl.Specs {
		s, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, field := range s.Fields.List {
			for _, name := range field.Names {
				if name.IsExported() && field.Doc.Text()+field.Comment.Text() == "" {
					t.Errorf("%s.%s has no doc comment", typ.Name, name)
				}
			}
		}
	}
}

func lowerFirst(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(first)) + name[size:]
}
