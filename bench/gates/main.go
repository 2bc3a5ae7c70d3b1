// Gates measures the toolkit against its peers and against its floors, which
// are what the work costs at the least, and says whether it is as fast as it
// promises to be:
//
//	go run ./bench/gates [-only codec|mqtt|fleet|https|amqp] [-row text] [-rounds 6] [-strict] [-json file]
//
// A round measures floor, peer and ours of every row one after the other, and
// counts when the rest of the machine was idle meanwhile: a gate is on the
// median of their ratios, so that neither the machine nor the phase that its
// clock is in matters. Codecs run in this process; what has two ends runs in
// processes of its own, so that the CPU time of each end is known. Without -strict, ratios have twice the
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

// group is a set of rows with gates. open makes their contests; an error is that
// floor, peer and ours do not give the same results.
type group struct {
	name string
	open func() ([]contest, error) // nil while the group has none
}

var groups = []group{
	{"codec", eachAlone(codecRows)},
	{"mqtt", openMQTT},
	{"fleet", openFleet},
	{"https", openHTTPS},
	{"amqp", openAMQP},
}

func main() {
	if name, ok := os.LookupEnv(roleEnv); ok {
		os.Exit(playNamed(name))
	}
	os.Exit(run(os.Args[1:], groups, os.Stdout, os.Stderr))
}

// playNamed is what this program does as one of its own children.
func playNamed(name string) int {
	err := fmt.Errorf("no role is called %q", name)
	if r, ok := roles[name]; ok {
		err = play(r, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gates:", err)
		return exitUnsaid
	}
	return exitMet
}

func run(args []string, groups []group, out, progress io.Writer) int {
	opts, err := parseFlags(args, groups, progress)
	if err != nil {
		return exitUnsaid // package flag has said why
	}
	chosen, err := choose(groups, opts.only)
	if err != nil {
		fmt.Fprintln(progress, "gates:", err)
		return exitUnsaid
	}
	var contests []contest
	defer func() {
		for _, c := range contests {
			c.close()
		}
	}()
	for _, g := range chosen {
		more, err := g.open()
		contests = append(contests, more...)
		if err != nil {
			return wrong(fmt.Errorf("%s: %w", g.name, err), progress)
		}
	}
	wanted := having(contests, opts.row)
	if len(wanted) == 0 {
		fmt.Fprintf(progress, "gates: -row %s: there is none\n", opts.row)
		return exitUnsaid
	}
	return measure(wanted, opts, out, progress)
}

// having returns the contests with a row whose name has text in it.
func having(contests []contest, text string) []contest {
	return slices.DeleteFunc(slices.Clone(contests), func(c contest) bool {
		return !slices.ContainsFunc(c.rows(), func(r *row) bool { return strings.Contains(r.name, text) })
	})
}

// options is what to measure, and how to do it and to judge.
type options struct {
	only, row string
	rounds    int
	strict    bool
	json      string // a file for the results, or ""
}

func parseFlags(args []string, groups []group, usage io.Writer) (opts options, err error) {
	fs := flag.NewFlagSet("gates", flag.ContinueOnError)
	fs.SetOutput(usage)
	fs.StringVar(&opts.row, "row", "", "measure only what has a row with `text` in its name, and what is measured with it")
	fs.StringVar(&opts.only, "only", "", "the `group` to measure: "+groupNames(groups)+"; if empty, all that have gates")
	fs.Func("rounds", "`how many` rounds to judge by (default 6)", func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return errors.New("want a number from 1 up")
		}
		opts.rounds = n
		return nil
	})
	opts.rounds = 6
	fs.StringVar(&opts.json, "json", "", "write the results to `file` too")
	fs.BoolVar(&opts.strict, "strict", false, "hold the gates as they are, and on an idle machine only")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(usage, "gates: unknown argument %q\n", fs.Arg(0))
		return opts, flag.ErrHelp
	}
	return opts, nil
}

func choose(groups []group, only string) ([]group, error) {
	if only == "" {
		return slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.open == nil }), nil
	}
	i := slices.IndexFunc(groups, func(g group) bool { return g.name == only })
	switch {
	case i < 0:
		return nil, fmt.Errorf("-only %s: no such group; there are %s", only, groupNames(groups))
	case groups[i].open == nil:
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
