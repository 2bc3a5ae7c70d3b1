package query

import (
	"fmt"
	"strings"
)

func (p *parser) expr() expr {
	left := p.conjunction()
	for p.accept("OR") {
		left = &logic{false, left, p.conjunction()}
	}
	return left
}

func (p *parser) conjunction() expr {
	left := p.negation()
	for p.accept("AND") {
		left = &logic{true, left, p.negation()}
	}
	return left
}

func (p *parser) negation() expr {
	if !p.tok.is("NOT") {
		return p.comparison()
	}
	defer p.deeper()()
	p.advance()
	return &not{p.negation()}
}

// deeper counts a level, and fails when there are too many. What it returns
// counts back.
func (p *parser) deeper() (leave func()) {
	if p.depth++; p.depth > maxDepth {
		p.fail(&SyntaxError{Offset: p.tok.offset, Found: "a level of nesting too many", Expected: fmt.Sprintf("at most %d", maxDepth)})
	}
	return func() { p.depth-- }
}

var comparisons = map[string]string{"=": "=", "!=": "!=", "<>": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}

func (p *parser) comparison() expr {
	left := p.sum()
	switch op := comparisons[p.tok.raw]; {
	case p.tok.kind == tokenSign && op != "":
		p.advance()
		return &comparison{op, left, p.sum()}
	case p.tok.is("IN"), p.tok.is("NIN"):
		in := p.tok.is("IN")
		if p.advance(); !p.tok.is("[") {
			p.refuse(`an array, such as ['a', 'b']`)
			return left
		}
		return &membership{in, left, p.array()}
	}
	return left
}

func (p *parser) sum() expr {
	left := p.product()
	for p.tok.is("+") || p.tok.is("-") {
		op := p.tok.raw[0]
		p.advance()
		left = &arithmetic{op, left, p.product()}
	}
	return left
}

func (p *parser) product() expr {
	left := p.operand()
	for p.tok.is("*") || p.tok.is("/") || p.tok.is("%") {
		op := p.tok.raw[0]
		p.advance()
		left = &arithmetic{op, left, p.operand()}
	}
	return left
}

func (p *parser) operand() expr {
	switch {
	case p.tok.is("("):
		defer p.deeper()()
		p.advance()
		e := p.expr()
		p.expect(")")
		return e
	case p.tok.is("-"):
		defer p.deeper()()
		p.advance()
		return negate(p.operand())
	case p.tok.is("["):
		return p.array()
	case p.tok.kind == tokenName && p.calls() && !isReserved(p.tok.raw):
		return p.call()
	}
	if v, ok := p.constant(); ok {
		return &constant{value: v}
	}
	return p.path("a path, a constant or a function")
}

// negate makes one constant of a sign and a number.
func negate(e expr) expr {
	if c, ok := e.(*constant); ok && c.value.kind == number && c.value.number > 0 {
		return &constant{value: Number(-c.value.number)}
	}
	return &negative{e}
}

// constant takes a constant without a sign, if one is there.
func (p *parser) constant() (v Value, ok bool) {
	switch {
	case p.tok.kind == tokenNumber:
		v = Number(p.tok.number)
	case p.tok.kind == tokenString:
		v = String(p.tok.text)
	case p.tok.is("true"):
		v = True
	case p.tok.is("false"):
		v = False
	case p.tok.is("null"):
		v = Null
	case !p.tok.is("undefined"):
		return v, false
	}
	p.advance()
	return v, true
}

// array reads an array of constants.
func (p *parser) array() *constant {
	a := &constant{}
	text := []byte{'['}
	for p.advance(); ; p.advance() {
		minus := p.tok.is("-")
		if minus {
			p.advance()
		}
		if minus && p.tok.kind != tokenNumber {
			p.refuse("a number")
		}
		v, ok := p.constant()
		if !ok {
			p.refuse("a constant")
		}
		if minus {
			v.number = -v.number
		}
		if len(a.elements) > 0 {
			text = append(text, ',')
		}
		a.elements = append(a.elements, v)
		text = appendElement(text, v)
		if !p.tok.is(",") {
			break
		}
	}
	p.expect("]")
	a.value = JSON(string(append(text, ']')))
	return a
}

// appendElement appends an element of an array as JSON, which knows no undefined.
func appendElement(dst []byte, v Value) []byte {
	if v.kind == undefined {
		v = Null
	}
	return v.appendJSON(dst)
}

func (p *parser) call() expr {
	name := strings.ToUpper(p.tok.raw)
	f, ok := functions[name]
	if !ok {
		p.refuse("a function (" + functionNames() + ")")
		return nil
	}
	p.advance()
	p.expect("(")
	defer p.deeper()()
	e := &call{name: name, function: f}
	for i := range f.args {
		if i > 0 {
			p.expect(",")
		}
		e.operands = append(e.operands, p.sum())
	}
	p.expect(")")
	return e
}
