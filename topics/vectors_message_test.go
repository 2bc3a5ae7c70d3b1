package topics_test

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

// telemetryVector reads the topic of any SDK, and writes the same properties
// itself: the SDK's bytes, but for what the SDK does differently.
func telemetryVector(t *testing.T, v *vector) {
	in := &v.Input
	parsed := parseTopic(t, v.Topic)
	if parsed.Kind != topics.Telemetry || !parsed.Is(in.identity()) {
		t.Errorf("it is a %v of %v, want telemetry of %v", parsed.Kind, parsed.Identity(), in.identity())
	}
	if in.PropertiesRaw != nil {
		same(t, "the bag", string(parsed.Bag()), *in.PropertiesRaw)
		same(t, "the topic built", string(topics.AppendTelemetry(nil, in.identity()))+*in.PropertiesRaw, v.Topic)
		return
	}
	got := decoded(parsed.Bag())
	sameDiff(t, "properties", sorted(got), sorted(sentBy(in)))
	same(t, "the topic built", string(appendPairs(topics.AppendTelemetry(nil, in.identity()), got)), ourStyle(v.Topic))
}

// sentBy is what properties an SDK sends for an input.
func sentBy(in *vectorInput) []pair {
	var all []pair
	for name, value := range in.System {
		all = append(all, pair{"$." + name, &value})
	}
	for _, p := range in.SystemOrdered {
		all = append(all, pair{"$." + p.Name, p.Value})
	}
	if in.Output != "" {
		all = append(all, pair{"$.on", &in.Output})
	}
	if in.Security {
		all = append(all, pair{"$.ifid", text("urn:azureiot:Security:SecurityAgent:1")})
	}
	for name, value := range in.Custom {
		all = append(all, pair{name, value})
	}
	for _, p := range in.CustomOrdered {
		if in.SDK == "node" && p.Name == "dt-subject" {
			p.Name = "$.sub"
		}
		all = append(all, p)
	}
	if in.SDK == "java" { // leaves out what is empty
		all = slices.DeleteFunc(all, func(p pair) bool { return p.Value == nil || *p.Value == "" })
	}
	for i, p := range all {
		switch {
		case p.Value == nil && in.SDK == "python":
			all[i].Value = text("None")
		case p.Value != nil && in.SDK == "c" && in.AutoEncode:
			all[i] = pair{latin1(p.Name), text(latin1(*p.Value))}
		}
	}
	return all
}

// ourStyle writes the bag of a telemetry topic anew, as this package would, the
// slow way.
func ourStyle(topic string) string {
	base, bag, _ := strings.Cut(topic, "/messages/events/")
	bag = strings.TrimRight(strings.TrimPrefix(bag, "?"), "/")
	var parts []string
	for part := range strings.SplitSeq(bag, "&") {
		name, value, hasValue := strings.Cut(part, "=")
		part = slowEscape(name)
		if hasValue {
			part += "=" + slowEscape(value)
		}
		if part != "" {
			parts = append(parts, part)
		}
	}
	return base + "/messages/events/" + strings.Join(parts, "&")
}

// slowEscape decodes s and escapes it again.
func slowEscape(s string) string {
	return slowEscapeTo(slowUnescape(s), "-._")
}

var wellFormed = regexp.MustCompile("%[0-9A-Fa-f]{2}")

func slowUnescape(s string) string {
	plain := wellFormed.ReplaceAllStringFunc(s, func(e string) string {
		b, _ := hex.DecodeString(e[1:])
		return string(b)
	})
	if !utf8.ValidString(plain) {
		return s
	}
	return plain
}

// c2dParseVector is of the Embedded C SDK, which decodes nothing.
func c2dParseVector(t *testing.T, v *vector) {
	parsed, err := topics.Parse([]byte(v.Input.Topic))
	refused := v.Expect.refused(t, parsed.Kind, topics.C2D, err)
	delete(v.Expect, "error")
	if refused {
		return
	}
	sameDiff(t, "properties", raw(parsed.Bag()), nilIfEmpty(v.PropertiesRaw))
}

