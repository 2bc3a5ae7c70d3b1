package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	full := &row{
		name: "encode", floor: &work{name: "memcpy"}, peer: &work{name: "Küche", allocs: 29}, ours: &work{},
		gates: []bound{atLeast(10)}, targets: []bound{atLeast(20), atMost(2)},
	}
	bare := &row{name: "refuse", ours: &work{allocs: 0.001}}
	got := table([]result{
		{row: full, samples: []sample{{floor: 5, peer: 1234, ours: 100}, {floor: 5, peer: 1234, ours: 10}, {floor: 5, peer: 1234, ours: 10}}},
		{row: bare, samples: []sample{{ours: 55.55}}, alloc: missed},
	})
	want := `| work   | floor, ns   | peer, ns   | ours, ns | ours / floor | peer / ours | allocs      | gate             | target                                       | verdict |
|--------|-------------|------------|----------|--------------|-------------|-------------|------------------|----------------------------------------------|---------|
| encode | 5.00 memcpy | 1234 Küche | 10.0     | 2.00         | 123         | 0 (peer 29) | peer / ours ≥ 10 | peer / ours ≥ 20: yes, ours / floor ≤ 2: yes | met     |
| refuse | –           | –          | 55.5     | –            | –           | 0.001       | –                | –                                            | missed  |
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTableOfSeveralUnits(t *testing.T) {
	floor := &work{name: "raw"}
	serial := &row{
		name: "one at a time", figure: figure{unit: "µs"}, floor: floor, control: &work{}, ours: &work{}, allocs: uncounted,
		gates: []bound{atMost(1.06)},
	}
	out := &row{name: "out", figure: figure{unit: "messages/s"}, ours: &work{}, allocs: uncounted, gates: []bound{oursAtLeast(100_000)}}
	got := table([]result{
		{row: serial, samples: []sample{{floor: 40, control: 39, ours: 42, rate: 23_809}}, gate: noisy},
		{row: out, samples: []sample{{ours: 1_234_567, rate: 1_234_567}}},
	})
	want := `| work          | in         | floor                    | peer | ours      | ours / floor | peer / ours | messages/s | allocs | gate                | target | verdict |
|---------------|------------|--------------------------|------|-----------|--------------|-------------|------------|--------|---------------------|--------|---------|
| one at a time | µs         | 40.0 raw (again: -2.5 %) | –    | 42.0      | 1.05         | –           | 23,800     | –      | ours / floor ≤ 1.06 | –      | noisy   |
| out           | messages/s | –                        | –    | 1,230,000 | –            | –           | 1,230,000  | –      | ours ≥ 100000       | –      | met     |
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		x    float64
		want string
	}{
		{0.0664, "0.066"}, {0.5, "0.50"}, {9.994, "9.99"}, {12.34, "12.3"}, {123.4, "123"}, {9_999, "9999"},
		{10_000, "10,000"}, {99_950, "100,000"}, {1_005_000, "1,010,000"}, {123_456_789, "123,000,000"},
	} {
		if got := number(tt.x); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.x, got, tt.want)
		}
	}
}
