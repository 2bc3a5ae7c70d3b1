package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		verbose, ok    bool
	}{
		{"checks are tests without tests of their own", `{"Action":"run","Test":"TestNode"}
{"Action":"run","Test":"TestNode/a"}
{"Action":"run","Test":"TestNode/a/b_c"}
{"Action":"output","Test":"TestNode/a/b_c","Output":"    quiet\n"}
{"Action":"pass","Test":"TestNode/a/b_c","Elapsed":0.25}
{"Action":"pass","Test":"TestNode/a"}
{"Action":"pass","Test":"TestNode"}
{"Action":"run","Test":"TestRhea"}
{"Action":"skip","Test":"TestRhea"}
{"Action":"pass"}
`, "pass TestNode/a/b c (0.2 s)\nskip TestRhea (0.0 s)\nnpm, at a hub that is looked into: 1 passed, 0 failed\nrhea: 0 passed, 0 failed, 1 skipped\ntotal: 1 passed, 0 failed, 1 skipped\n", true, true},
		{"what failed is told in its own words", `{"Action":"run","Test":"TestNpmX"}
{"Action":"output","Test":"TestNpmX","Output":"=== RUN   TestNpmX\n"}
{"Action":"output","Test":"TestNpmX","Output":"    it is 2\n"}
{"Action":"fail","Test":"TestNpmX"}
{"Action":"run","Test":"TestProgramY"}
{"Action":"pass","Test":"TestProgramY"}
{"Action":"fail"}
`, "    it is 2\nnpm, at both ends of hubwire hub: 1 passed, 1 failed\ntotal: 1 passed, 1 failed\n", false, false},
		{"a package that fails without a check that does", `{"Action":"run","Test":"TestNpmX"}
{"Action":"pass","Test":"TestNpmX"}
{"Action":"output","Output":"the hub did not end\n"}
{"Action":"fail"}
`, "the hub did not end\nnpm, at both ends of hubwire hub: 1 passed, 0 failed\ntotal: 1 passed, 0 failed\n", false, false},
		{"what does not build", "{\"Action\":\"build-output\",\"Output\":\"x.go:1: no\\n\"}\nnot JSON\n", "x.go:1: no\nnot JSON\ntotal: 0 passed, 0 failed\n", false, false},
		{"no check is no success", "", "total: 0 passed, 0 failed\n", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			b := &board{out: &out, verbose: tt.verbose, words: map[string][]string{}, parents: map[string]bool{}, suites: map[string]*score{}}
			if err := b.read(strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			if ok := b.tell(); ok != tt.ok {
				t.Errorf("ok is %v", ok)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("output (-want +got)\n%s", diff)
			}
		})
	}
}
