package query

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxLength is how many characters the text of a query or condition has at most.
// Source: IoT Hub developer guide, "Quotas and throttling".
const MaxLength = 8192

// maxDepth bounds parentheses, signs, NOTs and function calls inside each other.
const maxDepth = 100

// Parse reads a query. The error is a [*SyntaxError], also for what has a form
// but no meaning, such as a path beside aggregates that is not grouped by.
func Parse(text string) (*Query, error) {
	p, err := newParser(text)
	if err == nil {
		q := p.query()
		if p.err == nil {
			return q, nil
		}
		err = p.err
	}
	return nil, err
}

// ParseCondition reads a condition that stands alone, as a configuration's
// target condition or a job's query condition: "*" for all devices, or an expression,
// with "FROM devices WHERE" or "FROM devices.modules WHERE" in front or not.
// The error is a [*SyntaxError].
func ParseCondition(text string) (*Condition, error) {
	p, err := newParser(text)
	if err == nil {
		c := p.condition()
		if p.err == nil {
			return c, nil
		}
		err = p.err
	}
	return nil, err
}

// parser reads by recursive descent, one token ahead. The first fault sticks, and
// lets all tokens after it be the end.
type parser struct {
	lexer
	tok   token
	depth int
	paths []*path
	err   *SyntaxError
}

func newParser(text string) (*parser, *SyntaxError) {
	if n := utf8.RuneCountInString(text); n > MaxLength {
		return nil, &SyntaxError{Offset: MaxLength, Found: fmt.Sprintf("a text of %d characters", n), Expected: fmt.Sprintf("at most %d", MaxLength)}
	}
	for i, r := range text {
		if _, width := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && width == 1 {
			return nil, &SyntaxError{Offset: i, Found: fmt.Sprintf("the byte %#x", text[i]), Expected: "text in UTF-8"}
		}
	}
	p := &parser{lexer: lexer{text: text}}
	p.advance()
	return p, nil
}

// advance goes on to the next token.
func (p *parser) advance() { p.take(p.lexer.next()) }

func (p *parser) take(t token, err *SyntaxError) {
	if err != nil {
		p.fail(err)
		return
	}
	p.tok = t
}

func (p *parser) fail(err *SyntaxError) {
	if p.err == nil {
		p.err = err
	}
	p.pos = len(p.text)
	p.tok = token{offset: p.pos}
}

// refuse fails at the token at hand.
func (p *parser) refuse(expected string) {
	err := &SyntaxError{Offset: p.tok.offset, Found: p.tok.found(), Expected: expected}
	if what := unsupported[strings.ToUpper(p.tok.raw)]; p.tok.kind == tokenName && what != "" {
		err.Unsupported = what
	}
	p.fail(err)
}

// refuseItem fails at a part that has a form but no meaning.
func (p *parser) refuseItem(offset int, found, expected string) {
	p.fail(&SyntaxError{Offset: offset, Found: found, Expected: expected})
}

// accept takes a keyword or sign if it is there.
func (p *parser) accept(word string) bool {
	if !p.tok.is(word) {
		return false
	}
	p.advance()
	return true
}

// expect takes a keyword or sign, which must be there.
func (p *parser) expect(word string) {
	if !p.accept(word) {
		if word[0] < 'A' || word[0] > 'Z' {
			word = strconv.Quote(word)
		}
		p.refuse(word)
	}
}

func (p *parser) end(expected string) {
	if p.tok.kind != tokenEnd {
		p.refuse(expected + " or the end")
	}
}

func (p *parser) query() *Query {
	q := &Query{top: -1}
	p.expect("SELECT")
	if p.accept("TOP") {
		q.top = p.integer("the number of rows for TOP")
	}
	if !p.accept("*") {
		q.items = p.items()
	}
	p.expect("FROM")
	q.source = p.source()
	grouping := "WHERE, GROUP BY"
	if p.accept("WHERE") {
		q.where, grouping = p.expr(), "AND, OR, GROUP BY"
	}
	if p.tok.is("GROUP") {
		q.groupBy = p.groupBy()
		grouping = `","`
	}
	p.end(grouping)
	p.resolve(&q.Condition)
	p.check(q)
	return q
}

func (p *parser) condition() *Condition {
	c := &Condition{source: Devices}
	if p.accept("FROM") {
		offset := p.tok.offset
		if c.source = p.source(); c.source == Jobs {
			p.refuseItem(offset, `"devices.jobs"`, "devices or devices.modules")
		}
		p.expect("WHERE")
		c.where = p.expr()
	} else if !p.accept("*") {
		c.where = p.expr()
	}
	p.end("AND, OR")
	p.resolve(c)
	return c
}

// resolve ends the reading of c, when its source is known.
func (p *parser) resolve(c *Condition) {
	if p.err != nil {
		return
	}
	for _, x := range p.paths {
		x.resolve(c.source)
	}
	if c.where != nil {
		c.ids, c.idsOnly = idsOf(c.where)
		slices.Sort(c.ids)
		c.ids = slices.Compact(c.ids)
	}
}

