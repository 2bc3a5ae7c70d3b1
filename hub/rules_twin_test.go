package hub_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// Section 7, twins.

func twinRules() []rule {
	const get, patch, failure, change, answer = "7.1 twin get", "7.2 twin report", "7.3 twin errors", "7.4 desired changes", "7.5 twin answers"
	const empty = `{"desired":{"$version":1},"reported":{"$version":1}}`
	// asks is a rule of what an operation is answered with.
	asks := func(section, says, topic, body string, qos mqtt.QoS, wantTopic, wantBody string) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(twinResponses)
			if topic, body := p.ask(topic, body, qos); topic != "$iothub/twin/res/"+wantTopic || body != wantBody {
				t.Errorf("%s %s", topic, body)
			}
		}}
	}
	// fails is a rule of what is refused, with an error as body, and changes nothing.
	fails := func(section, says, query, body, status string) rule {
		return rule{section, says, nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(twinResponses)
			topic, answer := p.ask(patchTopic+query, body, 1)
			var e struct {
				ErrorCode                         int
				TrackingID, Message, TimestampUTC string
			}
			err := json.Unmarshal([]byte(answer), &e)
			if topic != "$iothub/twin/res/"+status+"/?$rid=1" || err != nil || e.ErrorCode/1000 == 0 || e.TrackingID == "" || e.Message == "" || e.TimestampUTC == "" {
				t.Errorf("%s %s, %v", topic, answer, err)
			}
			if twin, err := h.Twin(t.Context(), dev); err != nil || twin.Reported.Version != 1 {
				t.Errorf("version %d, %v", twin.Reported.Version, err)
			}
		}}
	}
	return []rule{
		asks(get, "it is answered with desired and reported properties and their versions", getTopic+"1", "", 0, "200/?$rid=1", empty),
		asks(get, "its body does not count: Node and Python send a blank", getTopic+"1", " ", 1, "200/?$rid=1", empty),
		{get, "the answer has no tags and no metadata", nil, func(t *testing.T, h *hub.Hub) {
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Tags: json.RawMessage(`{"t":1}`), Desired: json.RawMessage(`{"a":1}`)}, ""); err != nil {
				t.Fatal(err)
			}
			p := connect(t, h, dev, nil)
			p.subscribe(twinResponses)
			if _, body := p.ask(getTopic+"1", "", 0); body != `{"desired":{"a":1,"$version":2},"reported":{"$version":1}}` {
				t.Errorf("body %s", body)
			}
		}},
		closesTopic(get, "without a request id it closes the connection", "$iothub/twin/GET/?$rid="),
		asks(patch, "it is answered with 204, the new version and an empty body", patchTopic+"1", `{"a":1}`, 0, "204/?$rid=1&$version=2", ""),
		asks(patch, "the query may lack the slash before it", "$iothub/twin/PATCH/properties/reported?$rid=1", `{"a":1}`, 1, "204/?$rid=1&$version=2", ""),
		{patch, "null deletes, objects are merged, all else is replaced", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(twinResponses)
			p.ask(patchTopic+"1", `{"a":1,"b":{"c":[1],"d":2},"e":{"f":1}}`, 1)
			p.ask(patchTopic+"2", `{"a":null,"b":{"c":[2,3]},"e":4}`, 1)
			if _, body := p.ask(getTopic+"3", "", 1); body != `{"desired":{"$version":1},"reported":{"b":{"c":[2,3],"d":2},"e":4,"$version":3}}` {
				t.Errorf("body %s", body)
			}
		}},
		{patch, "without a request id it is done, and not answered", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(twinResponses)
			p.write(&mqtt.Publish{Topic: []byte("$iothub/twin/PATCH/properties/reported/?"), Payload: []byte(`{"a":1}`), QoS: 1, ID: 2})
			p.puback(2)
			p.ping()
			if twin, err := h.Twin(t.Context(), dev); err != nil || string(twin.Reported.JSON) != `{"a":1}` {
				t.Errorf("%s, %v", twin.Reported.JSON, err)
			}
		}},
		asks(patch, "$version, as Java sends it, is the version that it must be before", patchTopic+"1&$version=1", `{"a":1}`, 1, "204/?$rid=1&$version=2", ""),
		fails(patch, "on another version it fails with 412", "1&$version=2", `{"a":1}`, "412"),
		fails(patch, "on version 0, which they never have, it fails with 412", "1&$version=0", `{"a":1}`, "412"),
		fails(patch, "on what is no version it fails with 400", "1&$version=x", `{"a":1}`, "400"),
		fails(failure, "a patch that is no JSON fails with 400 and an error as body", "1", `{"a":`, "400"),
		fails(failure, "a patch that is no object fails with 400", "1", `[1]`, "400"),
		fails(failure, "an empty patch fails with 400", "1", "", "400"),
		fails(failure, "a patch that makes the properties too large fails with 400, as the service's REST API has it", "1", members(33), "400"),
		{failure, "no operation of the twin closes the connection, and the twin stays as it was", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(twinResponses)
			for _, body := range []string{"", "{", "[]", members(40), `{"a.b":1}`, "\xff"} {
				if topic, _ := p.ask(patchTopic+"1", body, 1); !strings.HasPrefix(topic, "$iothub/twin/res/400/") {
					t.Errorf("%.20q: %s", body, topic)
				}
			}
			if _, body := p.ask(getTopic+"1", "", 1); body != empty {
				t.Errorf("twin %s", body)
			}
		}},
		{change, "a change comes with its version in the topic and in the body, nulls for what was deleted", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(desiredFilter)
			desire(t, h, dev, `{"a":{"b":1},"c":null}`)
			m := p.publish()
			if string(m.Topic) != "$iothub/twin/PATCH/properties/desired/?$version=2" || string(m.Payload) != `{"a":{"b":1},"c":null,"$version":2}` {
				t.Errorf("%s %s", m.Topic, m.Payload)
			}
		}},
		{change, "a replacement comes as the patch that leads to it", nil, func(t *testing.T, h *hub.Hub) {
			desire(t, h, dev, `{"a":1,"b":1}`)
			p := connect(t, h, dev, nil)
			p.subscribe(desiredFilter)
			if _, err := h.ReplaceTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"b":1}`)}, ""); err != nil {
				t.Fatal(err)
			}
			if m := p.publish(); !strings.Contains(string(m.Payload), `"a":null`) {
				t.Errorf("change %s", m.Payload)
			}
		}},
		{change, "a change that the device missed, being away or not subscribed, is not sent later", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			desire(t, h, dev, `{"a":1}`)
			p.subscribe(desiredFilter)
			p.bye()
			desire(t, h, dev, `{"a":2}`)
			p = connect(t, h, dev, nil)
			p.silent()
			desire(t, h, dev, `{"a":3}`)
			if m := p.publish(); string(m.Payload) != `{"a":3,"$version":4}` {
				t.Errorf("change %s", m.Payload)
			}
		}},
		{change, "tags and reported properties are no news to the device", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(desiredFilter, twinResponses)
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Tags: json.RawMessage(`{"t":1}`)}, ""); err != nil {
				t.Fatal(err)
			}
			p.ask(patchTopic+"1", `{"a":1}`, 1)
			p.ping()
		}},
		asks(answer, "$rid is echoed byte for byte, without decoding, and stands first", getTopic+"a%20B-%C3%A9&x=y", "", 0, "200/?$rid=a%20B-%C3%A9", empty),
		asks(answer, "a part of the query may lack its equals sign, and the last be empty", getTopic+"1&x&", "", 1, "200/?$rid=1", empty),
		asks(answer, "$rid may hold what stands between parts of a topic", getTopic+"a/b?c=d", "", 1, "200/?$rid=a/b?c=d", empty),
		asks(answer, "$rid may stand behind others, or be a uuid", getTopic[:len(getTopic)-len("$rid=")]+"x=y&$rid=0190c7f1-6bd8-7e6b-aa3d-0242ac120002", "", 1,
			"200/?$rid=0190c7f1-6bd8-7e6b-aa3d-0242ac120002", empty),
		{answer, "the answer comes behind the PUBACK of its request, to who subscribed to it alone", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.write(&mqtt.Publish{Topic: []byte(getTopic + "1"), QoS: 1, ID: 1})
			p.puback(1)
			p.ping()
			p.subscribe(twinResponses)
			p.ask(getTopic+"2", "", 1) // which reads the PUBACK first
		}},
	}
}

func closesTopic(section, says, topic string) rule {
	return rule{section, says, nil, closes("", &mqtt.Publish{Topic: []byte(topic), QoS: 1, ID: 1}).check}
}
