package main

import (
	"fmt"
	"io"
)

// measure measures the rows, prints the table, and returns what to exit with.
func measure(rows []*row, o options, out, progress io.Writer) int {
	for _, r := range rows {
		r.calibrate()
	}
	rounds := collect(o, func() round { return runRound(rows) }, progress)
	counting := quietest(rounds, o.rounds)
	results := judgeRows(rows, counting, o)
	fmt.Fprint(out, table(results))
	return conclude(results, allQuiet(counting), o, out)
}

// collect runs rounds until as many as o wants were quiet, within bounds.
func collect(o options, run func() round, progress io.Writer) []round {
	var rounds []round
	for quiet := 0; quiet < o.rounds && len(rounds) < o.tries()*o.rounds; {
		r := run()
		if r.quiet() {
			quiet++
		}
		rounds = append(rounds, r)
		fmt.Fprintf(progress, "round %d: the rest of the machine used %.0f %% of a core; %d of %d were quiet\n",
			len(rounds), 100*r.others, quiet, o.rounds)
	}
	return rounds
}

// runRound measures every row once.
func runRound(rows []*row) (r round) {
	r.others = during(func() {
		for _, row := range rows {
			r.samples = append(r.samples, row.sample())
		}
	})
	return r
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
			res.samples = append(res.samples, round.samples[i])
		}
		for _, b := range r.gates {
			res.gate = max(res.gate, judge(b, res.samples, allQuiet(rounds), o))
		}
		all = append(all, res)
	}
	return all
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
