package httpfront

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitPath(t *testing.T) {
	tests := []struct {
		escaped string
		want    []string // nil for an error
	}{
		{"/", []string{""}},
		{"", []string{""}},
		{"*", []string{"*"}},
		{"/devices", []string{"devices"}},
		{"/devices/", []string{"devices"}},
		{"//devices//", []string{"devices"}},
		{"/devices//modules", []string{"devices", "", "modules"}},
		{"/devices/a%2Fb", []string{"devices", "a/b"}},
		{"/devices/a%252Fb", []string{"devices", "a%2Fb"}}, // once
		{"/devices/a+b", []string{"devices", "a+b"}},
		{"/devices/%27%2a", []string{"devices", "'*"}},
		{"/devices/..", []string{"devices", ".."}},
		{"/devices/%zz", nil},
		{"/devices/%2", nil},
	}
	for _, tt := range tests {
		t.Run(tt.escaped, func(t *testing.T) {
			got, err := splitPath(tt.escaped)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err == nil) != (tt.want != nil) {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

func TestRequestIs(t *testing.T) {
	tests := []struct {
		path, form []string
		want       bool
	}{
		{[]string{"devices"}, []string{"devices"}, true},
		{[]string{"Devices"}, []string{"devices"}, true},
		{[]string{"devices", "x"}, []string{"devices"}, false},
		{[]string{"devices"}, []string{"devices", "*"}, false},
		{[]string{"devices", "x"}, []string{"devices", "*"}, true},
		{[]string{"devices", "*"}, []string{"devices", "*"}, true},
		{[]string{"devices", ""}, []string{"devices", "*"}, false},
		{[]string{"twins", "x"}, []string{"devices", "*"}, false},
	}
	for _, tt := range tests {
		if got := (&request{path: tt.path}).is(tt.form...); got != tt.want {
			t.Errorf("%q is %q: %v", tt.path, tt.form, got)
		}
	}
}

// TestIfMatch has the forms in which the SDKs send an etag.
func TestIfMatch(t *testing.T) {
	for header, want := range map[string]string{
		`*`:           "*",
		`"*"`:         "*",
		`"MTIz=="`:    "MTIz==",
		`MTIz==`:      "MTIz==",
		` W/"MTIz" `:  "MTIz",
		`""`:          "",
		`"`:           `"`,
		``:            "",
		`"a" , "b"`:   `a" , "b`, // lists are nobody's form: it matches nothing
		`"AAAA+/AA="`: "AAAA+/AA=",
	} {
		r := &request{Request: &http.Request{Header: http.Header{"If-Match": {header}}}}
		if got := r.ifMatch(); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestIsVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"2021-04-12":         true,
		"2016-11-14":         true,
		"2017-11-08-preview": true,
		"":                   false,
		"-preview":           false,
		"2021-04-1":          false,
		"2021-04-123":        false,
		"2021/04/12":         false,
		"2021-0a-12":         false,
		"latest":             false,
	} {
		if got := isVersion(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}
