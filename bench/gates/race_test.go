package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestATurnWhoseCountsDisagreeIsWrong(t *testing.T) {
	for _, tt := range []struct {
		client, server string
		n              int
		says           string
	}{
		{"counter", "generous", 7, ""},
		{"counter", "generous", 6, "generous: 7 of the 6 messages of counter came in"},
		{"miserly", "generous", 7, "miserly: 0 of 7 messages were acknowledged"},
		{"generous", "generous", 6, "generous: 7 of 6 messages were acknowledged"},
		{"sick", "generous", 7, "sick: run: out of breath"},
		{"quitter", "generous", 7, "quitter: run: no answer: EOF"},
	} {
		r := new(race)
		server := r.server(tt.server)
		r.client("", tt.client, server, setup{})
		if r.err != nil {
			t.Fatal(r.err)
		}
		w := r.runners[0]
		w.n = tt.n
		if _, err := w.stretch(); errorText(err) != tt.says {
			t.Errorf("%s with %s: %v, want %q", tt.client, tt.server, err, tt.says)
		}
		r.close()
	}
}

func TestARaceWithoutAProcess(t *testing.T) {
	r := new(race)
	w := r.client("ours", "counter", r.server("failure"), setup{})
	if w == nil || errorText(r.err) != "failure: start: no such luck" || len(r.runners) > 0 {
		t.Errorf("%v, %v, %d runners", w, r.err, len(r.runners))
	}
	r.close()
	if left := children.list(); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

func TestFigures(t *testing.T) {
	s := stretch{
		n:      1000,
		client: usage{CPU: 3 * time.Millisecond, Wall: 10 * time.Millisecond, Allocs: 1009, RSS: 2048_000, Goroutines: 1004},
		server: usage{CPU: 5 * time.Millisecond},
	}
	for _, tt := range []struct {
		figure figure
		want   float64
	}{
		{clientCPU, 3}, {serverCPU, 5}, {wallTime, 10}, {rate, 100_000}, {residentSet, 2}, {goroutines, 1},
	} {
		if got := tt.figure.of(s); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.figure.unit, got, tt.want)
		}
	}
	if got := s.allocs(); got != 1 {
		t.Errorf("%v allocations, want 1", got)
	}
	twice := stretch{n: 2000, client: usage{
		CPU: 6 * time.Millisecond, Wall: 20 * time.Millisecond, Allocs: 2018, RSS: 4096_000, Goroutines: 2008,
	}, server: usage{CPU: 10 * time.Millisecond}}
	if d := cmp.Diff(twice, s.plus(s), cmp.AllowUnexported(stretch{})); d != "" {
		t.Errorf("two stretches (-want +got):\n%s", d)
	}
}
