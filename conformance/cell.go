package main

import (
	"fmt"
	"strings"
)

// cell is what a row comes to over one protocol.
type cell struct {
	state   state
	judged  bool     // one of the tests has a client that nobody here wrote
	noted   bool     // there is something to be known of it
	trouble []string // the tests that did not pass
}

// String is how it stands in the matrix.
func (c cell) String() string {
	s := string(c.state)
	if c.noted && c.state == stateOK {
		s += "*"
	}
	if c.judged && c.state == stateOK {
		s += ", judged"
	}
	return s
}

// judges reports whether a test has a client, or a server, that nobody here wrote.
func judges(test string) bool { return strings.HasPrefix(test, "interop.") }

// scripted reports whether a test plays the bytes of SDKs that do not run in it.
func scripted(test string) bool { return strings.HasPrefix(test, "hub.TestShape") }

// named puts the protocol into a test's name.
func named(test, column string) string { return strings.ReplaceAll(test, "*", column) }

// cell looks at the tests of a row over one protocol. What is to be impossible, or not yet
// whole, fails with its tests, too. Its error names the tests that there are no results of.
func (r *row) cell(column string, got *results) (cell, []error) {
	claims := r.over(column)
	c := cell{state: claims[0].state}
	var missing []error
	for _, claim := range claims {
		c.noted = c.noted || claim.note != ""
		for _, test := range claim.tests {
			test = named(test, column)
			switch o, there := got.of(test); {
			case !there:
				missing = append(missing, fmt.Errorf("%s over %s: the results have no test %s", r.id, column, test))
			case o != passed:
				c.trouble = append(c.trouble, test+" "+o.String())
			default:
				c.judged = c.judged || judges(test)
			}
		}
	}
	if len(c.trouble) > 0 {
		c.state = stateFailed
	}
	return c, missing
}

// filled is a table with its cells, by row and column.
type filled struct {
	*table
	cells [][]cell
}

// fill fills tables with results. Its errors are what is wrong with the tables, and the tests
// that are not in the results.
func fill(tables []*table, got *results) (all []filled, wrong []error) {
	for _, t := range tables {
		if w := t.check(); len(w) > 0 {
			wrong = append(wrong, w...)
			continue
		}
		f := filled{table: t}
		for _, r := range t.rows {
			var cells []cell
			for _, column := range t.columns {
				c, missing := r.cell(column, got)
				cells, wrong = append(cells, c), append(wrong, missing...)
			}
			f.cells = append(f.cells, cells)
		}
		all = append(all, f)
	}
	return all, wrong
}

// tally is how many cells there are of each state, and how many of those that are ok are judged.
type tally struct {
	of     map[state]int
	judged int
}

// tally counts the cells of a column, or for -1 all.
func (f *filled) tally(column int) tally {
	t := tally{of: map[state]int{}}
	for _, cells := range f.cells {
		for i, c := range cells {
			if i != column && column >= 0 {
				continue
			}
			t.of[c.state]++
			if c.state == stateOK && c.judged {
				t.judged++
			}
		}
	}
	return t
}
