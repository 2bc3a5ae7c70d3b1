package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire/bench/results"
)

func TestReport(t *testing.T) {
	none, many := 0.0, 41.0
	of := &row{
		name: "publish", figure: figure{unit: "µs of client CPU"},
		floor: &work{name: "socket"}, peer: &work{name: "paho", allocs: many}, ours: &work{}, control: &work{},
		gates: []bound{atMost(4)}, targets: []bound{atMost(2)},
	}
	file := filepath.Join(t.TempDir(), "results.json")
	o := options{strict: true, json: file}
	samples := []sample{
		{floor: 1, control: 1.1, ours: 3, peer: 60, rate: 5},
		{floor: 1, control: 1.1, ours: 3, peer: 60, rate: 5},
		{floor: 2, control: 2.2, ours: 4.00005, peer: 90, rate: 7},
	}
	rounds := []round{{samples: [][]sample{samples}}}
	if err := o.save([]result{{row: of, samples: samples}}, rounds); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := results.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	want := &results.Run{Strict: true, Rounds: 1, Quiet: true, Rows: []results.Row{{
		Name: "publish", Unit: "µs of client CPU",
		Floor:       &results.Figure{Name: "socket", Median: 1, Min: 1, Max: 2, Allocs: &none},
		Peer:        &results.Figure{Name: "paho", Median: 60, Min: 60, Max: 90, Allocs: &many},
		Ours:        results.Figure{Median: 3, Min: 3, Max: 4, Allocs: &none},
		OursToFloor: 3, PeerToOurs: 20, Rate: 5, Control: 1.1,
		Gates:   []results.Claim{{Text: "ours / floor ≤ 4", Held: true}},
		Targets: []results.Claim{{Text: "ours / floor ≤ 2", Held: false}},
		Verdict: "met",
	}}}
	about := cmpopts.IgnoreFields(results.Run{}, "Date", "Machine", "Go")
	if d := cmp.Diff(want, got, about); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got.Date == "" || got.Machine == "" || got.Go == "" {
		t.Errorf("it does not say where and when: %+v", got)
	}
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	o := options{json: filepath.Join(t.TempDir(), "no", "such", "place.json")}
	if err := o.save(nil, nil); !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestProcessor(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"the first one", "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nmodel\t\t: 1\nmodel name\t: other\n", "AMD EPYC (family 25, model 17)"},
		{"without a family", "processor\t: 0\nmodel name\t: ARMv7 Processor rev 3 (v7l)\n", "ARMv7 Processor rev 3 (v7l)"},
		{"none", "processor\t: 0\nBogoMIPS\t: 50.00\n", ""},
		{"nothing", "", ""},
	} {
		if got := processor([]byte(tt.in)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
