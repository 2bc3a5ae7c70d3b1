package main

import (
	"testing"
	"time"
)

func TestEachRoundHasProcessesOfItsOwn(t *testing.T) {
	server, seen := "uncounted", map[int]bool{}
	a, err := eachRound(func() *race {
		r := &race{laps: 2, turn: time.Microsecond}
		r.of = []*row{{figure: wallTime, ours: r.client("", "counter", r.server(server), setup{})}}
		for _, p := range r.processes {
			seen[p.cmd.Process.Pid] = true
		}
		return r
	})()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		samples, err := a.round()
		if err != nil || len(samples) != 1 || len(samples[0]) != 2 || samples[0][0].ours <= 0 {
			t.Errorf("round %d: %v, %v", i, samples, err)
		}
		if left := children.list(); len(left) > 0 || len(seen) != 2*(i+1) {
			t.Errorf("after round %d: processes %v are left of %v", i, left, seen)
		}
	}
	server = "failure"
	if _, err := a.round(); errorText(err) != "failure: start: no such luck" {
		t.Errorf("a server that does not start: %v", err)
	}
	a.close()
}

func TestARoundThatDoesNotComeLeavesNoProcess(t *testing.T) {
	a, err := eachRound(func() *race {
		r := new(race)
		r.server("uncounted")
		return r
	})()
	if err != nil || len(children.list()) != 1 {
		t.Fatalf("%v, processes %v", err, children.list())
	}
	a.close()
	if left := children.list(); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}
