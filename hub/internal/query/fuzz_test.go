package query

import (
	"encoding/json"
	"testing"
)

// FuzzQuery reads any text as a query and as a condition. What is accepted reads the
// same when it was printed, and runs over a row without trouble; what is refused
// is so at a place in the text.
func FuzzQuery(f *testing.F) {
	for _, tc := range accepted {
		f.Add(tc.text)
	}
	for _, tc := range conditions {
		f.Add(tc.text)
		f.Add("SELECT * FROM devices.modules WHERE " + tc.text)
	}
	for _, tc := range truths {
		f.Add(tc.text)
	}
	for _, tc := range refused {
		f.Add(tc.text)
	}
	for _, tc := range refusedConditions {
		f.Add(tc.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCondition(text); err != nil {
			checkPlace(t, text, err)
		} else {
			printed := c.String()
			again, err := ParseCondition(printed)
			if err != nil && len(printed) <= MaxLength || err == nil && again.String() != printed {
				t.Fatalf("%q reads as %q, and that as %v, %v", text, printed, again, err)
			}
			if err == nil && c.Match(jsonRow(twin)) != again.Match(jsonRow(twin)) {
				t.Fatalf("%q and %q are not true of the same", text, printed)
			}
		}
		q, err := Parse(text)
		if err != nil {
			checkPlace(t, text, err)
			return
		}
		printed := q.String()
		again, err := Parse(printed)
		if err != nil && len(printed) <= MaxLength || err == nil && again.String() != printed {
			t.Fatalf("%q reads as %q, and that as %v, %v", text, printed, again, err)
		}
		if row := runOne(t, q); row != nil && !json.Valid(row) {
			t.Fatalf("%q gives %s", text, row)
		}
	})
}

func checkPlace(t *testing.T, text string, err error) {
	t.Helper()
	e, ok := err.(*SyntaxError)
	if !ok || e.Offset < 0 || e.Offset > len(text) || e.Found == "" || e.Expected == "" {
		t.Fatalf("%q: %#v", text, err)
	}
}

// runOne returns what a query gives for one row, or nil.
func runOne(t *testing.T, q *Query) []byte {
	row := jsonRow(twin)
	switch {
	case !q.Match(row) || q.Whole():
		return nil
	case !q.Grouped():
		return q.AppendRow(nil, row)
	}
	g := q.Group()
	if err := g.Add(row); err != nil {
		t.Fatal(err)
	}
	return g.Sorted()[0].AppendJSON(nil)
}
