package hubwire_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ofInterfaces are methods that are there for an interface of the standard
// library: the program does not call them, the library does.
var ofInterfaces = []string{
	"Error", "Is", "Unwrap", "String", "Format", "LogValue",
	"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON",
}

func TestEverythingExportedIsDocumented(t *testing.T) {
	for _, p := range exportedPackages(t) {
		if p.Doc == "" {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
		documented := func(name, comment string) {
			if strings.TrimSpace(comment) == "" {
				t.Errorf("%s.%s has no comment", p.ImportPath, name)
			}
		}
		for _, v := range p.values() {
			for _, spec := range v.Decl.Specs {
				s := spec.(*ast.ValueSpec)
				for _, name := range s.Names {
					documented(name.Name, v.Doc+s.Doc.Text()+s.Comment.Text())
				}
			}
		}
		for _, f := range p.functions() {
			documented(f.name, f.Doc)
		}
		for _, typ := range p.Types {
			documented(typ.Name, typ.Doc)
			for name, comment := range fields(p.fset, typ) {
				documented(typ.Name+"."+name, comment)
			}
		}
	}
}

// An Example shows what it calls. Methods are known by their names alone, as
// nothing here knows types.
func TestEveryFunctionAndMethodIsShownInAnExample(t *testing.T) {
	for _, p := range exportedPackages(t) {
		called := p.called()
		for _, f := range p.functions() {
			excused := f.Recv != "" && slices.Contains(ofInterfaces, f.Name)
			if !called[f.Name] && !excused {
				t.Errorf("no Example calls %s.%s", p.ImportPath, f.name)
			}
		}
	}
}

type documentation struct {
	*doc.Package
	fset     *token.FileSet
	examples []*doc.Example
}

type function struct {
	*doc.Func
	name string // with its type, for a method
}

// exportedPackages reads what others may import: of the house what is not
// internal but fuzz, which is all tests, and upload, which is a module of its own.
func exportedPackages(t *testing.T) (all []documentation) {
	t.Helper()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if !strings.Contains("/"+name+"/", "/internal/") && name != "fuzz" {
			all = append(all, readPackage(t, name))
		}
	}
	return append(all, readPackage(t, "upload"))
}

func readPackage(t *testing.T, name string) documentation {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(".", name, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no files in", name, err)
	}
	var code, examples []*ast.File
	for _, path := range paths {
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		switch {
		case err != nil:
			t.Fatal(err)
		case strings.HasSuffix(path, "_test.go"):
			examples = append(examples, file)
		default:
			code = append(code, file)
		}
	}
	if name == "" {
		name = "hubwire"
	}
	p, err := doc.NewFromFiles(fset, code, name)
	if err != nil {
		t.Fatal(err)
	}
	return documentation{p, fset, doc.Examples(examples...)}
}

func (p *documentation) values() []*doc.Value {
	all := slices.Concat(p.Consts, p.Vars)
	for _, typ := range p.Types {
		all = slices.Concat(all, typ.Consts, typ.Vars)
	}
	return all
}

func (p *documentation) functions() (all []function) {
	add := func(prefix string, of []*doc.Func) {
		for _, f := range of {
			all = append(all, function{f, prefix + f.Name})
		}
	}
	add("", p.Funcs)
	for _, typ := range p.Types {
		add("", typ.Funcs)
		add(typ.Name+".", typ.Methods)
	}
	return all
}

// called are the names that the Examples with an output that is checked use.
func (p *documentation) called() map[string]bool {
	names := map[string]bool{}
	for _, e := range p.examples {
		if e.Output == "" && !e.EmptyOutput {
			continue
		}
		ast.Inspect(e.Code, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				names[s.Sel.Name] = true
			}
			return true
		})
	}
	return names
}

// fields returns the exported fields of a struct with their comments. A comment
// holds for the fields that follow its own without an empty line.
func fields(fset *token.FileSet, typ *doc.Type) map[string]string {
	all := map[string]string{}
	s, ok := typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType)
	if !ok {
		return all
	}
	above, end := "", 0
	for _, f := range s.Fields.List {
		first := fset.Position(f.Pos()).Line
		if f.Doc != nil {
			first = fset.Position(f.Doc.Pos()).Line
		}
		if first > end+1 {
			above = ""
		}
		end = fset.Position(f.End()).Line
		above += f.Doc.Text()
		for _, name := range f.Names {
			all[name.Name] = above + f.Comment.Text()
		}
	}
	return all
}

func TestACommentHoldsForTheFieldsRightBelowIt(t *testing.T) {
	const source = `package p

// T is a struct.
type T struct {
	// A and B are told of here.
	A int
	B int

	C int // told of beside it
	D int

	E, F int // both
	g int
}`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	p, err := doc.NewFromFiles(fset, []*ast.File{file}, "p")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"A": true, "B": true, "C": true, "D": false, "E": true, "F": true}
	got := map[string]bool{}
	for name, comment := range fields(fset, p.Types[0]) {
		got[name] = comment != ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
