package core

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// The packages that users import, and those of them in which every function needs an
// example.
var (
	documented = []string{
		"core", "core/prom", "core/probetest", "core/coretest", "core/coretest/httpapp", "internal/plainws",
		"health", "echows", "echows/echov5", "ginws", "fiberws", "fiberws/fiberv3",
	}
	adapters = []string{"echows", "echows/echov5", "ginws", "fiberws", "fiberws/fiberv3"}
)

// documentation returns what go doc and pkg.go.dev show of a package, including its
// examples.
func documentation(t *testing.T, path string) *doc.Package {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", path, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", path, len(names), err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(set, files, module+path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// undocumented returns the names in vs without a comment.
func undocumented(vs []*doc.Value) (names []string) {
	for _, v := range vs {
		for _, spec := range v.Decl.Specs {
			s := spec.(*ast.ValueSpec)
			if v.Doc != "" || s.Doc.Text() != "" || s.Comment.Text() != "" {
				continue
			}
			for _, name := range s.Names {
				if name.IsExported() {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// Every exported name is documented.
func TestNamesAreDocumented(t *testing.T) {
	for _, path := range documented {
		p := documentation(t, path)
		var bare []string
		if p.Doc == "" {
			bare = append(bare, "the package")
		}
		funcs := func(of string, fs []*doc.Func) {
			for _, f := range fs {
				if f.Doc == "" {
					bare = append(bare, of+f.Name)
				}
			}
		}
		bare = slices.Concat(bare, undocumented(p.Consts), undocumented(p.Vars))
		funcs("", p.Funcs)
		for _, typ := range p.Types {
			if typ.Doc == "" {
				bare = append(bare, typ.Name)
			}
			funcs("", typ.Funcs)
			funcs(typ.Name+".", typ.Methods)
			bare = slices.Concat(bare, undocumented(typ.Consts), undocumented(typ.Vars))
		}
		for _, name := range bare {
			t.Errorf("%s: %s has no comment", path, name)
		}
	}
}

// Every function of an adapter has an example, which go test runs for its output.
func TestAdaptersHaveExamples(t *testing.T) {
	for _, path := range adapters {
		p := documentation(t, path)
		for _, f := range p.Funcs {
			runs := func(e *doc.Example) bool { return e.Output != "" }
			if !slices.ContainsFunc(f.Examples, runs) {
				t.Errorf("%s: %s has no example with output", path, f.Name)
			}
		}
	}
}