func nilIfEmpty(ps []pair) []pair {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// messageParseVector reads a topic with a message: what it lists as system
// properties, and all the others where it lists any.
func messageParseVector(t *testing.T, v *vector) {
	kind := map[string]topics.Kind{
		"telemetry.parse": topics.Telemetry, "c2d.parse.decoded": topics.C2D, "input.parse": topics.Input,
	}[v.Kind]
	parsed := parseTopic(t, v.Input.Topic)
	if parsed.Kind != kind {
		t.Fatalf("it is a %v, want a %v", parsed.Kind, kind)
	}
	if v.DeviceID != "" {
		want := hubwire.Identity{DeviceID: v.DeviceID, ModuleID: v.ModuleID}
		if parsed.Identity() != want || !parsed.Is(want) {
			t.Errorf("it is of %v, want %v", parsed.Identity(), want)
		}
	}
	if v.InputName != "" {
		same(t, "input name", unescape(string(parsed.Name())), v.InputName)
	}
	for name, want := range v.System {
		p, ok := find(parsed.Bag(), name)
		if !ok || string(p.AppendValue(nil)) != want {
			t.Errorf("%s is %q, %v, want %q", name, p.AppendValue(nil), ok, want)
		}
	}
	if v.Custom == nil {
		return
	}
	got := map[string]*string{}
	for _, p := range decoded(parsed.Bag()) {
		_, asked := v.Custom[p.Name]
		if asked || topics.LookupSystem(p.Name) == 0 {
			got[p.Name] = p.Value
		}
	}
	sameDiff(t, "custom properties", got, v.Custom)
}

// find finds a system property by the name that a vector uses: "mid", "iothub-ack".
func find(b topics.Bag, name string) (topics.Pair, bool) {
	if p, ok := b.Find("$." + name); ok {
		return p, true
	}
	return b.Find(name)
}

func inputVector(t *testing.T, v *vector) {
	in := &v.Input
	same(t, "the topic", string(appendPairs(topics.AppendInput(nil, in.identity(), in.Input), in.Ordered)), v.Topic)
	parsed := parseTopic(t, v.Topic)
	if parsed.Kind != topics.Input || !parsed.Is(in.identity()) || unescape(string(parsed.Name())) != in.Input {
		t.Errorf("it is a %v of %v named %q", parsed.Kind, parsed.Identity(), parsed.Name())
	}
	sameDiff(t, "properties", decoded(parsed.Bag()), in.Ordered)
}

// encodeVector: where an SDK escapes as RFC 3986 has it, AppendEscape gives its
// bytes; the text of all of them must be read.
func encodeVector(t *testing.T, v *vector) {
	value := v.Input.Value
	switch v.Input.SDK {
	case "python", "dotnet", "embedded-c", "amenzhinsky", "go":
		same(t, "escaped", escape(value), v.Encoded)
	case "node", "java":
	case "c":
		value = latin1(value)
	default:
		t.Fatalf("how does %q escape?", v.Input.SDK)
	}
	same(t, "unescaped", unescape(v.Encoded), value)
	b := topics.Bag("k=" + v.Encoded)
	sameDiff(t, "in a bag", decoded(b), []pair{{"k", &value}})
	b = topics.AppendProperty(nil, "k", value)
	sameDiff(t, "in our own bag", decoded(b), []pair{{"k", &value}})
}

// bagVector: the Go peer escapes as RFC 3986 has it, and the Embedded C SDK not
// at all; ours are their bytes where nothing needs an escape.
func bagVector(t *testing.T, v *vector) {
	ps := slices.Concat(v.Input.Pairs, v.Input.CustomOrdered)
	b := topics.Bag(v.Encoded)
	var plain, escaped []string
	for _, q := range ps {
		plain = append(plain, q.String())
		escaped = append(escaped, escape(q.Name)+"="+escape(*q.Value))
	}
	if v.Kind == "propertybag.append" {
		sameDiff(t, "properties", raw(b), ps)
		same(t, "the bag", strings.Join(plain, "&"), v.Encoded)
	} else {
		sameDiff(t, "properties", decoded(b), ps)
		same(t, "the bag", strings.Join(escaped, "&"), v.Encoded)
	}
	ours := topics.Bag(appendPairs(nil, ps))
	sameDiff(t, "our own properties", decoded(ours), ps)
	if len(ours) == len(v.Encoded) {
		same(t, "our own bag", string(ours), v.Encoded)
	}
}

func findVector(t *testing.T, v *vector) {
	p, ok := topics.Bag(v.Input.Raw).Find(v.Input.Name)
	if v.Expect["error"] == "not-found" {
		delete(v.Expect, "error")
		if ok {
			t.Errorf("found %q", p.Value)
		}
		return
	}
	if !ok || v.Value == nil || string(p.Value) != *v.Value {
		t.Errorf("found %q, %v, want %v", p.Value, ok, v.Value)
	}
}
