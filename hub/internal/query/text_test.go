package query

import (
	"encoding/json"
	"testing"
)

// FuzzText compares what is found inside JSON text with what encoding/json finds,
// and looks into what is no JSON without trouble.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `{"a":1}`, ` { "a" : [ 1 , 2 ] , "b" : { "c" : "}" } } `, `{"a":1,"a":2}`, `{"\u0061":"\"]"}`, `{"a":"x\\","b":"y"}`,
		`[1,2,3]`, `[[1,[2]],{"a":[3]},"]",true,null,-1.5e3]`, `[ ]`, `[1`, `{"a"`, `{"a":`, `[}`, `{]`, `["\`, `{,}`, `[,]`, twin,
	} {
		f.Add(text, "a", 1)
	}
	f.Fuzz(func(t *testing.T, text, name string, i int) {
		if text == "" {
			return
		}
		if text[0] == '{' {
			found := memberOf(text, name)
			var want map[string]json.RawMessage
			if json.Unmarshal([]byte(text), &want) == nil && !same(found, want[name]) {
				t.Fatalf("member %q of %s is %+v", name, text, found)
			}
		}
		if text[0] == '[' {
			found, n := elementOf(text, i)
			var want []json.RawMessage
			if json.Unmarshal([]byte(text), &want) != nil {
				return
			}
			if i < 0 || i >= len(want) {
				if found != "" || n != len(want) {
					t.Fatalf("element %d of %s is %q, %d", i, text, found, n)
				}
			} else if found != string(want[i]) {
				t.Fatalf("element %d of %s is %q", i, text, found)
			}
		}
	})
}

// same reports whether a value is what this JSON says; "" is undefined.
func same(v Value, want json.RawMessage) bool {
	if len(want) == 0 || v.kind == undefined {
		// a number that does not fit 64 bits is none
		return v.kind == undefined && (len(want) == 0 || JSON(string(want)).kind == undefined)
	}
	var a, b any
	return json.Unmarshal(v.appendJSON(nil), &a) == nil && json.Unmarshal(want, &b) == nil && jsonEqual(a, b)
}

func jsonEqual(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}
