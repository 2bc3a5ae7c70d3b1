package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestRoundsAreRepeatedWithinBounds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		busy   string // each round, from the first: '-' is quiet, 'x' is not
		strict bool
		want   int // rounds
	}{
		{"no more than needed", "------", true, 2},
		{"a busy one is repeated", "x--", true, 3},
		{"and another", "-xx-", true, 4},
		{"but not without end", "xxxxxxxxxx", true, 6},
		{"one that was quiet is kept", "xxxx-xxxxx", true, 6},
		{"fewer times where noisy ones can count", "xxxxxxxxxx", false, 4},
	} {
		n := 0
		rounds, err := collect(options{rounds: 2, strict: tt.strict}, func() (round, error) {
			n++
			return round{others: map[byte]float64{'-': 0, 'x': 1}[tt.busy[n-1]]}, nil
		}, io.Discard)
		if len(rounds) != tt.want || n != tt.want || err != nil {
			t.Errorf("%s: %d rounds, %d returned, %v, want %d", tt.name, n, len(rounds), err, tt.want)
		}
	}
}

func TestConclusion(t *testing.T) {
	results := func(all ...verdict) (rs []result) {
		for _, v := range all {
			rs = append(rs, result{gate: v})
		}
		return rs
	}
	for _, tt := range []struct {
		name    string
		results []result
		quiet   bool
		strict  bool
		exit    int
		says    string
	}{
		{"all met", results(met, met), true, true, exitMet, "2 met, 0 missed, 0 too noisy to say\n"},
		{"one missed", results(met, missed), true, true, exitMissed, "1 met, 1 missed, 0 too noisy to say\n"},
		{"too noisy", results(met, noisy), false, true, exitUnsaid, "1 met, 0 missed, 1 too noisy to say; the machine was noisy\n"},
		{"missed whatever the noise", results(noisy, missed), false, true, exitMissed, "0 met, 1 missed, 1 too noisy to say; the machine was noisy\n"},
		{"an allocation too many", []result{{alloc: missed, gate: noisy}}, false, true, exitMissed, "1 missed"},
		{"noisy but met", results(met), false, false, exitMet, "twice the room (without -strict); the machine was noisy\n"},
	} {
		var out strings.Builder
		if got := conclude(tt.results, tt.quiet, options{strict: tt.strict}, &out); got != tt.exit || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: exit %d and %q, want %d and %q", tt.name, got, out.String(), tt.exit, tt.says)
		}
	}
}

// sinkTest keeps the work of these tests from being compiled away.
var sinkTest int

func spin(n int) {
	for i := range n {
		sinkTest += i
	}
}

func TestARunFromEndToEnd(t *testing.T) {
	garbage := func(n int) {
		for range n {
			sink.bytes = make([]byte, 64)
		}
	}
	for _, tt := range []struct {
		name string
		rows []*row
		err  error
		exit int
		says string
	}{
		{
			name: "allocations that are not allowed miss, whatever the time",
			rows: []*row{{name: "work", floor: &work{name: "spin", run: spin}, ours: &work{run: garbage}}},
			exit: exitMissed, says: "| missed",
		},
		{
			name: "a row without gates is met",
			rows: []*row{{name: "work", peer: &work{run: garbage}, ours: &work{run: spin}}},
			exit: exitMet, says: "| 0 (peer 1) |",
		},
		{name: "a wrong result misses", err: errors.New("17, not 42"), exit: exitMissed, says: "gates: wrong result: codec: 17, not 42\n"},
	} {
		var out strings.Builder
		all := []group{{"codec", eachAlone(func() ([]*row, error) { return tt.rows, tt.err })}}
		if got := run([]string{"-rounds", "1"}, all, &out, &out); got != tt.exit || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: exit %d, want %d and %q, output:\n%s", tt.name, got, tt.exit, tt.says, out.String())
		}
	}
}

// broken is a contest that goes wrong when it is ready, or in a round.
type broken struct {
	contest
	atOnce, later error
	closed        *bool
}

func (b broken) ready(int) error { return b.atOnce }

func (b broken) round() ([][]sample, error) { return nil, b.later }

func (b broken) close() { *b.closed = true }

func TestNothingIsReportedWhenAResultIsWrong(t *testing.T) {
	lost := errors.New("5 of 7 messages were acknowledged")
	missing := fmt.Errorf("pin: %w", errors.ErrUnsupported)
	rows := []*row{{name: "work", ours: &work{run: spin}}}
	for _, tt := range []struct {
		name string
		with broken
		exit int
		says string
	}{
		{"at the start", broken{contest: alone{rows[0]}, atOnce: lost}, exitMissed, "gates: wrong result: 5 of 7 messages were acknowledged\n"},
		{"in a round", broken{contest: alone{rows[0]}, later: lost}, exitMissed, "gates: wrong result: 5 of 7 messages were acknowledged\n"},
		{"or cannot be had on this system", broken{contest: alone{rows[0]}, atOnce: missing}, exitUnsaid, "gates: pin: unsupported operation\n"},
	} {
		var out, progress strings.Builder
		tt.with.closed = new(bool)
		all := []group{{"mqtt", func() ([]contest, error) { return []contest{tt.with}, nil }}}
		got := run([]string{"-rounds", "1"}, all, &out, &progress)
		if got != tt.exit || out.Len() > 0 || progress.String() != tt.says {
			t.Errorf("%s: exit %d, printed %q and %q, want %d and %q", tt.name, got, out.String(), progress.String(), tt.exit, tt.says)
		}
		if !*tt.with.closed {
			t.Errorf("%s: not closed", tt.name)
		}
	}
}

func TestRowsCanBeChosenByName(t *testing.T) {
	all := []group{{"codec", eachAlone(func() ([]*row, error) {
		return []*row{{name: "encode", ours: &work{run: spin}}, {name: "decode", ours: &work{run: spin}}}, nil
	})}}
	var out, progress strings.Builder
	if got := run([]string{"-rounds", "1", "-row", "enc"}, all, &out, &progress); got != exitMet ||
		!strings.Contains(out.String(), "| encode |") || strings.Contains(out.String(), "decode") {
		t.Errorf("exit %d, output:\n%s", got, out.String())
	}
	if got := run([]string{"-row", "none"}, all, &out, &progress); got != exitUnsaid || !strings.Contains(progress.String(), "-row none: there is none") {
		t.Errorf("exit %d and %q", got, progress.String())
	}
}

func TestUsage(t *testing.T) {
	all := []group{{"codec", nil}, {"mqtt", nil}}
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"no such group", []string{"-only", "wire"}, "no such group; there are codec, mqtt\n"},
		{"a group without gates", []string{"-only", "mqtt"}, "-only mqtt: this group has no gates yet\n"},
		{"no rounds", []string{"-rounds", "0"}, "want a number from 1 up"},
		{"rounds that are no number", []string{"-rounds", "six"}, "want a number from 1 up"},
		{"no such flag", []string{"-quick"}, "not defined: -quick"},
		{"an argument", []string{"codec"}, "unknown argument \"codec\"\n"},
		{"help", []string{"-h"}, "-only group"},
	} {
		var out, progress strings.Builder
		got := run(tt.args, all, &out, &progress)
		if got != exitUnsaid || out.Len() > 0 || !strings.Contains(progress.String(), tt.says) {
			t.Errorf("%s: exit %d, printed %q and %q, want %q", tt.name, got, out.String(), progress.String(), tt.says)
		}
	}
}
