package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// status is what became of one cell of the demo's table.
type status string

const (
	statusOK         status = "ok"
	statusFailed     status = "failed"
	statusSkipped    status = "skipped"    // could not be checked here; the reason says why
	statusImpossible status = "impossible" // IoT Hub itself has no such thing; shown as –
)

// cell is one feature over one protocol.
type cell struct {
	status status
	reason string // why it failed or was skipped, or why it is ok only in part
	took   time.Duration
}

// text is the cell in the table for people.
func (c cell) text() string {
	switch {
	case c.status == statusImpossible:
		return "–"
	case c.status == statusOK && c.reason != "":
		return "ok*"
	}
	return string(c.status)
}

// row is one feature over all protocols, in the order of table.protocols.
type row struct {
	feature string
	cells   []cell
}

// table is what the demo shows.
type table struct {
	hub       string
	protocols []protocol
	rows      []row
}

func (t *table) count(s status) (n int) {
	for _, r := range t.rows {
		for _, c := range r.cells {
			if c.status == s {
				n++
			}
		}
	}
	return n
}

const (
	featureWidth = 48
	cellWidth    = 10
)

func (t *table) printHead(w io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s", featureWidth, "feature")
	for _, p := range t.protocols {
		fmt.Fprintf(&b, "%-*s", cellWidth, p.name)
	}
	fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
}

// printRow writes a row, and below it why a cell failed.
func (t *table) printRow(w io.Writer, r row) {
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s", featureWidth, r.feature)
	for _, c := range r.cells {
		fmt.Fprintf(&b, "%-*s", cellWidth, c.text())
	}
	fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	for i, c := range r.cells {
		if c.status == statusFailed {
			fmt.Fprintf(w, "    %s: %s\n", t.protocols[i].name, c.reason)
		}
	}
}

// printFoot ends the table with the line that scripts look for. Skipped cells
// are neither passed nor failed, and those passed in part are not all that they
// seem, so both are named.
func (t *table) printFoot(w io.Writer) {
	count := map[string]int{}
	var order []string
	for _, r := range t.rows {
		for _, c := range r.cells {
			if c.reason == "" || c.status == statusFailed { // those have their line
				continue
			}
			line := c.text() + ": " + c.reason
			if count[line] == 0 {
				order = append(order, line)
			}
			count[line]++
		}
	}
	for _, line := range order {
		fmt.Fprintf(w, "%d %s\n", count[line], line)
	}
	fmt.Fprintf(w, "%d passed, %d failed\n", t.count(statusOK), t.count(statusFailed))
}

// The table for machines.
type (
	tableJSON struct {
		Hub       string    `json:"hub"`
		Protocols []string  `json:"protocols"`
		Rows      []rowJSON `json:"rows"`
		Passed    int       `json:"passed"`
		Failed    int       `json:"failed"`
		Skipped   int       `json:"skipped"`
	}
	rowJSON struct {
		Feature string     `json:"feature"`
		Cells   []cellJSON `json:"cells"`
	}
	cellJSON struct {
		Protocol string  `json:"protocol"`
		Status   status  `json:"status"`
		Reason   string  `json:"reason,omitempty"`
		Millis   float64 `json:"ms"`
	}
)

func (t *table) json() *tableJSON {
	out := &tableJSON{
		Hub: t.hub, Protocols: []string{}, Rows: []rowJSON{},
		Passed: t.count(statusOK), Failed: t.count(statusFailed), Skipped: t.count(statusSkipped),
	}
	for _, p := range t.protocols {
		out.Protocols = append(out.Protocols, p.name)
	}
	for _, r := range t.rows {
		j := rowJSON{Feature: r.feature}
		for i, c := range r.cells {
			j.Cells = append(j.Cells, cellJSON{
				Protocol: t.protocols[i].name, Status: c.status, Reason: c.reason,
				Millis: float64(c.took.Microseconds()) / 1000,
			})
		}
		out.Rows = append(out.Rows, j)
	}
	return out
}
