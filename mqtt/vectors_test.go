package mqtt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/topics"
)

// The vectors of whole messages; the other kinds are those of package topics.
func TestMessageVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Name, Kind string
			Input      struct{ Topic string }
			InputName  string `json:"input_name"`
			System     map[string]string
			Custom     map[string]*string
		}
	}
	if err := json.Unmarshal(testkit.Vectors(t, "mqtt-topics.json"), &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, v := range file.Vectors {
		switch v.Kind {
		case "c2d.parse.decoded", "telemetry.parse", "input.parse":
		default:
			continue
		}
		ran++
		t.Run(v.Name, func(t *testing.T) {
			// Some have a '+', which a topic cannot have on the wire.
			parsed, err := topics.Parse([]byte(strings.ReplaceAll(v.Input.Topic, "+", "%2B")))
			if err != nil {
				t.Fatal(err)
			}
			var r hubwire.Received
			if err := ParseMessage(&parsed, nil, &r); err != nil {
				t.Fatal(err)
			}
			if v.InputName != "" && r.Input != v.InputName {
				t.Errorf("input is %q, want %q", r.Input, v.InputName)
			}
			for name, want := range v.System {
				if got := systemText(&r, name); got != want && !sameTime(got, want) {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for name, want := range v.Custom {
				got, ok := r.Property(name)
				if suffix, isSystem := strings.CutPrefix(name, "$."); isSystem && !ok {
					got, ok = systemText(&r, suffix), true
				}
				if want == nil {
					want = new(string)
				}
				if !ok || got != *want {
					t.Errorf("property %s is %q, %v, want %q", name, got, ok, *want)
				}
			}
		})
	}
	if ran == 0 {
		t.Error("no vector of a message")
	}
}

// systemText is the system property that a vector calls name: "mid", "iothub-ack".
func systemText(r *hubwire.Received, name string) string {
	s := topics.LookupSystem("$." + name)
	if s == 0 {
		s = topics.LookupSystem(name)
	}
	switch s {
	case topics.ConnectionDeviceID:
		return r.Source.DeviceID
	case topics.ConnectionModuleID:
		return r.Source.ModuleID
	}
	if text := textField(&r.Message, s); text != nil {
		return *text
	}
	if at := timeField(&r.Message, s); at != nil && !at.IsZero() {
		return string(systemtime.Append(nil, *at))
	}
	v, _ := r.Property("$." + name)
	return v
}

func sameTime(a, b string) bool {
	x, ok := systemtime.Parse(a)
	y, also := systemtime.Parse(b)
	return ok && also && x.Equal(y)
}
