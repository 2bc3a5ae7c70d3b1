package query

import (
	"slices"
	"strconv"
)

// Source is what a query is over.
type Source uint8

// The sources. The zero Source is not valid.
const (
	Devices Source = iota + 1 // twins of devices
	Modules                   // twins of modules
	Jobs                      // what jobs did, by device
)

// String returns the source's name in the language.
func (s Source) String() string {
	switch s {
	case Devices:
		return "devices"
	case Modules:
		return "devices.modules"
	case Jobs:
		return "devices.jobs"
	}
	return "invalid source"
}

// Condition says which rows of a source are meant. It never changes, and its
// methods may be called from any goroutine.
type Condition struct {
	source Source
	where  expr // nil means all

	ids     []string
	idsOnly bool // all rows that match have one of ids
}

// Source returns what the condition is over.
func (c *Condition) Source() Source { return c.source }

// DeviceIDs returns the device ids that rows have which the condition is true of,
// sorted, when it says so (deviceId = 'a', or IN, or both with AND and OR), so
// that nobody looks for them elsewhere. The slice is not the caller's. Otherwise
// any row may match, and ok is false.
func (c *Condition) DeviceIDs() (ids []string, ok bool) { return c.ids, c.idsOnly }

// Match reports whether the condition is true of a row. It allocates only for
// strings with escapes.
func (c *Condition) Match(r Row) bool { return c.where == nil || c.where.eval(r).isTrue() }

// String returns the condition in the form that [ParseCondition] reads.
func (c *Condition) String() string {
	if c.where == nil && c.source == Devices {
		return "*"
	}
	var b []byte
	if c.source != Devices {
		b = append(append(append(b, "FROM "...), c.source.String()...), " WHERE "...)
	}
	return string(c.where.appendText(b, c.source))
}

// Query is a condition with what is wanted of the rows that it is true of.
type Query struct {
	Condition
	top     int    // -1 means all
	items   []item // none means whole rows
	groupBy []*path
}

// item is a column of the result.
type item struct {
	aggregate string // COUNT, AVG, SUM, MIN, MAX, or empty
	path      *path  // nil for COUNT
	name      string // in the result
	aliased   bool
	offset    int // in the text
}

// Top returns how many rows are wanted at most, and whether the query says so.
func (q *Query) Top() (n int, ok bool) { return max(0, q.top), q.top >= 0 }

// Whole reports whether whole rows are wanted (SELECT *).
func (q *Query) Whole() bool { return len(q.items) == 0 }

// Grouped reports whether rows are counted together, by aggregates or by
// GROUP BY (see [Query.Group]), rather than given each.
func (q *Query) Grouped() bool {
	return len(q.groupBy) > 0 || slices.ContainsFunc(q.items, func(it item) bool { return it.aggregate != "" })
}

// String returns the query in the form that [Parse] reads, with keywords in
// capitals and system members as IoT Hub spells them.
func (q *Query) String() string {
	b := []byte("SELECT ")
	if n, ok := q.Top(); ok {
		b = append(strconv.AppendInt(append(b, "TOP "...), int64(n), 10), ' ')
	}
	if q.Whole() {
		b = append(b, '*')
	}
	for i, it := range q.items {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = it.appendText(b, q.source)
	}
	b = append(append(b, " FROM "...), q.source.String()...)
	if q.where != nil {
		b = q.where.appendText(append(b, " WHERE "...), q.source)
	}
	for i, p := range q.groupBy {
		if i == 0 {
			b = append(b, " GROUP BY "...)
		} else {
			b = append(b, ", "...)
		}
		b = p.appendText(b, q.source)
	}
	return string(b)
}

func (it *item) appendText(dst []byte, s Source) []byte {
	if it.aggregate != "" {
		dst = append(append(dst, it.aggregate...), '(')
	}
	if it.path != nil {
		dst = it.path.appendText(dst, s)
	}
	if it.aggregate != "" {
		dst = append(dst, ')')
	}
	if it.aliased {
		dst = append(append(dst, " AS "...), it.name...)
	}
	return dst
}

// AppendRow appends what a query that is not grouped wants of a row, as a JSON
// object. Undefined members are left out.
func (q *Query) AppendRow(dst []byte, r Row) []byte {
	start := len(dst)
	for _, it := range q.items {
		dst = appendMember(dst, start, it.name, it.path.eval(r))
	}
	return closeObject(dst, start)
}

// appendMember appends a member to the object that begins at start. An
// undefined one is no member.
func appendMember(dst []byte, start int, name string, v Value) []byte {
	if v.kind == undefined {
		return dst
	}
	if len(dst) == start {
		dst = append(dst, '{')
	} else {
		dst = append(dst, ',')
	}
	return v.appendJSON(append(appendString(dst, name), ':'))
}

func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}
