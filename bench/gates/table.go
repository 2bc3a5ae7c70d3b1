package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table renders the results in Markdown, aligned so that it reads as it is.
func table(results []result) string {
	rows := [][]string{{"work", "floor, ns", "peer, ns", "ours, ns", "ours / floor", "peer / ours", "allocs", "gate", "target", "verdict"}}
	for _, r := range results {
		rows = append(rows, r.cells())
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for i, row := range rows {
		for j, cell := range row {
			fmt.Fprintf(&b, "| %-*s ", widths[j], cell)
		}
		b.WriteString("|\n")
		if i == 0 {
			for _, w := range widths {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// cells are medians over the rounds that count.
func (r result) cells() []string {
	cells := []string{
		r.name,
		r.cost(r.floor, func(s sample) float64 { return s.floor }),
		r.cost(r.peer, func(s sample) float64 { return s.peer }),
		r.cost(r.ours, func(s sample) float64 { return s.ours }),
		none, none,
		count(r.ours.allocs),
		list(r.gates, func(b bound) string { return b.String() }),
		list(r.targets, r.target),
		r.verdict().String(),
	}
	if r.floor != nil {
		cells[4] = number(median(r.samples, sample.overFloor))
	}
	if r.peer != nil {
		cells[5] = number(median(r.samples, sample.fasterThanPeer))
		cells[6] += fmt.Sprintf(" (peer %s)", count(r.peer.allocs))
	}
	return cells
}

const none = "–"

func (r result) cost(w *work, of func(sample) float64) string {
	if w == nil {
		return none
	}
	s := number(median(r.samples, of))
	if w.name != "" {
		s += " " + w.name
	}
	return s
}

// target tells a target and whether it is reached, without any slack.
func (r result) target(b bound) string {
	if b.holds(median(r.samples, b.ratio), 1) {
		return b.String() + ": yes"
	}
	return b.String() + ": no"
}

func list(bounds []bound, tell func(bound) string) string {
	if len(bounds) == 0 {
		return none
	}
	var all []string
	for _, b := range bounds {
		all = append(all, tell(b))
	}
	return strings.Join(all, ", ")
}

// number gives x with as many digits as are worth reading.
func number(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func count(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }
