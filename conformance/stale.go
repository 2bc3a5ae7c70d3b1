package main

import (
	"fmt"
	"slices"
	"strings"
)

// lost says which cells were ok in a file, and are not.
func lost(old string, all []filled) (wrong []error) {
	was := parseMatrix(old)
	for _, f := range all {
		for i, r := range f.rows {
			for j, column := range f.columns {
				if before, c := was[r.id+" "+column], f.cells[i][j]; strings.HasPrefix(before, string(stateOK)) && c.state != stateOK {
					wrong = append(wrong, fmt.Errorf("%s over %s was %s and is %s", r.id, column, before, c))
				}
			}
		}
	}
	return wrong
}

// failures says which cells have failed, and why.
func failures(all []filled) (wrong []error) {
	for _, f := range all {
		for i, r := range f.rows {
			for j, c := range f.cells[i] {
				if c.state == stateFailed {
					wrong = append(wrong, fmt.Errorf("%s over %s has failed: %s", r.id, f.columns[j], strings.Join(c.trouble, "; ")))
				}
			}
		}
	}
	return wrong
}

// parseMatrix reads the cells of a file back, by row and column.
func parseMatrix(text string) map[string]string {
	cells := map[string]string{}
	var columns []string
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if !strings.HasPrefix(l, "| ") {
			continue
		}
		fields := strings.Split(strings.Trim(l, "| "), " | ")
		if fields[0] == "row" {
			columns = fields
		}
		id, _, isRow := strings.Cut(strings.TrimPrefix(fields[0], "["), "](#")
		if !isRow || len(fields) != len(columns) {
			continue
		}
		for i := 2; i < len(fields); i++ {
			cells[id+" "+columns[i]] = fields[i]
		}
	}
	return cells
}

// difference is the lines that one of two texts has and the other has not, or "".
func difference(old, now string) string {
	if old == now {
		return ""
	}
	a, b := strings.Split(old, "\n"), strings.Split(now, "\n")
	var d strings.Builder
	for _, l := range a {
		if !slices.Contains(b, l) {
			d.WriteString("-" + l + "\n")
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			d.WriteString("+" + l + "\n")
		}
	}
	if d.Len() == 0 {
		return "the same lines in another order\n"
	}
	return d.String()
}
