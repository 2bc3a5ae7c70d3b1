package testkit

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Zeros fails t when anything that the package in the current directory exports
// panics where its arguments are left out. It calls with zero arguments, nil
// contexts among them, each of funcs, and each method of each of values, of the
// zero value of their types and of nil pointers to them; and so the methods of
// what the functions return. A call that was given a nil context and can fail must.
//
// funcs has the package's functions by their names, and values one of each type
// with methods; what the package exports and they lack fails t too. Only what
// package fmt calls (Format) is left out.
func Zeros(t testing.TB, funcs map[string]any, values ...any) {
	t.Helper()
	wantFuncs, wantTypes := exported(t)
	types := map[string]bool{}
	for _, v := range values {
		types[baseType(v).Name()] = true
	}
	missing(t, wantFuncs, slices.Collect(maps.Keys(funcs)))
	missing(t, wantTypes, slices.Collect(maps.Keys(types)))
	for _, v := range values {
		zeroMethods(t, reflect.ValueOf(v))
		base := baseType(v)
		zeroMethods(t, reflect.New(base))
		zeroMethods(t, reflect.Zero(reflect.PointerTo(base)))
	}
	for name, f := range funcs {
		for _, result := range callZero(t, name, reflect.ValueOf(f)) {
			zeroResult(t, name, result)
		}
	}
}

func missing(t testing.TB, want, got []string) {
	t.Helper()
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s is exported and not called", name)
		}
	}
}

// exported lists the functions, and the types with methods, of the current directory.
func exported(t testing.TB) (funcs, types []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			switch {
			case !ok || !f.Name.IsExported():
			case f.Recv == nil:
				funcs = append(funcs, f.Name.Name)
			case ast.IsExported(receiver(f.Recv.List[0].Type)):
				types = append(types, receiver(f.Recv.List[0].Type))
			}
		}
	}
	if len(funcs)+len(types) == 0 {
		t.Error("the package exports nothing")
	}
	return funcs, types
}

func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if name, ok := e.(*ast.Ident); ok {
		return name.Name
	}
	return "" // no package has generic types
}

func baseType(v any) reflect.Type {
	if t := reflect.TypeOf(v); t.Kind() != reflect.Pointer {
		return t
	}
	return reflect.TypeOf(v).Elem()
}

// zeroMethods calls each method of v. One that needs a value is not called
// through a nil pointer, which Go itself forbids. Close comes last.
func zeroMethods(t testing.TB, v reflect.Value) {
	t.Helper()
	typ, who := v.Type(), describe(v)
	isNil := v.Kind() == reflect.Pointer && v.IsNil()
	for i := range typ.NumMethod() {
		name := typ.Method(i).Name
		if name == "Close" || name == "Format" || isNil && needsValue(typ.Elem(), name) {
			continue
		}
		callZero(t, who+"."+name, v.Method(i))
	}
	if _, ok := typ.MethodByName("Close"); ok {
		callZero(t, who+".Close", v.MethodByName("Close"))
	}
}

// needsValue reports whether a method of a pointer is that of the value, or of a field.
func needsValue(typ reflect.Type, name string) bool {
	if _, ok := typ.MethodByName(name); ok {
		return true
	}
	if typ.Kind() != reflect.Struct {
		return false
	}
	for i := range typ.NumField() {
		if f := typ.Field(i); f.Anonymous {
			if _, ok := reflect.PointerTo(f.Type).MethodByName(name); ok {
				return true
			}
		}
	}
	return false
}

func describe(v reflect.Value) string {
	switch {
	case v.Kind() != reflect.Pointer:
		return v.Type().String()
	case v.IsNil():
		return fmt.Sprintf("(%s)(nil)", v.Type())
	case v.Elem().IsZero():
		return fmt.Sprintf("(%s)(zero)", v.Type())
	}
	return fmt.Sprintf("(%s)(live)", v.Type())
}

// callZero calls f with zero arguments. A function that f returns is an iterator, and is called too.
func callZero(t testing.TB, name string, f reflect.Value) (results []reflect.Value) {
	t.Helper()
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("%s panics: %v", name, v)
		}
	}()
	typ := f.Type()
	var args []reflect.Value
	nilContext := false
	for i := range typ.NumIn() {
		if typ.IsVariadic() && i == typ.NumIn()-1 {
			break
		}
		args = append(args, reflect.Zero(typ.In(i)))
		nilContext = nilContext || typ.In(i) == reflect.TypeFor[context.Context]()
	}
	results = f.Call(args)
	for _, r := range results {
		if err, ok := r.Interface().(error); nilContext && r.Type() == reflect.TypeFor[error]() && !ok {
			t.Errorf("%s takes a nil context: %v", name, err)
		}
		if r.Kind() == reflect.Func && !r.IsNil() {
			iterate(t, name, r)
		}
	}
	return results
}

// iterate calls a function that is a result: an iterator gets a yield that has
// enough at once, and one that wants more.
func iterate(t testing.TB, name string, f reflect.Value) {
	t.Helper()
	if f.Type().NumIn() != 1 || f.Type().In(0).Kind() != reflect.Func {
		callZero(t, "the result of "+name, f)
		return
	}
	yield := f.Type().In(0)
	for _, more := range []bool{false, true} {
		f.Call([]reflect.Value{reflect.MakeFunc(yield, func([]reflect.Value) []reflect.Value {
			return []reflect.Value{reflect.ValueOf(more)}
		})})
	}
}

// zeroResult calls the methods of what a function of the toolkit returned.
func zeroResult(t testing.TB, name string, r reflect.Value) {
	t.Helper()
	if r.Kind() == reflect.Interface {
		r = r.Elem()
	}
	if !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil() || r.Type().Implements(reflect.TypeFor[error]()) {
		return
	}
	base := r.Type()
	if base.Kind() == reflect.Pointer {
		base = base.Elem()
	}
	if strings.HasPrefix(base.PkgPath(), "github.com/hubwire/hubwire") {
		zeroMethods(t, r)
	}
}
