package httpfront

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
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

// TestIdentityOfAPath has ids that are words of paths, too.
func TestIdentityOfAPath(t *testing.T) {
	tests := []struct {
		path []string
		want hubwire.Identity
	}{
		{[]string{"devices", "d"}, dev},
		{[]string{"twins", "d", "Modules", "m"}, mod},
		{[]string{"twins", "d", "methods"}, dev},
		{[]string{"twins", "d", "modules", "m", "methods"}, mod},
		{[]string{"devices", "d", "messages", "devicebound"}, dev},
		{[]string{"devices", "d", "modules", "m", "messages", "devicebound"}, mod},
		{[]string{"twins", "modules", "methods"}, hubwire.Identity{DeviceID: "modules"}},
		{[]string{"twins", "d", "modules", "methods"}, hubwire.Identity{DeviceID: "d", ModuleID: "methods"}},
	}
	for _, tt := range tests {
		if got := (&request{path: tt.path}).identity(); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestIsPatch(t *testing.T) {
	for _, tt := range []struct {
		method, override string
		want             bool
	}{
		{"POST", "PATCH", true},
		{"POST", "patch", true},
		{"POST", "", false},
		{"POST", "DELETE", false},
		{"PUT", "PATCH", false},
	} {
		r := &http.Request{Method: tt.method, Header: http.Header{"X-Http-Method-Override": {tt.override}}}
		if got := isPatch(r); got != tt.want {
			t.Errorf("%s as %q: %v", tt.method, tt.override, got)
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
