package main

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire/bench/results"
)

// The chart has a group of bars for each row of the results that is about CPU
// time and has a peer. The scale is logarithmic, and grows by whole decades.

// Sizes, in pixels.
const (
	width    = 800
	margin   = 20
	head     = 74 // above the first group
	left     = 150
	right    = 80 // for a figure behind the longest bar
	barSize  = 13
	barStep  = 17
	titleRow = 20 // of a group, above its bars
	groupGap = 14
	foot     = 34 // below the last group, for the scale
)

// unitPrefix is what the unit of a row begins with that is drawn.
const unitPrefix = "µs of "

// style is for light and dark.
const style = `<style>
svg{--back:#fff;--text:#1f2328;--faint:#59636e;--line:#d1d9e0;--floor:#8c959f;--ours:#0969da;--peer:#bc4c00}
@media (prefers-color-scheme:dark){svg{--back:#0d1117;--text:#f0f6fc;--faint:#9198a1;--line:#3d444d;--floor:#656c76;--ours:#4493f8;--peer:#db6d28}}
text{font:12px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:var(--text)}
.back{fill:var(--back)}.faint{fill:var(--faint)}.title{font-size:16px;font-weight:600}.work{font-weight:600}
.line{stroke:var(--line)}.floor{fill:var(--floor)}.ours{fill:var(--ours)}.peer{fill:var(--peer)}
</style>`

// bar is one figure of a row.
type bar struct {
	class, name string
	value       float64
}

func bars(r results.Row) []bar {
	var all []bar
	if r.Floor != nil {
		all = append(all, bar{"floor", "floor: " + r.Floor.Name, r.Floor.Median})
	}
	return append(all, bar{"ours", "hubwire", r.Ours.Median}, bar{"peer", r.Peer.Name, r.Peer.Median})
}

// draw returns run as an SVG.
func draw(run *results.Run) ([]byte, error) {
	var rows []results.Row
	for _, r := range run.Rows {
		if strings.HasPrefix(r.Unit, unitPrefix) && r.Peer != nil {
			rows = append(rows, r)
		}
	}
	scale, err := scaleFor(rows)
	if err != nil {
		return nil, err
	}
	height := head + foot
	for _, r := range rows {
		height += titleRow + barStep*len(bars(r)) + groupGap
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %d" role="img">`+"\n", width, height, height)
	fmt.Fprintf(&b, "<title>CPU time for one message</title>\n%s\n", style)
	fmt.Fprintf(&b, `<rect class="back" width="%d" height="%d"/>`+"\n", width, height)
	text(&b, "title", margin, 30, "start", "CPU time for one message: less is better")
	text(&b, "faint", margin, 50, "start", about(run))
	scale.draw(&b, height-foot)
	y := head
	for _, r := range rows {
		text(&b, "work", margin, y+12, "start", r.Name+" ("+strings.TrimPrefix(r.Unit, unitPrefix)+")")
		y += titleRow
		for _, bar := range bars(r) {
			bar.draw(&b, scale, y)
			y += barStep
		}
		y += groupGap
	}
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

// about tells when and where.
func about(run *results.Run) string {
	s := fmt.Sprintf("%s · %s · %s · median of %d rounds", run.Date, run.Machine, run.Go, run.Rounds)
	if !run.Quiet {
		s += " on a busy machine"
	}
	return s + " · the scale is logarithmic"
}

func (r bar) draw(b *bytes.Buffer, s scale, y int) {
	end := s.at(r.value)
	text(b, "faint", left-8, y+barSize-2, "end", r.name)
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", r.class, left, y, end-left, barSize)
	text(b, "", end+6, y+barSize-2, "start", number(r.value)+" µs")
}

func text[T int | float64](b *bytes.Buffer, class string, x T, y int, anchor, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%v" y="%d" text-anchor="%s">%s</text>`+"\n",
		class, math.Round(float64(x)*10)/10, y, anchor, html.EscapeString(s))
}

// scale is the decades from 10^low to 10^high.
type scale struct{ low, high int }

// scaleFor finds the decades that hold all figures, the least well above its start.
func scaleFor(rows []results.Row) (s scale, err error) {
	least, most := math.Inf(1), 0.0
	for _, r := range rows {
		for _, bar := range bars(r) {
			least, most = min(least, bar.value), max(most, bar.value)
		}
	}
	if !(least > 0) || math.IsInf(most, 0) || math.IsInf(least, 0) {
		return s, errors.New("no row is about CPU time and has a peer, or one took no time")
	}
	s.low = int(math.Floor(math.Log10(least / 2)))
	s.high = max(s.low+1, int(math.Ceil(math.Log10(most))))
	return s, nil
}

// at is where x lies, in pixels from the left.
func (s scale) at(x float64) float64 {
	return left + (math.Log10(x)-float64(s.low))/float64(s.high-s.low)*(width-right-left)
}

// draw draws a line for each decade, down to y.
func (s scale) draw(b *bytes.Buffer, y int) {
	for e := s.low; e <= s.high; e++ {
		x := s.at(math.Pow10(e))
		fmt.Fprintf(b, `<path class="line" d="M%.1f %dV%d"/>`+"\n", x, head-8, y)
		text(b, "faint", x, y+18, "middle", strconv.FormatFloat(math.Pow10(e), 'f', -1, 64)+" µs")
	}
}

// number gives x with three digits that matter.
func number(x float64) string {
	digits := max(0, 2-int(math.Floor(math.Log10(x))))
	return strconv.FormatFloat(x, 'f', min(3, digits), 64)
}
