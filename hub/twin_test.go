package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestTwinGet(t *testing.T) {
	for _, tt := range []struct {
		name, rid, body string
		qos             mqtt.QoS
	}{
		{"at QoS 0 with an empty body", "1", "", 0},
		{"at QoS 1 with a blank for a body", "0190c7f1-6bd8-7e6b-aa3d-0242ac120002", " ", 1},
		{"with an id that needs no decoding", "a%20B-c", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Tags: json.RawMessage(`{"secret":1}`), Desired: json.RawMessage(`{"a":1}`)}, ""); err != nil {
					t.Fatal(err)
				}
				p := connect(t, h, dev, nil)
				p.subscribe(twinResponses)
				topic, body := p.ask(getTopic+tt.rid, tt.body, tt.qos)
				if topic != "$iothub/twin/res/200/?$rid="+tt.rid {
					t.Errorf("topic %q", topic)
				}
				if want := `{"desired":{"a":1,"$version":2},"reported":{"$version":1}}`; body != want {
					t.Errorf("body %s", body)
				}
			})
		})
	}
}

func TestTwinReport(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(twinResponses)
		steps := []struct {
			name, query, body, topic string
			qos                      mqtt.QoS
		}{
			{"a first patch", "1", `{"a":1,"b":{"c":"d"}}`, "204/?$rid=1&$version=2", 0},
			{"a deletion", "2", `{"a":null}`, "204/?$rid=2&$version=3", 1},
			{"on the right version", "3&$version=3", `{"e":[1,2]}`, "204/?$rid=3&$version=4", 1},
			{"on another version", "4&$version=3", `{"e":2}`, "412/?$rid=4", 1},
			{"on a version that none has", "9&$version=0", `{"e":2}`, "412/?$rid=9", 0},
			{"on a version that is none", "10&$version=x", `{"e":2}`, "400/?$rid=10", 0},
			{"what is no JSON", "5", `{`, "400/?$rid=5", 0},
			{"what is no object", "6", `[]`, "400/?$rid=6", 0},
			{"nothing", "7", ``, "400/?$rid=7", 0},
			{"what is too large", "8", fmt.Sprintf(`{"x":{"a":"%[1]s","b":"%[1]s","c":"%[1]s","d":"%[1]s","e":"%[1]s","f":"%[1]s","g":"%[1]s","h":"%[1]s","i":"%[1]s"}}`, strings.Repeat("x", 4000)), "400/?$rid=8", 0},
		}
		for _, s := range steps {
			topic, body := p.ask(patchTopic+s.query, s.body, s.qos)
			if topic != "$iothub/twin/res/"+s.topic {
				t.Errorf("%s: topic %q", s.name, topic)
			}
			if strings.HasPrefix(s.topic, "204") {
				if body != "" {
					t.Errorf("%s: body %q", s.name, body)
				}
				continue
			}
			var e struct {
				ErrorCode                         int
				TrackingID, Message, TimestampUTC string
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil || fmt.Sprint(e.ErrorCode)[:3] != s.topic[:3] ||
				e.TrackingID == "" || e.Message == "" || e.TimestampUTC == "" {
				t.Errorf("%s: body %s, %v", s.name, body, err)
			}
		}
		twin, err := h.Twin(t.Context(), dev)
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"b":{"c":"d"},"e":[1,2]}`; string(twin.Reported.JSON) != want || twin.Reported.Version != 4 {
			t.Errorf("reported %s, version %d", twin.Reported.JSON, twin.Reported.Version)
		}
	})
}

func TestTwinAnswersGoToSubscribersOnly(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(&mqtt.Publish{Topic: []byte(getTopic + "1"), QoS: 1, ID: 1})
		p.puback(1)
		p.ping()
		// A patch without an id has no answer either.
		p.subscribe(twinResponses)
		p.write(&mqtt.Publish{Topic: []byte("$iothub/twin/PATCH/properties/reported/?"), Payload: []byte(`{"a":1}`), QoS: 1, ID: 2})
		p.puback(2)
		p.ping()
		if twin, err := h.Twin(t.Context(), dev); err != nil || string(twin.Reported.JSON) != `{"a":1}` {
			t.Errorf("%s, %v", twin.Reported.JSON, err)
		}
	})
}

func TestTwinDesired(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		desire := func(patch string) {
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(patch)}, ""); err != nil {
				t.Fatal(err)
			}
		}
		p := connect(t, h, dev, nil)
		desire(`{"before":1}`)
		p.subscribe(desiredFilter)
		desire(`{"a":{"b":1},"c":null}`)
		desire(`{}`)
		for _, want := range [][2]string{
			{"$iothub/twin/PATCH/properties/desired/?$version=3", `{"a":{"b":1},"c":null,"$version":3}`},
			{"$iothub/twin/PATCH/properties/desired/?$version=4", `{"$version":4}`},
		} {
			m := p.publish()
			if diff := cmp.Diff(want, [2]string{string(m.Topic), string(m.Payload)}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		}
		p.bye()
		desire(`{"missed":1}`)
		p = connect(t, h, dev, nil) // the kept subscription holds; what was missed is not sent
		desire(`{"seen":1}`)
		if m := p.publish(); string(m.Payload) != `{"seen":1,"$version":6}` {
			t.Errorf("body %s", m.Payload)
		}
		if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Tags: json.RawMessage(`{"t":1}`)}, ""); err != nil {
			t.Fatal(err)
		}
		p.ping() // tags are no news
		if _, err := h.ReplaceTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"seen":1}`)}, ""); err != nil {
			t.Fatal(err)
		}
		if m := p.publish(); !strings.Contains(string(m.Payload), `"missed":null`) {
			t.Errorf("a replacement does not say what is gone: %s", m.Payload)
		}
	})
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