// integer reads a whole number that is not negative.
func (p *parser) integer(what string) int {
	n, err := strconv.ParseInt(p.tok.raw, 10, 32)
	if p.tok.kind != tokenNumber || err != nil {
		p.refuse(fmt.Sprintf("%s, 0 to %d", what, math.MaxInt32))
		return 0
	}
	p.advance()
	return int(n)
}

func (p *parser) source() Source {
	const all = "devices, devices.modules or devices.jobs"
	if !p.tok.is("devices") {
		p.refuse(all)
		return 0
	}
	p.advance()
	if !p.tok.is(".") {
		return Devices
	}
	p.advance()
	s := Modules
	if p.tok.is("jobs") {
		s = Jobs
	} else if !p.tok.is("modules") {
		p.refuse("modules or jobs")
	}
	p.advance()
	return s
}

func (p *parser) items() (items []item) {
	for {
		it := p.item()
		if p.accept("AS") {
			if p.tok.kind != tokenName {
				p.refuse("a name")
			}
			it.name, it.aliased = p.tok.text, true
			p.advance()
		}
		items = append(items, it)
		if !p.accept(",") {
			return items
		}
	}
}

// item reads one without its alias.
func (p *parser) item() item {
	const what = "a path or an aggregate"
	it := item{offset: p.tok.offset}
	if p.tok.kind != tokenName || !p.calls() {
		it.path = p.path(what)
		return it
	}
	switch name := strings.ToUpper(p.tok.raw); name {
	case "COUNT", "AVG", "SUM", "MIN", "MAX":
		it.aggregate = name
	default:
		p.refuse(what + " (COUNT, AVG, SUM, MIN, MAX)")
		return it
	}
	p.advance()
	p.expect("(")
	if it.aggregate != "COUNT" {
		it.path = p.path("a path")
	}
	p.expect(")")
	return it
}

// calls reports whether a parenthesis follows the token at hand.
func (p *parser) calls() bool {
	ahead := p.lexer
	ahead.space()
	return ahead.pos < len(ahead.text) && ahead.text[ahead.pos] == '('
}

func (p *parser) groupBy() (paths []*path) {
	p.advance()
	p.expect("BY")
	for {
		paths = append(paths, p.path("a path"))
		if !p.accept(",") {
			return paths
		}
	}
}

// path reads one, or fails and returns nil.
func (p *parser) path(what string) *path {
	if p.tok.kind != tokenName || isReserved(p.tok.raw) {
		p.refuse(what)
		return nil
	}
	x := &path{offset: p.tok.offset, steps: []step{{name: p.tok.text}}}
	for p.advance(); ; p.advance() {
		switch {
		case p.tok.is("."):
			if p.take(p.lexer.member()); p.tok.kind != tokenName {
				p.refuse("a member name")
				return nil
			}
			x.steps = append(x.steps, step{name: p.tok.text})
		case p.tok.is("["):
			p.advance()
			x.steps = append(x.steps, step{index: p.integer("the index of an element")})
			if !p.tok.is("]") {
				p.refuse(`"]"`)
				return nil
			}
		default:
			p.paths = append(p.paths, x)
			return x
		}
	}
}

// check refuses what has a form but no meaning.
func (p *parser) check(q *Query) {
	if p.err != nil {
		return
	}
	switch {
	case q.source == Jobs && !q.Whole():
		p.refuseItem(q.items[0].offset, "a projection of devices.jobs", "SELECT *")
	case q.source == Jobs && len(q.groupBy) > 0:
		p.refuseItem(q.groupBy[0].offset, "GROUP BY over devices.jobs", "none")
	case q.Whole() && len(q.groupBy) > 0:
		p.refuseItem(q.groupBy[0].offset, "GROUP BY of whole rows", "paths and aggregates after SELECT")
	}
	p.checkItems(q)
}

// checkItems names the columns, and refuses names that come twice and columns
// that a group has no single value of.
func (p *parser) checkItems(q *Query) {
	grouped := q.Grouped()
	seen, unnamed := map[string]bool{}, 0
	for i := range q.items {
		it := &q.items[i]
		switch {
		case it.aliased:
		case it.aggregate == "":
			it.name = it.path.name()
		default:
			unnamed++
			it.name = "$" + strconv.Itoa(unnamed)
		}
		if grouped && it.aggregate == "" && !q.groupedBy(it.path) {
			p.refuseItem(it.offset, "a path beside aggregates", "one that GROUP BY names")
			return
		}
		if seen[it.name] {
			p.refuseItem(it.offset, fmt.Sprintf("a second column named %.40q", it.name), "an alias (AS name) that tells them apart")
			return
		}
		seen[it.name] = true
	}
}

func (q *Query) groupedBy(x *path) bool { return slices.ContainsFunc(q.groupBy, x.equal) }
