package query

import (
	"maps"
	"slices"
	"strings"
)

// function is one of a fixed number of arguments.
type function struct {
	args int
	call func(a, b Value) Value
}

// functions are by name in capitals. Those of two arguments also have a spelling
// with an underscore.
var functions = map[string]function{
	"IS_DEFINED":   {1, func(a, _ Value) Value { return Bool(a.kind != undefined) }},
	"IS_NULL":      isKind(null),
	"IS_BOOL":      isKind(boolean),
	"IS_NUMBER":    isKind(number),
	"IS_STRING":    isKind(str),
	"IS_ARRAY":     isKind(array),
	"IS_OBJECT":    isKind(object),
	"ARRAY_LENGTH": {1, arrayLength},
	"STARTSWITH":   onStrings(strings.HasPrefix),
	"STARTS_WITH":  onStrings(strings.HasPrefix),
	"ENDSWITH":     onStrings(strings.HasSuffix),
	"ENDS_WITH":    onStrings(strings.HasSuffix),
	"CONTAINS":     onStrings(strings.Contains),
}

func isKind(k kind) function {
	return function{1, func(a, _ Value) Value { return Bool(a.kind == k) }}
}

func onStrings(f func(s, part string) bool) function {
	return function{2, func(a, b Value) Value {
		if a.kind != str || b.kind != str {
			return Value{}
		}
		return Bool(f(a.text, b.text))
	}}
}

func arrayLength(a, _ Value) Value {
	if a.kind != array {
		return Value{}
	}
	_, n := elementOf(a.text, -1)
	return Number(float64(n))
}

// functionNames are all, for an error.
func functionNames() string {
	return strings.Join(slices.Sorted(maps.Keys(functions)), ", ")
}

// call is a function with its arguments.
type call struct {
	name string // in capitals
	function
	operands []expr
}

func (e *call) eval(r Row) Value {
	var b Value
	if e.args > 1 {
		b = e.operands[1].eval(r)
	}
	return e.function.call(e.operands[0].eval(r), b)
}

func (e *call) rank() rank { return rankOne }

func (e *call) appendText(dst []byte, s Source) []byte {
	dst = append(append(dst, e.name...), '(')
	for i, o := range e.operands {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendIn(dst, o, rankSum, s)
	}
	return append(dst, ')')
}
