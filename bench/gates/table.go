package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table renders the results in Markdown, aligned so that it reads as it is.
func table(results []result) string {
	var rows [][]string
	for _, c := range columns(results) {
		for i, cell := range c {
			if i == len(rows) {
				rows = append(rows, nil)
			}
			rows[i] = append(rows[i], cell)
		}
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

// columns are those of the table, each with its head. Medians are over the
// samples that count.
func columns(results []result) [][]string {
	column := func(head string, of func(result) string) []string {
		c := []string{head}
		for _, r := range results {
			c = append(c, of(r))
		}
		return c
	}
	unit := results[0].unit()
	mixed := slices.ContainsFunc(results, func(r result) bool { return r.unit() != unit })
	if mixed {
		unit = ""
	} else {
		unit = ", " + unit
	}
	all := [][]string{
		column("work", func(r result) string { return r.name }),
		column("in", func(r result) string { return r.unit() }),
		column("floor"+unit, result.floorCost),
		column("peer"+unit, func(r result) string { return r.cost(r.peer, func(s sample) float64 { return s.peer }) }),
		column("ours"+unit, func(r result) string { return r.cost(r.ours, func(s sample) float64 { return s.ours }) }),
		column("ours / floor", func(r result) string { return r.ratio(r.floor, overFloor) }),
		column("peer / ours", func(r result) string { return r.ratio(r.peer, fasterThanPeer) }),
		column("messages/s", result.rate),
		column("allocs", result.allocations),
		column("gate", func(r result) string { return list(r.gates, bound.String) }),
		column("target", func(r result) string { return list(r.targets, r.target) }),
		column("verdict", func(r result) string { return r.verdict().String() }),
	}
	if !mixed {
		all = slices.Delete(all, 1, 2)
	}
	return slices.DeleteFunc(all, func(c []string) bool {
		return c[0] == "messages/s" && !slices.ContainsFunc(c[1:], func(cell string) bool { return cell != none })
	})
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

// floorCost tells of the control too.
func (r result) floorCost() string {
	s := r.cost(r.floor, func(s sample) float64 { return s.floor })
	if r.control != nil {
		s += fmt.Sprintf(" (again: %+.1f %%)", 100*median(r.samples, sample.offControl))
	}
	return s
}

func (r result) ratio(to *work, q quantity) string {
	if to == nil {
		return none
	}
	return number(median(r.samples, q.of))
}

func (r result) rate() string {
	x := median(r.samples, func(s sample) float64 { return s.rate })
	if x == 0 {
		return none
	}
	return number(x)
}

// grouped gives a large x with three digits that are not 0, in groups.
func grouped(x float64) string {
	s, scale := "", math.Pow10(max(0, int(math.Log10(x))-2))
	n := int(math.Round(x/scale)) * int(scale)
	for ; n >= 1000; n /= 1000 {
		s = fmt.Sprintf(",%03d%s", n%1000, s)
	}
	return strconv.Itoa(n) + s
}

func (r result) allocations() string {
	if r.allocs == uncounted {
		return none
	}
	s := count(r.ours.allocs)
	if r.peer != nil {
		s += fmt.Sprintf(" (peer %s)", count(r.peer.allocs))
	}
	return s
}

// held reports whether b held, without any slack.
func (r result) held(b bound) bool { return b.holds(median(r.samples, b.on.of), 1) }

// target tells a target and whether it is reached.
func (r result) target(b bound) string {
	if r.held(b) {
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
	case x < 0.1:
		return fmt.Sprintf("%.3f", x)
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	case x >= 10_000:
		return grouped(x)
	}
	return fmt.Sprintf("%.0f", x)
}

func count(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }
