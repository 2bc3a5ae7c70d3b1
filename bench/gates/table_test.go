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
