package query

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// naive makes random conditions as text, fully in parentheses, and says from
// encoding/json's values what each is of a row: so neither the parser nor the
// evaluator has a part in it. Undefined is the missing type.
type naive struct {
	*rand.Rand
	row map[string]any
}

type missing struct{}

var naiveLeaves = []string{
	"tags.n", "tags.m", "tags.s", "tags.t", "tags.b", "tags.z", "tags.none", "tags.o",
	"1", "2.5", "-3", "'x'", "'xy'", "true", "false", "null", "undefined",
}

func (x *naive) leaf() (string, any) {
	text := naiveLeaves[x.IntN(len(naiveLeaves))]
	if name, ok := strings.CutPrefix(text, "tags."); ok {
		v, ok := x.row[name]
		if !ok {
			return text, missing{}
		}
		return text, v
	}
	if text == "undefined" {
		return text, missing{}
	}
	var v any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "'", `"`)), &v); err != nil {
		panic(err)
	}
	return text, v
}

func (x *naive) expr(depth int) (string, any) {
	if depth == 0 {
		return x.leaf()
	}
	a, av := x.expr(depth - 1)
	b, bv := x.expr(x.IntN(depth))
	switch x.IntN(6) {
	case 0:
		op := []string{"=", "!=", "<", ">", "<=", ">="}[x.IntN(6)]
		return fmt.Sprintf("((%s) %s (%s))", a, op, b), naiveCompare(op, av, bv)
	case 1:
		op := "+-*/%"[x.IntN(5)]
		return fmt.Sprintf("((%s) %c (%s))", a, op, b), naiveArithmetic(op, av, bv)
	case 2:
		return fmt.Sprintf("(NOT (%s))", a), naiveNot(av)
	case 3:
		_, absent := av.(missing)
		return fmt.Sprintf("IS_DEFINED((%s))", a), !absent
	case 4:
		return fmt.Sprintf("((%s) AND (%s))", a, b), naiveAnd(av, bv)
	}
	// a OR b is what NOT (NOT a AND NOT b) is
	return fmt.Sprintf("((%s) OR (%s))", a, b), naiveNot(naiveAnd(naiveNot(av), naiveNot(bv)))
}

func naiveNot(v any) any {
	if b, ok := v.(bool); ok {
		return !b
	}
	return missing{}
}

func naiveAnd(a, b any) any {
	if a == false || b == false {
		return false
	}
	if a == true && b == true {
		return true
	}
	return missing{}
}

func naiveCompare(op string, a, b any) bool {
	if x, ok := a.(float64); ok {
		if y, ok := b.(float64); ok {
			return map[string]bool{"=": x == y, "!=": x != y, "<": x < y, ">": x > y, "<=": x <= y, ">=": x >= y}[op]
		}
	}
	if x, ok := a.(string); ok {
		if y, ok := b.(string); ok {
			return map[string]bool{"=": x == y, "!=": x != y, "<": x < y, ">": x > y, "<=": x <= y, ">=": x >= y}[op]
		}
	}
	if x, ok := a.(bool); ok {
		if y, ok := b.(bool); ok {
			return op == "=" && x == y || op == "!=" && x != y
		}
	}
	return a == nil && b == nil && op == "="
}

func naiveArithmetic(op byte, a, b any) any {
	x, ok1 := a.(float64)
	y, ok2 := b.(float64)
	if !ok1 || !ok2 {
		return missing{}
	}
	n := map[byte]float64{'+': x + y, '-': x - y, '*': x * y, '/': x / y, '%': math.Mod(x, y)}[op]
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return missing{}
	}
	return n
}

func TestConditionsAreTrueOfWhatANaiveReaderSays(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	kept := 0
	for range 20_000 {
		x := &naive{rnd, map[string]any{"s": "x", "t": true, "b": false, "z": nil, "o": map[string]any{"x": 1.0}}}
		x.row["n"], x.row["m"] = float64(rnd.IntN(4)), float64(rnd.IntN(7))/2
		row, err := json.Marshal(map[string]any{"tags": x.row})
		if err != nil {
			t.Fatal(err)
		}
		text, want := x.expr(1 + rnd.IntN(4))
		c, err := ParseCondition(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := c.Match(jsonRow(row)); got != (want == true) {
			t.Fatalf("%s of %s is %v, want %v", text, row, got, want)
		}
		printed, err := ParseCondition(c.String()) // with as few parentheses as can be
		if err != nil || printed.Match(jsonRow(row)) != (want == true) || printed.String() != c.String() {
			t.Fatalf("%s, printed as %s, is another; %v", text, c, err)
		}
		if want == true {
			kept++
		}
	}
	if kept < 1000 {
		t.Errorf("only %d conditions were true", kept)
	}
}
