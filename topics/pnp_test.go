package topics_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/hubwire/hubwire/topics"
)

func TestCommands(t *testing.T) {
	for method, want := range map[string][2]string{
		"reboot": {"", "reboot"}, "thermostat1*reboot": {"thermostat1", "reboot"}, "a*b*c": {"a", "b*c"},
		"*reboot": {"", "*reboot"}, "a*": {"a", ""}, "": {"", ""}, "*": {"", "*"},
	} {
		component, command := topics.SplitCommand(method)
		if component != want[0] || command != want[1] {
			t.Errorf("%q is %q of %q, want %q of %q", method, command, component, want[1], want[0])
		}
		same(t, "method", string(topics.AppendCommand([]byte("x"), component, command)), "x"+method)
	}
}

func TestReportedProperties(t *testing.T) {
	for want, got := range map[string][]byte{
		`{"temperature":21.3}`:                                      topics.AppendReported(nil, "", "temperature", json.RawMessage("21.3")),
		`{"thermostat1":{"__t":"c","temperature":21.3}}`:            topics.AppendReported(nil, "thermostat1", "temperature", json.RawMessage("21.3")),
		`{"a\"b":{"__t":"c","\u003cé\u003e":{"x":[1]}}}`:            topics.AppendReported(nil, "a\"b", "<é>", json.RawMessage(`{"x":[1]}`)),
		`{"t":{"value":21.3,"ac":200,"av":7,"ad":"optional"}}`:      topics.AppendAcknowledged(nil, "", "t", &topics.Acknowledgement{json.RawMessage("21.3"), 200, 7, "optional"}),
		`{"t":{"value":null,"ac":-1,"av":0}}`:                       topics.AppendAcknowledged(nil, "", "t", &topics.Acknowledgement{Value: json.RawMessage("null"), Status: -1}),
		`{"c":{"__t":"c","t":{"value":1,"ac":202,"av":3}}}`:         topics.AppendAcknowledged(nil, "c", "t", &topics.Acknowledgement{Value: json.RawMessage("1"), Status: 202, Version: 3}),
		`{"c":{"__t":"c","t":{"value":1,"ac":1,"av":1,"ad":"\n"}}}`: topics.AppendAcknowledged(nil, "c", "t", &topics.Acknowledgement{json.RawMessage("1"), 1, 1, "\n"}),
	} {
		same(t, "patch", string(got), want)
	}
}

func TestAcknowledgements(t *testing.T) {
	for _, want := range []topics.Acknowledgement{
		{json.RawMessage("21.3"), 200, 7, "optional"},
		{json.RawMessage(`{"a":[1, 2]}`), 400, 1 << 40, ""},
		{json.RawMessage("null"), 0, 0, "\"é\n"},
	} {
		for _, component := range []string{"", "thermostat1"} {
			n := 0
			for q, err := range topics.TwinProperties(topics.AppendAcknowledged(nil, component, "t", &want), nil) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				got, ok := topics.ParseAcknowledgement(q.Value)
				if !ok || q.Component != component || q.Name != "t" {
					t.Errorf("%q of %q is an answer: %v", q.Name, q.Component, ok)
				}
				sameDiff(t, "answer", got, want)
			}
			if n != 1 {
				t.Errorf("there are %d properties, want 1", n)
			}
		}
	}
	embeddedC, ok := topics.ParseAcknowledgement(json.RawMessage(`{"ac":200,"av":5,"ad":"success","value":50.2}`))
	if !ok || embeddedC.Version != 5 || string(embeddedC.Value) != "50.2" {
		t.Errorf("the order of the Embedded C SDK gives %v, %v", embeddedC, ok)
	}
	for _, value := range []string{"21.3", "null", "[]", "{}", `{"value":1,"ac":200}`, `{"value":1,"av":2}`, `{"ac":"200","av":2}`, "", "{"} {
		if a, ok := topics.ParseAcknowledgement(json.RawMessage(value)); ok {
			t.Errorf("%q is an answer: %v", value, a)
		}
	}
}

func TestTwinProperties(t *testing.T) {
	thermostats := func(name string) bool { return name == "thermostat1" || name == "thermostat2" }
	for _, c := range []struct {
		name, section string
		isComponent   func(string) bool
		want          []topics.TwinProperty
	}{
		{"nothing", `{}`, nil, nil},
		{"a version alone", ` {"$version":3} `, nil, nil},
		{"properties of the root, in order", `{"b":1,"a":"x","$version":3,"c":null}`, nil,
			[]topics.TwinProperty{{"", "b", raws("1")}, {"", "a", raws(`"x"`)}, {"", "c", raws("null")}}},
		{"a component with its mark", `{"thermostat1":{"__t":"c","target":21.3,"$metadata":{}},"$version":3}`, nil,
			[]topics.TwinProperty{{"thermostat1", "target", raws("21.3")}}},
		{"a component without its mark, which the model knows", `{"thermostat1":{"target":21.3},"other":{"target":1}}`, thermostats,
			[]topics.TwinProperty{{"thermostat1", "target", raws("21.3")}, {"", "other", raws(`{"target":1}`)}}},
		{"a component without its mark, and no model", `{"thermostat1":{"target":21.3}}`, nil,
			[]topics.TwinProperty{{"", "thermostat1", raws(`{"target":21.3}`)}}},
		{"a component that is deleted", `{"thermostat1":null,"thermostat2":{"a":null}}`, thermostats,
			[]topics.TwinProperty{{"thermostat1", "", raws("null")}, {"thermostat2", "a", raws("null")}}},
		{"an object that is no component", `{"a":{"__t":"x","b":1},"c":{"__t":1},"d":{"__T":"c"}}`, nil,
			[]topics.TwinProperty{{"", "a", raws(`{"__t":"x","b":1}`)}, {"", "c", raws(`{"__t":1}`)}, {"", "d", raws(`{"__T":"c"}`)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []topics.TwinProperty
			for q, err := range topics.TwinProperties([]byte(c.section), c.isComponent) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, q)
			}
			sameDiff(t, c.section, got, c.want)
		})
	}
	for range topics.TwinProperties([]byte(`{"a":1,"b":2}`), nil) {
		break
	}
	for range topics.TwinProperties([]byte(`{"a":{"__t":"c","b":2,"c":3},"d":1}`), nil) {
		break
	}
}

func raws(s string) json.RawMessage { return json.RawMessage(s) }

func TestTwinPropertiesRefuses(t *testing.T) {
	all := func(string) bool { return true }
	for _, section := range []string{"", "x", "[]", "1", "null", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{"a":1}x`, `{"a":1}{}`, `{"a":[}`, `{"a":5}`} {
		var last error
		for _, err := range topics.TwinProperties([]byte(section), all) {
			if last != nil {
				t.Errorf("%q goes on behind an error", section)
			}
			last = err
		}
		checkSyntaxError(t, section, last)
		if !errors.Is(last, topics.ErrJSON) {
			t.Errorf("%q: %v", section, last)
		}
	}
}
