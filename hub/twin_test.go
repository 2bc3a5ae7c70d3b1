package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

const (
	twinResponses = "$iothub/twin/res/#"
	desiredFilter = "$iothub/twin/PATCH/properties/desired/#"
	getTopic      = "$iothub/twin/GET/?$rid="
	patchTopic    = "$iothub/twin/PATCH/properties/reported/?$rid="
)

// ask publishes and reads the answer, after the PUBACK when there is to be one.
func (p *peer) ask(topic, body string, qos mqtt.QoS) (string, string) {
	p.t.Helper()
	m := &mqtt.Publish{Topic: []byte(topic), Payload: []byte(body), QoS: qos}
	if qos > 0 {
		m.ID = 5
	}
	p.write(m)
	if qos > 0 {
		p.puback(5)
	}
	a := p.publish()
	if a.QoS != 0 || a.Dup || a.Retain {
		p.t.Errorf("answer at QoS %d, DUP %v, RETAIN %v", a.QoS, a.Dup, a.Retain)
	}
	return string(a.Topic), string(a.Payload)
}

func TestTwinOfTheService(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		first, err := h.Twin(t.Context(), mod)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.PatchTwin(t.Context(), mod, hub.TwinUpdate{Tags: json.RawMessage(`{"a":1}`)}, first.ETag); err != nil {
			t.Error(err)
		}
		if _, err := h.PatchTwin(t.Context(), mod, hub.TwinUpdate{Tags: json.RawMessage(`{"a":2}`)}, first.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
			t.Errorf("with an old etag: %v", err)
		}
		if _, err := h.Twin(t.Context(), hubwire.Identity{DeviceID: "x"}); !errors.Is(err, hubwire.DeviceNotFound) {
			t.Errorf("of an unknown device: %v", err)
		}
	})
}

// TestTwinLimits has patches over each limit, from either side. All are refused
// whole; what the rules are in detail is tested with the core.
func TestTwinLimits(t *testing.T) {
	long := strings.Repeat("x", 4097)
	many := func(bytes int) string {
		var b strings.Builder
		for i := range bytes / 4000 {
			fmt.Fprintf(&b, `,"%d":"%s"`, i, long[:4000])
		}
		return "{" + b.String()[1:] + "}"
	}
	for name, patch := range map[string]string{
		"a section over 32 KiB":          many(36_000),
		"a string over 4 KiB":            `{"a":"` + long + `"}`,
		"a string in an array":           `{"a":["` + long + `"]}`,
		"a key over 1 KiB":               `{"` + long[:1025] + `":1}`,
		"eleven levels":                  `{"a":` + strings.Repeat(`{"a":`, 11) + "1" + strings.Repeat("}", 12),
		"a key with a dot":               `{"a.b":1}`,
		"a key with a dollar sign":       `{"a$":1}`,
		"a key with a blank":             `{"a b":1}`,
		"a key with a control":           `{"a\u0007b":1}`,
		"an empty key":                   `{"":1}`,
		"an integer over 2^52":           `{"a":4503599627370496}`,
		"a number that is none":          `{"a":1e999}`,
		"an array":                       `[1,2]`,
		"malformed JSON":                 `{"a":}`,
		"a string that is not UTF-8":     "{\"a\":\"\xff\"}",
		"a bad key deep inside an array": `{"a":[[{"b":{"c.d":1}}]]}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.subscribe(twinResponses)
				topic, body := p.ask(patchTopic+"1", patch, 1)
				if topic != "$iothub/twin/res/400/?$rid=1" || !strings.Contains(body, `"errorCode":40000`) || len(body) > 2000 {
					t.Errorf("%q %s", topic, body)
				}
				for _, u := range []hub.TwinUpdate{{Desired: json.RawMessage(patch)}, {Tags: json.RawMessage(patch)}} {
					if _, err := h.PatchTwin(t.Context(), dev, u, ""); !errors.Is(err, hubwire.ArgumentInvalid) && !errors.Is(err, hubwire.FormatError) {
						t.Errorf("by the service: %v", err)
					}
				}
				twin, err := h.Twin(t.Context(), dev)
				if err != nil || twin.Version != 2 || twin.Desired.Version != 1 || twin.Reported.Version != 1 {
					t.Errorf("the twin has changed: %+v, %v", twin, err)
				}
			})
		})
	}
	t.Run("tags over 8 KiB", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			u := json.RawMessage(many(9000 + 3000))
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Tags: u}, ""); !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Errorf("tags: %v", err)
			}
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: u}, ""); err != nil {
				t.Errorf("the same as desired properties: %v", err)
			}
		})
	})
}
