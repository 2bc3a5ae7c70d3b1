package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire/bench/results"
)

// report is the results for others to read; see -json.
func report(all []result, rounds []round, o options) *results.Run {
	run := &results.Run{
		Date:    time.Now().UTC().Format(time.DateOnly),
		Machine: machine(),
		Go:      runtime.Version(),
		Strict:  o.strict,
		Rounds:  len(rounds),
		Quiet:   allQuiet(rounds),
	}
	for _, r := range all {
		run.Rows = append(run.Rows, r.report())
	}
	return run
}

// save writes the report to the file that o names, if it names one.
func (o options) save(all []result, rounds []round) error {
	if o.json == "" {
		return nil
	}
	var b bytes.Buffer
	if err := report(all, rounds, o).Write(&b); err != nil {
		return err
	}
	return os.WriteFile(o.json, b.Bytes(), 0o644)
}

// machine is what kind of one this is.
func machine() string {
	s := fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return s
	}
	if p := processor(info); p != "" {
		s += ", " + p
	}
	return s
}

// processor finds the first processor in /proc/cpuinfo, or returns "". In a virtual machine its name alone
// can stand for any of ten years.
func processor(info []byte) string {
	found := map[string]string{}
	for line := range strings.Lines(string(info)) {
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if _, before := found[name]; ok && !before {
			found[name] = strings.TrimSpace(value)
		}
	}
	p := found["model name"]
	if family, model := found["cpu family"], found["model"]; p != "" && family != "" && model != "" {
		p += fmt.Sprintf(" (family %s, model %s)", family, model)
	}
	return p
}

func (r result) report() results.Row {
	row := results.Row{
		Name:    r.name,
		Unit:    r.unit(),
		Floor:   r.report1(r.floor, func(s sample) float64 { return s.floor }),
		Peer:    r.report1(r.peer, func(s sample) float64 { return s.peer }),
		Ours:    *r.report1(r.ours, func(s sample) float64 { return s.ours }),
		Rate:    rounded(median(r.samples, func(s sample) float64 { return s.rate })),
		Gates:   r.claims(r.gates),
		Targets: r.claims(r.targets),
		Verdict: r.verdict().String(),
	}
	if r.floor != nil {
		row.OursToFloor = rounded(median(r.samples, sample.overFloor))
	}
	if r.peer != nil {
		row.PeerToOurs = rounded(median(r.samples, sample.fasterThanPeer))
	}
	if r.control != nil {
		row.Control = rounded(1 + median(r.samples, sample.offControl))
	}
	return row
}

// report1 is about one of r's works, or none.
func (r result) report1(w *work, of func(sample) float64) *results.Figure {
	if w == nil {
		return nil
	}
	f := &results.Figure{Name: w.name, Median: median(r.samples, of), Min: math.Inf(1), Max: math.Inf(-1)}
	for _, s := range r.samples {
		f.Min, f.Max = min(f.Min, of(s)), max(f.Max, of(s))
	}
	f.Median, f.Min, f.Max = rounded(f.Median), rounded(f.Min), rounded(f.Max)
	if r.allocs != uncounted {
		f.Allocs = &w.allocs
	}
	return f
}

// rounded leaves x the four digits that can mean something.
func rounded(x float64) float64 {
	y, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
	return y
}

func (r result) claims(bounds []bound) []results.Claim {
	var all []results.Claim
	for _, b := range bounds {
		all = append(all, results.Claim{Text: b.String(), Held: r.held(b)})
	}
	return all
}
