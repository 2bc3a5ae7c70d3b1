package results_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/bench/results"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	none := 0.0
	want := &results.Run{
		Date: "2026-11-26", Machine: "linux/amd64", Go: "go1.26", Strict: true, Rounds: 6, Quiet: true,
		Rows: []results.Row{{
			Name: "publish", Unit: "µs", Floor: &results.Figure{Name: "socket", Median: 1, Min: 0.5, Max: 2},
			Ours: results.Figure{Median: 3, Min: 3, Max: 3, Allocs: &none}, OursToFloor: 3,
			Gates: []results.Claim{{Text: "ours / floor ≤ 4", Held: true}}, Verdict: "met",
		}},
	}
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, `"allocs": 0`) || strings.Contains(s, `"peer"`) {
		t.Errorf("0 allocations must show, and no peer must not:\n%s", s)
	}
	got, err := results.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWhatIsNotResultsIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, in string }{
		{"nothing", ""},
		{"cut off", `{"date":`},
		{"something else", `{"speed": 3}`},
		{"of another form", `{"rows": 3}`},
	} {
		if _, err := results.Read(strings.NewReader(tt.in)); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}
