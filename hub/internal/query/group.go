package query

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
)

// Bounds of what a grouped query holds in memory.
const (
	MaxGroups     = 10_000
	maxGroupBytes = 4 << 20 // of the values that are grouped by
)

// ErrTooManyGroups is the error of [Groups.Add] for rows that fall into more
// groups than [MaxGroups], or into groups whose values are 4 MiB in all.
var ErrTooManyGroups = errors.New("query: too many groups")

// Groups counts rows together. It is for one goroutine.
type Groups struct {
	query  *Query
	groups map[string]*Group
	bytes  int
	key    []byte
	ends   []int // in key
}

// Group is a row of the result: what its rows have in common, and their aggregates.
type Group struct {
	query *Query
	by    []string // the JSON of each value that it is grouped by; empty for undefined
	sums  []sum    // by item
	key   string
}

// sum is what is known of the numbers of a column.
type sum struct {
	n             int
	total         float64
	least, utmost float64
}

// Group begins to count the rows of a query that is grouped. Without GROUP BY
// there is one group, also of no rows.
func (q *Query) Group() *Groups {
	g := &Groups{query: q, groups: map[string]*Group{}}
	if len(q.groupBy) == 0 {
		g.groups[""] = g.group("")
	}
	return g
}

// Add counts a row that the query's condition is true of. It keeps nothing of it.
func (g *Groups) Add(r Row) error {
	g.key, g.ends = g.key[:0], g.ends[:0]
	for _, p := range g.query.groupBy {
		g.key = append(appendCommon(g.key, p.eval(r)), ',')
		g.ends = append(g.ends, len(g.key))
	}
	x := g.groups[string(g.key)]
	if x == nil {
		if g.bytes += len(g.key); len(g.groups) == MaxGroups || g.bytes > maxGroupBytes {
			return ErrTooManyGroups
		}
		key := string(g.key)
		x = g.group(key)
		g.groups[key] = x
	}
	for i, it := range g.query.items {
		if it.aggregate != "" {
			x.sums[i].add(&it, r)
		}
	}
	return nil
}

// appendCommon appends v as it is the same for all that are equal to it.
func appendCommon(dst []byte, v Value) []byte {
	if v.kind == undefined {
		return dst
	}
	if v.kind == number {
		v.text, v.number = "", v.number+0 // -0 is 0
	}
	return v.appendJSON(dst)
}

// group makes the one of the key at hand.
func (g *Groups) group(key string) *Group {
	x := &Group{query: g.query, sums: make([]sum, len(g.query.items)), key: key}
	start := 0
	for _, end := range g.ends {
		x.by = append(x.by, key[start:end-1])
		start = end
	}
	return x
}

func (s *sum) add(it *item, r Row) {
	if it.path == nil {
		s.n++
		return
	}
	v := it.path.eval(r)
	if v.kind != number {
		return
	}
	if s.n == 0 {
		s.least, s.utmost = v.number, v.number
	}
	s.n++
	s.total += v.number
	s.least, s.utmost = min(s.least, v.number), max(s.utmost, v.number)
}

// value returns what the aggregate is; of no numbers only COUNT and SUM are anything.
func (s *sum) value(aggregate string) Value {
	switch {
	case aggregate == "COUNT":
		return Number(float64(s.n))
	case aggregate == "SUM":
		return Number(s.total)
	case s.n == 0:
		return Value{}
	case aggregate == "AVG":
		return Number(s.total / float64(s.n))
	case aggregate == "MIN":
		return Number(s.least)
	}
	return Number(s.utmost)
}

// Sorted returns the groups in the order of their keys.
func (g *Groups) Sorted() []*Group {
	xs := make([]*Group, 0, len(g.groups))
	for _, x := range g.groups {
		xs = append(xs, x)
	}
	slices.SortFunc(xs, func(a, b *Group) int { return cmp.Compare(a.Key(), b.Key()) })
	return xs
}

// longKey is the length from which a group's key is its begin and a hash.
const longKey = 128

// Key tells a group from others of its query, also when it is counted again
// later. It is the JSON of what it is grouped by, cut when that is long.
func (x *Group) Key() string {
	if len(x.key) <= longKey {
		return x.key
	}
	hash := sha256.Sum256([]byte(x.key))
	return x.key[:longKey/2] + hex.EncodeToString(hash[:16])
}

// AppendJSON appends the row of the result.
func (x *Group) AppendJSON(dst []byte) []byte {
	start := len(dst)
	for i, it := range x.query.items {
		v := x.sums[i].value(it.aggregate)
		if it.aggregate == "" {
			by := slices.IndexFunc(x.query.groupBy, it.path.equal)
			v = JSON(x.by[by])
		}
		dst = appendMember(dst, start, it.name, v)
	}
	return closeObject(dst, start)
}
