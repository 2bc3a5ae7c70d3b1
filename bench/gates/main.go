// Gates measures the toolkit against its peers and against its floors, which
// are what the work costs at the least, and says whether it is as fast as it
// promises to be:
//
//	go run ./bench/gates [-only codec|mqtt|https|amqp] [-rounds 6] [-strict]
//
// A round measures floor, peer and ours of every row one after the other, in
// this process, and counts when the rest of the machine was idle meanwhile: a
// gate is on the median of the rounds' ratios, so that neither the machine nor
// the phase that its clock is in matters. Without -strict, ratios have twice the
// room, and rounds on a busy machine count too when idle ones can't be had.
// Allocations are exact either way.
//
// It exits 0 when every gate is met, 1 when one is missed or a result is wrong,
// and 2 when nothing can be said: the machine was too busy, the usage is wrong,
// or the group has no gates yet. (go run turns every failure into 1.)
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// What the program exits with.
const (
	exitMet = iota
	exitMissed
	exitUnsaid
)

// group is a set of rows with gates. rows makes them ready to be measured, after
// it has checked that floor, peer and ours give the same results.
type group struct {
	name string
	rows func() ([]*row, error) // nil while the group has none
}

var groups = []group{
	{"codec", codecRows},
	{"mqtt", nil}, // of these each process will run on its own, so that its CPU is known
	{"https", nil},
	{"amqp", nil},
}

func main() { os.Exit(run(os.Args[1:], groups, os.Stdout, os.Stderr)) }

func run(args []string, groups []group, out, progress io.Writer) int {
	opts, only, err := parseFlags(args, groups, progress)
	if err != nil {
		return exitUnsaid // package flag has said why
	}
	chosen, err := choose(groups, only)
	if err != nil {
		fmt.Fprintln(progress, "gates:", err)
		return exitUnsaid
	}
	var rows []*row
	for _, g := range chosen {
		r, err := g.rows()
		if err != nil {
			fmt.Fprintf(progress, "gates: %s: wrong result: %v\n", g.name, err)
			return exitMissed
		}
		rows = append(rows, r...)
	}
	return measure(rows, opts, out, progress)
}

// options is how to measure and to judge.
type options struct {
	rounds int
	strict bool
}

func parseFlags(args []string, groups []group, usage io.Writer) (opts options, only string, err error) {
	fs := flag.NewFlagSet("gates", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.StringVar(&only, "only", "", "the `group` to measure: "+groupNames(groups)+"; if empty, all that have gates")
	fs.Func("rounds", "`how many` rounds to judge by (default 6)", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return errors.New("want a number from 1 up")
		}
		opts.rounds = n
		return nil
	})
	opts.rounds = 6
	fs.BoolVar(&opts.strict, "strict", false, "hold the gates as they are, and on an idle machine only")
	if err := fs.Parse(args); err != nil {
		return opts, "", err
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(usage, "gates: unknown argument %q\n", fs.Arg(0))
		return opts, "", flag.ErrHelp
	}
	return opts, only, nil
}

func choose(groups []group, only string) ([]group, error) {
	if only == "" {
		return slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.rows == nil }), nil
	}
	i := slices.IndexFunc(groups, func(g group) bool { return g.name == only })
	switch {
	case i < 0:
		return nil, fmt.Errorf("-only %s: no such group; there are %s", only, groupNames(groups))
	case groups[i].rows == nil:
		return nil, fmt.Errorf("-only %s: this group has no gates yet", only)
	}
	return groups[i : i+1], nil
}

func groupNames(groups []group) string {
	var names []string
	for _, g := range groups {
		names = append(names, g.name)
	}
	return strings.Join(names, ", ")
}
