package device

import (
	"encoding/json"
	"testing"
)

func TestWithoutMember(t *testing.T) {
	for name, tt := range map[string]struct {
		object, want string // want is empty for an error
	}{
		"nothing to leave out":       {`{"a":1}`, `{"a":1}`},
		"an empty object":            {` { } `, `{}`},
		"all of it":                  {`{"$version":1,"$metadata":{}}`, `{}`},
		"the first":                  {`{"$version":1,"a":2}`, `{"a":2}`},
		"one in the middle":          {`{"a":1,"$version":2,"b":3}`, `{"a":1,"b":3}`},
		"only of the outer object":   {`{"a":{"$version":1}}`, `{"a":{"$version":1}}`},
		"values as they are":         {`{"a": 1.50e3 ,"b":"\u00e4<>", "c":[ 1 ]}`, `{"a":1.50e3,"b":"\u00e4<>","c":[ 1 ]}`},
		"names that need an escape":  {`{"<\"ä\n>":1,"":2}`, `{"<\"ä\n>":1,"":2}`},
		"a name that is an escape":   {`{"\u0024version":1,"a":2}`, `{"a":2}`},
		"the same name twice":        {`{"a":1,"a":2}`, `{"a":1,"a":2}`},
		"an array":                   {`[]`, ""},
		"null":                       {`null`, ""},
		"a text":                     {`"a"`, ""},
		"no JSON":                    {`{a}`, ""},
		"nothing":                    {``, ""},
		"a value that is cut off":    {`{"a":`, ""},
		"an object that is cut off":  {`{"a":1`, ""},
		"a comma too many":           {`{"a":1,}`, ""},
		"something behind it":        {`{} {}`, ""},
		"something broken behind it": {`{}]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := withoutMember([]byte(tt.object), "$version", "$metadata")
			if string(got) != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestTwinSection(t *testing.T) {
	s, err := twinSection(json.RawMessage(`{"a":1,"$version":7,"$metadata":{"$lastUpdated":"x"}}`))
	if err != nil || s.Version != 7 || string(s.JSON) != `{"a":1}` || s.Metadata != nil {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{``, `null`, `[]`, `{"$version":"7"}`, `{"$version":1.5}`, `{`} {
		if s, err := twinSection(json.RawMessage(bad)); err == nil || s.Version != 0 || s.JSON != nil {
			t.Errorf("%q: %+v, %v", bad, s, err)
		}
	}
}
