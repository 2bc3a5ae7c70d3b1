package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Issue 2's table: what each piece of work is held to.
func TestTheGatesOfTheCodecs(t *testing.T) {
	want := map[string][]bound{
		"telemetry topic, 7 properties, escaped":  {atLeast(10)},
		"C2D topic to 6 unescaped properties":     {atLeast(5)},
		"method request, parse":                   {atLeast(15)},
		"method response, build":                  {atLeast(4)},
		"twin response, parse":                    {atLeast(15)},
		"SAS token, signer reused":                {atMost(2.1)},
		"PUBLISH 256 B, encode":                   {atLeast(6)},
		"PUBLISH 4 KiB, encode":                   {atLeast(2.2)},
		"PUBLISH 256 B, decode as a checked view": {atLeast(7)},
		"PUBLISH 4 KiB, decode as a checked view": {atMost(1.3)},
	}
	rows, err := codecRows()
	if err != nil {
		t.Fatal(err)
	}
	got, seen := map[string][]bound{}, map[string]bool{}
	for _, r := range rows {
		if seen[r.name] {
			t.Errorf("two rows are called %q", r.name)
		}
		seen[r.name] = true
		if len(r.gates) > 0 && r.gates[0] != atMost(1) { // not a refusal
			got[r.name] = r.gates
		}
		for _, w := range r.works() {
			w.run(3)
		}
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(bound{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestSpaceIsThatLongAndElsewhereEachTime(t *testing.T) {
	s := newSpace(100)
	seen := map[int]bool{}
	for range 50 {
		b := s.next()
		if len(b) != 0 || cap(b) != 100 {
			t.Fatalf("%d bytes, room for %d", len(b), cap(b))
		}
		if seen[s.at] {
			t.Fatalf("offset %d once more", s.at)
		}
		seen[s.at] = true
	}
}
