package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/testkit"
)

func patchDesired(t *testing.T, c *Core, patch string) *hubwire.Twin {
	t.Helper()
	tw, err := c.PatchTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage(patch)}, "*")
	if err != nil {
		t.Fatalf("PatchTwin(%s): %v", patch, err)
	}
	return tw
}

func TestAFreshTwin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		time.Sleep(time.Second) // its times are those of its creation
		tw, err := c.Twin(ctx, dev)
		must(t, err)
		empty := hubwire.TwinSection{Version: 1, JSON: json.RawMessage(`{}`), Metadata: json.RawMessage(`{"$lastUpdated":"2000-01-01T00:00:00.0000000Z"}`)}
		want := &hubwire.Twin{Identity: dev, ETag: "AAAAAAAAAAE=", Version: 2, Tags: json.RawMessage(`{}`), Desired: empty, Reported: empty}
		if diff := cmp.Diff(want, tw); diff != "" {
			t.Errorf("twin (-want +got):\n%s", diff)
		}
		_, err = c.Twin(ctx, hubwire.Identity{DeviceID: "nobody"})
		wantCode(t, "twin of nobody", err, hubwire.DeviceNotFound)
	})
}

func TestMergeFollowsRFC7396(t *testing.T) {
	cases := []struct{ name, old, patch, want string }{
		{"a new member comes last", `{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`},
		{"a changed member keeps its place", `{"a":1,"b":2}`, `{"a":3}`, `{"a":3,"b":2}`},
		{"null deletes", `{"a":1,"b":2}`, `{"a":null}`, `{"b":2}`},
		{"null of nothing does nothing", `{"a":1}`, `{"b":null}`, `{"a":1}`},
		{"objects merge", `{"o":{"x":1,"y":2}}`, `{"o":{"y":3,"z":4}}`, `{"o":{"x":1,"y":3,"z":4}}`},
		{"null deletes deep down", `{"o":{"x":1,"y":2}}`, `{"o":{"x":null}}`, `{"o":{"y":2}}`},
		{"an object replaces a value", `{"o":1}`, `{"o":{"x":1}}`, `{"o":{"x":1}}`},
		{"a value replaces an object", `{"o":{"x":1}}`, `{"o":true}`, `{"o":true}`},
		{"arrays are replaced", `{"a":[1,{"x":1}]}`, `{"a":[ 2 , null , {"$y" : 1} ]}`, ``},
		{"an array keeps its nulls", `{"a":[1]}`, `{"a":[ 2 , null , {"y" : null} ]}`, `{"a":[2,null,{"y":null}]}`},
		{"nulls in a new object are dropped", `{}`, `{"o":{"a":null,"b":{"c":null},"d":1}}`, `{"o":{"b":{},"d":1}}`},
		{"numbers and strings keep their spelling", `{}`, `{"n":1.50,"e":1e3,"s":"\u00e9\/","b":false}`, `{"n":1.50,"e":1e3,"s":"\u00e9\/","b":false}`},
		{"the last of two equal keys counts", `{}`, `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{"keys with quotes and backslashes survive", `{}`, `{"q\"\\k":1}`, `{"q\"\\k":1}`},
		{"an escaped key is the same key", `{"ab":1}`, `{"\u0061b":2}`, `{"ab":2}`},
		{"the hub's own members are ignored", `{"a":1}`, `{"$version":77,"$metadata":{"a":["]",{}],"b":"}"},"b":1}`, `{"a":1,"b":1}`},
		{"an empty patch changes nothing", `{"a":1}`, ` { } `, `{"a":1}`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := newCore(t, nil)
			patchDesired(t, c, tc.old)
			tw, err := c.PatchTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage(tc.patch)}, "")
			if tc.want == "" {
				wantCode(t, "patch", err, hubwire.ArgumentInvalid)
				return
			}
			must(t, err)
			if string(tw.Desired.JSON) != tc.want || tw.Desired.Version != 3 {
				t.Errorf("version %d: %s, want %s", tw.Desired.Version, tw.Desired.JSON, tc.want)
			}
		})
	}
}

func TestVersionsAndETags(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connect(t, c, dev)
	check := func(what string, version, desired, reported int64, etag string) {
		t.Helper()
		tw, err := c.Twin(ctx, dev)
		if err != nil || tw.Version != version || tw.Desired.Version != desired || tw.Reported.Version != reported || tw.ETag != etag {
			t.Errorf("%s: version %d, desired %d, reported %d, etag %s, %v", what, tw.Version, tw.Desired.Version, tw.Reported.Version, tw.ETag, err)
		}
	}
	_, err := c.PatchTwin(ctx, dev, &TwinUpdate{Tags: json.RawMessage(`{"a":1}`)}, "AAAAAAAAAAE=")
	must(t, err)
	check("tags", 3, 1, 1, "AAAAAAAAAAI=")
	patchDesired(t, c, `{"a":1}`)
	check("desired", 4, 2, 1, "AAAAAAAAAAM=")
	v, err := s.PatchReported(ctx, []byte(`{"a":1}`), 0)
	if v != 2 || err != nil {
		t.Errorf("PatchReported = %d, %v", v, err)
	}
	check("reported", 5, 2, 2, "AAAAAAAAAAM=")
	_, err = c.PatchTwin(ctx, dev, &TwinUpdate{Tags: json.RawMessage(`{}`)}, "AAAAAAAAAAE=")
	wantCode(t, "an old etag", err, hubwire.PreconditionFailed)
	_, err = s.PatchReported(ctx, []byte(`{"a":2}`), 1)
	wantCode(t, "an old version", err, hubwire.PreconditionFailed)
	if v, err := s.PatchReported(ctx, []byte(`{"a":2}`), 2); v != 3 || err != nil {
		t.Errorf("PatchReported with the version = %d, %v", v, err)
	}
	tw, err := c.PatchTwin(ctx, dev, &TwinUpdate{}, "")
	if err != nil || tw.Version != 6 {
		t.Errorf("an update of nothing = version %d, %v", tw.Version, err)
	}
	_, err = c.ReplaceTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage(`{"b":1}`)}, "AAAAAAAAAAM=")
	must(t, err)
	check("replace", 7, 3, 3, "AAAAAAAAAAQ=")
	if tw, _ := c.Twin(ctx, dev); string(tw.Tags) != "{}" || string(tw.Desired.JSON) != `{"b":1}` || string(tw.Reported.JSON) != `{"a":2}` {
		t.Errorf("after a replace: %s %s %s", tw.Tags, tw.Desired.JSON, tw.Reported.JSON)
	}
}

func TestMetadataSaysWhenAndAtWhichVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		s, _ := connect(t, c, dev)
		patchDesired(t, c, `{"o":{"x":1,"y":[1,2]},"z":1}`)
		_, err := s.PatchReported(ctx, []byte(`{"r":{"s":1}}`), 0)
		must(t, err)
		time.Sleep(time.Second + 1234567*100*time.Nanosecond)
		patchDesired(t, c, `{"o":{"x":2},"z":null}`)
		tw, err := c.Twin(ctx, dev)
		must(t, err)
		const early, late = `"$lastUpdated":"2000-01-01T00:00:00.0000000Z"`, `"$lastUpdated":"2000-01-01T00:00:01.1234567Z"`
		v := func(n int) string { return fmt.Sprintf(`,"$lastUpdatedVersion":%d`, n) }
		want := `{` + late + v(3) + `,"o":{` + late + v(3) + `,"x":{` + late + v(3) + `},"y":{` + early + v(2) + `}}}`
		if got := string(tw.Desired.Metadata); got != want {
			t.Errorf("desired metadata\n got %s\nwant %s", got, want)
		}
		if got, want := string(tw.Reported.Metadata), `{`+early+`,"r":{`+early+`,"s":{`+early+`}}}`; got != want {
			t.Errorf("reported metadata\n got %s\nwant %s", got, want)
		}
	})
}

func TestTheDeviceSeesItsHalves(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connect(t, c, mod)
	_, err := c.PatchTwin(ctx, mod, &TwinUpdate{Tags: json.RawMessage(`{"secret":1}`), Desired: json.RawMessage(`{"d":1}`)}, "")
	must(t, err)
	tw, err := s.Twin(ctx)
	must(t, err)
	want := &hubwire.Twin{
		Identity: mod,
		Desired:  hubwire.TwinSection{Version: 2, JSON: json.RawMessage(`{"d":1}`)},
		Reported: hubwire.TwinSection{Version: 1, JSON: json.RawMessage(`{}`)},
	}
	if diff := cmp.Diff(want, tw); diff != "" {
		t.Errorf("twin (-want +got):\n%s", diff)
	}
	if tw, _ := c.Twin(ctx, dev); tw.Desired.Version != 1 {
		t.Error("the module's twin is the device's")
	}
}

func TestDesiredChangesArePushedInOrder(t *testing.T) {
	c := newCore(t, nil)
	patchDesired(t, c, `{"missed":1}`)
	s, l := connect(t, c, dev)
	patchDesired(t, c, ` {"a": {"b" : 1}, "$version": 9, "missed": null} `)
	_, err := c.PatchTwin(ctx, dev, &TwinUpdate{Tags: json.RawMessage(`{"t":1}`)}, "")
	must(t, err)
	_, err = c.ReplaceTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage(`{"x":1,"a":{"c":2}}`)}, "")
	must(t, err)
	must(t, s.Unsubscribe(ctx, "all"))
	patchDesired(t, c, `{"unseen":1}`)
	want := []hubwire.DesiredChange{
		{Version: 3, JSON: json.RawMessage(`{"a":{"b":1},"missed":null}`)},
		{Version: 4, JSON: json.RawMessage(`{"x":1,"a":{"c":2,"b":null}}`)},
	}
	if diff := cmp.Diff(want, l.changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// mergeMaps is RFC 7396 as its text has it, to compare with.
func mergeMaps(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	m, ok := target.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = mergeMaps(m[k], v)
		}
	}
	return m
}

// randomDoc makes a document of few keys, so that they meet.
func randomDoc(r *rand.Rand, depth int, nulls bool) map[string]any {
	m := map[string]any{}
	for range r.IntN(30) {
		k := fmt.Sprintf("k%d", r.IntN(25))
		switch n := r.IntN(4); {
		case n == 0 && nulls:
			m[k] = nil
		case n == 1 && depth < 3:
			m[k] = randomDoc(r, depth+1, nulls)
		case n == 2:
			m[k] = []any{"x", float64(r.IntN(5))}
		default:
			m[k] = float64(r.IntN(100))
		}
	}
	return m
}

func TestADeviceThatMergesHasTheHubsState(t *testing.T) {
	c := newCore(t, nil)
	_, l := connect(t, c, dev)
	r := rand.New(rand.NewPCG(1, 2))
	var model any = map[string]any{}
	for i := range testkit.Fewer(200) {
		doc := randomDoc(r, 0, true)
		b, _ := json.Marshal(doc)
		if i%5 == 4 {
			model = mergeMaps(nil, doc)
			_, err := c.ReplaceTwin(ctx, dev, &TwinUpdate{Desired: b}, "")
			must(t, err)
		} else {
			model = mergeMaps(model, doc)
			patchDesired(t, c, string(b))
		}
	}
	var state any = map[string]any{}
	for i, ch := range l.changes {
		var patch any
		must(t, json.Unmarshal(ch.JSON, &patch))
		state = mergeMaps(state, patch)
		if ch.Version != int64(i)+2 || ch.Full {
			t.Errorf("change %d = version %d, full %v", i, ch.Version, ch.Full)
		}
	}
	tw, err := c.Twin(ctx, dev)
	must(t, err)
	var got any
	must(t, tw.Desired.Decode(&got))
	if diff := cmp.Diff(model, got); diff != "" {
		t.Errorf("hub (-model +hub):\n%s", diff)
	}
	if diff := cmp.Diff(model, state); diff != "" {
		t.Errorf("device (-model +device):\n%s", diff)
	}
}

func TestConcurrentWritersOneVersionEach(t *testing.T) {
	synctest.Test(t, concurrentWritersOneVersionEach)
}

func concurrentWritersOneVersionEach(t *testing.T) {
	c := newCore(t, nil)
	s, l := connect(t, c, dev)
	var wg sync.WaitGroup
	seen := make([]int64, 100)
	for i := range seen {
		wg.Go(func() {
			v, err := s.PatchReported(ctx, fmt.Appendf(nil, `{"k%d":1}`, i), 0)
			if err != nil {
				t.Errorf("PatchReported: %v", err)
			}
			seen[i] = v
		})
		wg.Go(func() { c.PatchTwin(ctx, dev, &TwinUpdate{Desired: fmt.Appendf(nil, `{"k%d":1}`, i)}, "") })
	}
	// Of those who know the same version one wins.
	tw, _ := s.Twin(ctx)
	wg.Wait()
	synctest.Wait() // until the link has heard of all
	versions := map[int64]bool{}
	for _, v := range seen {
		versions[v] = true
	}
	if len(versions) != 100 || !versions[2] || !versions[101] {
		t.Errorf("%d versions for 100 writes", len(versions))
	}
	for i, ch := range l.changes {
		if ch.Version != int64(i)+2 {
			t.Fatalf("change %d has version %d", i, ch.Version)
		}
	}
	_, err := s.PatchReported(ctx, []byte(`{}`), tw.Reported.Version-1+1000)
	wantCode(t, "a version from the future", err, hubwire.PreconditionFailed)
}

func TestTwinSurvivesAStoreThatFails(t *testing.T) {
	bs := &brokenStore{Store: store.NewMemory(nil)}
	c := newCoreOn(t, nil, bs)
	s, l := connect(t, c, dev)
	bs.broken = true
	_, err := c.PatchTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage(`{"a":1}`)}, "")
	wantCode(t, "PatchTwin", err, hubwire.ServerError)
	_, err = s.PatchReported(ctx, []byte(`{"a":1}`), 0)
	wantCode(t, "PatchReported", err, hubwire.ServerError)
	tw, err := c.Twin(ctx, dev)
	if err != nil || tw.Version != 2 || string(tw.Desired.JSON) != "{}" || len(l.changes) != 0 {
		t.Errorf("twin after failed writes = %+v, %v", tw, err)
	}
	s.Disconnect()
	if _, err := s.PatchReported(ctx, []byte(`{}`), 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("PatchReported after the end = %v", err)
	}
}

func TestWithVersion(t *testing.T) {
	for in, want := range map[string]string{`{}`: `{"$version":7}`, `{"a":1}`: `{"a":1,"$version":7}`} {
		if got := string(WithVersion(json.RawMessage(in), 7)); got != want {
			t.Errorf("WithVersion(%s) = %s, want %s", in, got, want)
		}
	}
}

func FuzzTwinSection(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":{"c":[1,"x",null,{"d":true}]}}`, `{"\u0061":"\ud800\"\\","$version":3}`, `{"a":-0.5e-3,"a":{}}`, nested(11)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := parseSection("op", "section", in)
		if err != nil {
			var e *hubwire.Error
			if !errors.As(err, &e) {
				t.Fatalf("an error without a type: %v", err)
			}
			return
		}
		out := n.AppendJSON(nil)
		again, err := parseSection("op", "section", out)
		if err != nil || !cmp.Equal(again, n) {
			t.Fatalf("%q -> %q -> %v", in, out, err)
		}
		whole := merge(nil, n, stamp{})
		if b := whole.AppendJSON(nil); !json.Valid(b) || !json.Valid(whole.appendMetadata(nil)) {
			t.Fatalf("%q -> %q", in, b)
		}
		if got := merge(n, replacement(n, whole), stamp{}).AppendJSON(nil); !sameJSON(got, whole.AppendJSON(nil)) {
			t.Fatalf("%q: replaced to %q", in, got)
		}
		if whole.size() < 0 {
			t.Fatalf("%q has size %d", in, whole.size())
		}
	})
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}
