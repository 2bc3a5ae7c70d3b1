package main

import (
	"errors"
	"fmt"
	"io"
)

// measure measures the contests, prints the table, and returns what to exit with.
func measure(contests []contest, o options, out, progress io.Writer) int {
	var rows []*row
	for _, c := range contests {
		if err := c.ready(o.rounds); err != nil {
			return wrong(err, progress)
		}
		rows = append(rows, c.rows()...)
	}
	rounds, err := collect(o, func() (round, error) { return runRound(contests) }, progress)
	if err != nil {
		return wrong(err, progress)
	}
	counting := quietest(rounds, o.rounds)
	results := judgeRows(rows, counting, o)
	fmt.Fprintf(progress, "on %s\n", machine())
	fmt.Fprint(out, table(results))
	if err := o.save(results, counting); err != nil {
		fmt.Fprintln(progress, "gates:", err)
		return exitUnsaid
	}
	return conclude(results, allQuiet(counting), o, out)
}

// wrong tells of what makes it pointless to tell of anything else. That this
// system cannot measure it is not a wrong result.
func wrong(err error, progress io.Writer) int {
	if errors.Is(err, errors.ErrUnsupported) {
		fmt.Fprintln(progress, "gates:", err)
		return exitUnsaid
	}
	fmt.Fprintln(progress, "gates: wrong result:", err)
	return exitMissed
}

// collect runs rounds until as many as o wants were quiet, within bounds.
func collect(o options, run func() (round, error), progress io.Writer) ([]round, error) {
	var rounds []round
	for quiet := 0; quiet < o.rounds && len(rounds) < o.tries()*o.rounds; {
		r, err := run()
		if err != nil {
			return nil, err
		}
		if r.quiet() {
			quiet++
		}
		rounds = append(rounds, r)
		fmt.Fprintf(progress, "round %d: the rest of the machine used %.0f %% of a core; %d of %d were quiet\n",
			len(rounds), 100*r.others, quiet, o.rounds)
	}
	return rounds, nil
}

// runRound measures every row, each contest on its own.
func runRound(contests []contest) (r round, err error) {
	r.others = during(func() {
		for _, c := range contests {
			samples, cerr := c.round()
			err = errors.Join(err, cerr)
			r.samples = append(r.samples, samples...)
		}
	})
	return r, err
}

// result is what came out for a row.
type result struct {
	*row
	samples []sample // of the rounds that count
	gate    verdict  // of the gates
	alloc   verdict  // of the allocations
}

func judgeRows(rows []*row, rounds []round, o options) []result {
	var all []result
	for i, r := range rows {
		res := result{row: r, alloc: judgeAllocs(r.ours.allocs, r.allocs)}
		for _, round := range rounds {
			res.samples = append(res.samples, round.samples[i]...)
		}
		sure := r.steady || allQuiet(rounds) && r.controlled(res.samples)
		for _, b := range r.gates {
			res.gate = max(res.gate, judge(b, res.samples, sure, r.options(o)))
		}
		all = append(all, res)
	}
	return all
}

// options are those to judge r by.
func (r *row) options(o options) options {
	o.strict = o.strict || r.steady
	return o
}

func (r result) verdict() verdict { return max(r.gate, r.alloc) }

// conclude says it all in one line and returns what to exit with. A gate that is
// missed is missed, whatever the noise makes of the others.
func conclude(results []result, quiet bool, o options, out io.Writer) int {
	count := map[verdict]int{}
	for _, r := range results {
		count[r.verdict()]++
	}
	fmt.Fprintf(out, "\n%d met, %d missed, %d too noisy to say", count[met], count[missed], count[noisy])
	if !o.strict {
		fmt.Fprint(out, "; ratios had twice the room (without -strict)")
	}
	if !quiet {
		fmt.Fprint(out, "; the machine was noisy")
	}
	fmt.Fprintln(out)
	switch {
	case count[missed] > 0:
		return exitMissed
	case count[noisy] > 0:
		return exitUnsaid
	}
	return exitMet
}
