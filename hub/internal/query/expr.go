package query

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// expr is a part of a condition.
type expr interface {
	eval(r Row) Value
	rank() rank
	appendText(dst []byte, s Source) []byte
}

// rank is how tightly an expression holds together.
type rank uint8

const (
	rankOr rank = iota
	rankAnd
	rankNot
	rankCompare
	rankSum
	rankProduct
	rankOne
)

// appendIn appends e inside an expression of some rank.
func appendIn(dst []byte, e expr, outer rank, s Source) []byte {
	if e.rank() >= outer {
		return e.appendText(dst, s)
	}
	return append(e.appendText(append(dst, '('), s), ')')
}

func (p *path) rank() rank { return rankOne }

// constant is one, an array of constants included.
type constant struct {
	value    Value
	elements []Value // of an array
}

func (c *constant) eval(Row) Value { return c.value }
func (c *constant) rank() rank     { return rankOne }

func (c *constant) appendText(dst []byte, _ Source) []byte {
	if c.value.kind != array {
		return appendConstant(dst, c.value)
	}
	dst = append(dst, '[')
	for i, v := range c.elements {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = appendConstant(dst, v)
	}
	return append(dst, ']')
}

func appendConstant(dst []byte, v Value) []byte {
	switch v.kind {
	case undefined:
		return append(dst, "undefined"...)
	case str:
		return appendQuoted(dst, v.text)
	}
	return v.appendJSON(dst)
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '\'')
	for _, r := range s {
		switch {
		case r == '\'' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case unicode.IsControl(r):
			hex := strconv.AppendInt(nil, int64(r)+0x10000, 16)
			dst = append(append(dst, `\u`...), hex[1:]...)
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '\'')
}

// logic is AND, OR: undefined when it is neither true nor false.
type logic struct {
	and         bool
	left, right expr
}

func (e *logic) eval(r Row) Value {
	decides := !e.and // what one side alone decides by
	left := e.left.eval(r)
	if left.kind == boolean && left.isTrue() == decides {
		return left
	}
	right := e.right.eval(r)
	switch {
	case right.kind != boolean:
		return Value{}
	case right.isTrue() == decides:
		return right
	}
	if left.kind != boolean {
		return Value{}
	}
	return right
}

func (e *logic) rank() rank {
	if e.and {
		return rankAnd
	}
	return rankOr
}

func (e *logic) appendText(dst []byte, s Source) []byte {
	word := " OR "
	if e.and {
		word = " AND "
	}
	dst = append(appendIn(dst, e.left, e.rank(), s), word...)
	return appendIn(dst, e.right, e.rank()+1, s)
}

type not struct{ of expr }

func (e *not) eval(r Row) Value {
	v := e.of.eval(r)
	if v.kind != boolean {
		return Value{}
	}
	return Bool(!v.isTrue())
}

func (e *not) rank() rank { return rankNot }

func (e *not) appendText(dst []byte, s Source) []byte {
	return appendIn(append(dst, "NOT "...), e.of, rankNot, s)
}

// comparison is of values of one primitive type, and else false.
type comparison struct {
	op          string // "=", "!=", "<", ">", "<=", ">="
	left, right expr
}

func (e *comparison) eval(r Row) Value {
	a, b := e.left.eval(r), e.right.eval(r)
	switch e.op {
	case "=":
		return Bool(equal(a, b))
	case "!=":
		return Bool(a.kind == b.kind && a.isPrimitive() && !equal(a, b))
	}
	var n int
	switch {
	case a.kind != b.kind:
		return False
	case a.kind == number:
		n = cmp.Compare(a.number, b.number)
	case a.kind == str:
		n = strings.Compare(a.text, b.text)
	default:
		return False
	}
	return Bool(n < 0 && e.op[0] == '<' || n > 0 && e.op[0] == '>' || n == 0 && len(e.op) == 2)
}

// equal reports whether two primitive values are the same.
func equal(a, b Value) bool {
	return a.kind == b.kind && a.isPrimitive() && a.number == b.number && (a.kind != str || a.text == b.text)
}

func (e *comparison) rank() rank { return rankCompare }

func (e *comparison) appendText(dst []byte, s Source) []byte {
	dst = append(appendIn(dst, e.left, rankSum, s), ' ')
	dst = append(append(dst, e.op...), ' ')
	return appendIn(dst, e.right, rankSum, s)
}

// membership is IN, NIN. No value that is not primitive is in an array, or out of it.
type membership struct {
	in   bool
	of   expr
	list *constant
}

func (e *membership) eval(r Row) Value {
	v := e.of.eval(r)
	found := slices.ContainsFunc(e.list.elements, func(x Value) bool { return equal(x, v) })
	return Bool(v.isPrimitive() && found == e.in)
}

func (e *membership) rank() rank { return rankCompare }

func (e *membership) appendText(dst []byte, s Source) []byte {
	word := " NIN "
	if e.in {
		word = " IN "
	}
	dst = append(appendIn(dst, e.of, rankSum, s), word...)
	return e.list.appendText(dst, s)
}

// arithmetic is on numbers, and else undefined.
type arithmetic struct {
	op          byte // '+', '-', '*', '/', '%'
	left, right expr
}

func (e *arithmetic) eval(r Row) Value {
	a, b := e.left.eval(r), e.right.eval(r)
	if a.kind != number || b.kind != number {
		return Value{}
	}
	switch e.op {
	case '+':
		return Number(a.number + b.number)
	case '-':
		return Number(a.number - b.number)
	case '*':
		return Number(a.number * b.number)
	case '/':
		return Number(a.number / b.number)
	}
	return Number(math.Mod(a.number, b.number))
}

func (e *arithmetic) rank() rank {
	if e.op == '+' || e.op == '-' {
		return rankSum
	}
	return rankProduct
}

func (e *arithmetic) appendText(dst []byte, s Source) []byte {
	dst = append(appendIn(dst, e.left, e.rank(), s), ' ', e.op, ' ')
	return appendIn(dst, e.right, e.rank()+1, s)
}

type negative struct{ of expr }

func (e *negative) eval(r Row) Value {
	v := e.of.eval(r)
	if v.kind != number {
		return Value{}
	}
	return Number(-v.number)
}

func (e *negative) rank() rank { return rankOne }

func (e *negative) appendText(dst []byte, s Source) []byte {
	return appendIn(append(dst, '-'), e.of, rankOne, s)
}
