package core

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/hubwire/hubwire"
)

// wantRefusal checks that err is typed and one of the client's.
func wantRefusal(t *testing.T, err error) {
	t.Helper()
	var e *hubwire.Error
	if !errors.As(err, &e) || e.Outcome != hubwire.Refused || e.Code.Status() != 400 {
		t.Fatalf("refused with %v", err)
	}
}

func FuzzDigitalTwinPatch(f *testing.F) {
	for _, s := range []string{
		`[]`, `[{"op":"add","path":"/a","value":1}]`, `[{"op":"remove","path":"/c/a"}]`, `[{"op":"replace","path":"/a~1b","value":{"$metadata":{},"x":[1,{"y":null}]}}]`,
		`[{"op":"add","path":"/c","value":null},{"op":"add","path":"/c/d","value":{}}]`, `[{"op":"test","path":"//"}]`, `[null]`, `{}`, `[{"op":"add","path":"/\ud800","value":"\u0000"}]`,
	} {
		f.Add([]byte(s))
	}
	c := newCore(f, nil)
	f.Fuzz(func(t *testing.T, patch []byte) {
		if _, err := c.PatchDigitalTwin(ctx, "dev", patch, ""); err != nil {
			wantRefusal(t, err)
		}
		doc, _, err := c.DigitalTwin(ctx, "dev")
		if err != nil || !json.Valid(doc) {
			t.Fatalf("%q makes %s, %v", patch, doc, err)
		}
	})
}

func FuzzConfigurationContent(f *testing.F) {
	for _, s := range []string{
		`{"deviceContent":{"properties.desired.a.b":{"c":[1]},"properties.desired.a":2}}`, `{"moduleContent":{"properties.desired":{"$version":3,"x":null}}}`,
		`{"modulesContent":{"$edgeAgent":{"properties.desired":{"modules":{"m":{}}}},"m":{"properties.desired.x":null}}}`, `{}`, `{"deviceContent":{"":1}}`,
		`{"deviceContent":{"properties.desired.a\"b.c\\d":"\ud800"}}`, `{"modulesContent":{"$edgeAgent":{"properties.desired.modules":1}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want ConfigurationContent
		if json.Unmarshal(text, &want) != nil {
			return
		}
		content, kind, err := want.compile("fuzz")
		if err != nil {
			wantRefusal(t, err)
			return
		}
		if again, k, err := want.compile("fuzz"); err != nil || k != kind || !again.equal(content) {
			t.Fatalf("%q is not itself: %v", text, err)
		}
		content.modules()
		for _, ws := range content {
			root := &node{}
			for _, w := range ws {
				root = w.to(root)
			}
			for _, w := range ws {
				if len(ws) == 1 && diff(root, w.to(root)) != nil {
					t.Fatalf("%q written twice changes %s", text, root.AppendJSON(nil))
				}
			}
			if b := root.AppendJSON(nil); !json.Valid(b) {
				t.Fatalf("%q makes %s", text, b)
			}
		}
	})
}
