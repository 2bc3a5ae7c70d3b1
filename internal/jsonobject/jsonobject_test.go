package jsonobject

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEach(t *testing.T) {
	errStop := errors.New("stop")
	for _, tt := range []struct {
		name, object string
		want         []string
		err          error // nil for success; errAny for one of encoding/json
	}{
		{"members in order, values as they are", ` {"b": 1e2 ,"a":[1, 2],"b":{"c":null}} `, []string{"b=1e2", "a=[1, 2]", `b={"c":null}`}, nil},
		{"no member", `{}`, nil, nil},
		{"an escaped name", `{"\u0061":0}`, []string{"a=0"}, nil},
		{"f has enough", `{"a":0,"stop":0,"b":0}`, []string{"a=0"}, errStop},
		{"nothing", ``, nil, ErrNotObject},
		{"an array", `[]`, nil, ErrNotObject},
		{"null", `null`, nil, ErrNotObject},
		{"more behind it", `{"a":0}{}`, []string{"a=0"}, ErrNotObject},
		{"cut off in a value", `{"a":0,"b":`, []string{"a=0"}, errAny},
		{"cut off behind a value", `{"a":0`, []string{"a=0"}, errAny},
		{"a name that is none", `{1:0}`, nil, errAny},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			err := Each([]byte(tt.object), func(name string, value json.RawMessage) error {
				if name == "stop" {
					return errStop
				}
				got = append(got, name+"="+string(value))
				return nil
			})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
			if tt.err == errAny && err != nil {
				return
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
		})
	}
}

// errAny stands for an error that is encoding/json's to word.
var errAny = errors.New("any")

func TestIndexDeeper(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		limit      int
		want       int
	}{
		{"a number has no depth", `1`, 0, -1},
		{"one object", `{}`, 0, 0},
		{"as deep as may be", `[{"a":[1]}]`, 3, -1},
		{"one deeper", `[{"a":[1]}]`, 2, 6},
		{"side by side", `[[],{},[]]`, 2, -1},
		{"brackets in a string", `["[{[{"]`, 1, -1},
		{"behind an escaped quote", `["\"[[",[[]]]`, 2, 9},
		{"behind an escaped backslash", `["\\",[[]]]`, 2, 7},
		{"cut off in an escape", `["\`, 1, -1},
		{"nothing", ``, 0, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := IndexDeeper([]byte(tt.text), tt.limit); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}
