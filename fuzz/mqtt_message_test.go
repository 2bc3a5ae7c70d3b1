package fuzz

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

var sameMessage = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(hubwire.Received{}),
	cmp.Comparer(func(a, b time.Time) bool { return a.Truncate(100).Equal(b.Truncate(100)) }), // the wire has 100 ns
}

// A message that was read from a topic, whoever wrote that, must come out of
// our own topic the same, in each of the three places that carry messages.
func FuzzMQTTMessage(f *testing.F) {
	for _, bag := range []string{
		"", "%24.mid=1&k=v", "$.mid=1&$.to=%2Fx&k=v/", "?food=x", "k&e=&=v&=", "%zz=%4&a=%ff", "a=b=c&&a=d",
		"%24.exp=2017-01-06T23%3A37%3A00.669Z&%24.ctime=2019-02-02T00%3A00%3A00", "%24.exp=9999-12-31T23%3A59%3A59-10%3A00",
		"%24.cdid=d&%24.cmid=m&%24.on=o&%24.sub=s&%24.ifid=i&%24.schema=s&%24.diagid=d&%24.diagctx=c", "iothub-ack=full&%24.xyz=1",
	} {
		f.Add(bag, []byte("body"))
	}
	id := hubwire.Identity{DeviceID: "d", ModuleID: "m"}
	f.Fuzz(func(t *testing.T, bag string, body []byte) {
		first := receiveMQTT(t, "devices/d/modules/m/messages/events/"+bag, body)
		if first == nil {
			return
		}
		for topic, want := range map[string]*hubwire.Received{
			string(mqtt.AppendTelemetryTopic(nil, id, &first.Message)):              first,
			string(mqtt.AppendC2DTopic(nil, id, &first.Message)):                    withTo(first, "/devices/d/modules/m/messages/devicebound", ""),
			string(mqtt.AppendInputTopic(nil, id, withTo(first, first.To, "in 1"))): withTo(first, "/devices/d/modules/m/inputs/in 1", "in 1"),
		} {
			if len(topic) > mqtt.MaxString {
				continue
			}
			again := receiveMQTT(t, topic, body)
			if again == nil {
				t.Fatalf("our own %q is refused", topic)
			}
			if diff := cmp.Diff(want, again, sameMessage); diff != "" {
				t.Fatalf("%q -> %q (-first +second):\n%s", bag, topic, diff)
			}
		}
	})
}

// receiveMQTT reads a message as it comes off the wire, or nil if it is refused.
func receiveMQTT(t *testing.T, topic string, body []byte) *hubwire.Received {
	t.Helper()
	packet := mqtt.Publish{Topic: []byte(topic), Payload: body}
	if packet.Check() != nil {
		return nil
	}
	p, err := mqtt.ParsePublish(packet.AppendTo(nil))
	if err != nil {
		t.Fatalf("%q passed Check: %v", topic, err)
	}
	parsed, err := topics.Parse(p.Topic)
	if err != nil {
		return nil
	}
	r := new(hubwire.Received)
	if err := mqtt.ParseMessage(&parsed, p.Payload, r); err != nil {
		t.Fatalf("%q: %v", topic, err)
	}
	return r
}

// withTo is r on an input, with to where r has none.
func withTo(r *hubwire.Received, to, input string) *hubwire.Received {
	m := r.Message
	if m.To == "" {
		m.To = to
	}
	return &hubwire.Received{Message: m, Input: input}
}

// A message that passes its check arrives as it was sent, whatever is in it.
func FuzzMQTTSend(f *testing.F) {
	f.Add("m/1 a+b", "room name", "K\u00fcche #1", "application/json;charset=utf-8", "out/1", int64(1767225600), int64(0), []byte("body"))
	f.Add("%24.mid=1&x", "%zz", "a=b&c=d/?", "\x00", "$.to", int64(-1), int64(253402300799), []byte{0xff})
	f.Add("\xff", "", "\xed\xa0\x80", "", "", int64(253402300800), int64(-62135596801), []byte(nil))
	id := hubwire.Identity{DeviceID: "d%", ModuleID: "m"}
	f.Fuzz(func(t *testing.T, mid, name, value, contentType, output string, expiry, created int64, body []byte) {
		m := hubwire.Message{
			Body: body, ID: mid, CorrelationID: value, UserID: name, ContentType: contentType, Output: output, Schema: value,
			Properties: []hubwire.Property{{Name: name, Value: value}, {Name: "k", Value: mid}, {Name: name, Value: output}},
		}
		if expiry != 0 {
			m.Expiry = time.Unix(expiry, 123456700).UTC()
		}
		if created != 0 {
			m.CreationTime = time.Unix(created, 0).UTC()
		}
		if m.CheckC2D() != nil || strings.HasPrefix(name, "$.") || name == "iothub-ack" {
			return // the last two are system properties
		}
		sent := &hubwire.Received{Message: m}
		for topic, want := range map[string]*hubwire.Received{
			string(mqtt.AppendTelemetryTopic(nil, id, &m)): sent,
			string(mqtt.AppendC2DTopic(nil, id, &m)):       withTo(sent, "/devices/d%/modules/m/messages/devicebound", ""),
		} {
			if len(topic) > mqtt.MaxString {
				return
			}
			got := receiveMQTT(t, topic, body)
			if diff := cmp.Diff(want, got, sameMessage); diff != "" {
				t.Fatalf("%q (-want +got):\n%s", topic, diff)
			}
		}
	})
}
