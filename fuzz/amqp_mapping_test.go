package fuzz

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// The wire has milliseconds of an expiry, and 100 ns of a creation time.
var sameOverAMQP = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(hubwire.Received{}),
	cmp.Comparer(func(a, b time.Time) bool { return a.UnixMilli() == b.UnixMilli() }),
}

func parseAMQP(t *testing.T, b []byte) *amqp.Message {
	t.Helper()
	m, err := amqp.ParseMessage(b)
	if err != nil {
		t.Fatalf("our own %x is refused: %v", b, err)
	}
	return &m
}

// A message that was read from bytes, whoever wrote them, comes out of our own bytes the same,
// in each of the places that carry messages.
func FuzzAMQPTelemetry(f *testing.F) {
	seedMessages(f)
	id := hubwire.Identity{DeviceID: "d%", ModuleID: "m"}
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := amqp.ParseMessage(b)
		var first hubwire.Message
		if err != nil || amqp.ParseTelemetry(&parsed, &first) != nil {
			return
		}
		var again hubwire.Message
		if err := amqp.ParseTelemetry(parseAMQP(t, amqp.AppendTelemetry(nil, &first)), &again); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if diff := cmp.Diff(first, again, sameOverAMQP); diff != "" {
			t.Fatalf("telemetry of %x (-first +second):\n%s", b, diff)
		}
		batch, err := amqp.AppendBatch(nil, parseAMQP(t, amqp.AppendToBatch(nil, &first)))
		if diff := cmp.Diff([]hubwire.Message{first}, batch, sameOverAMQP); err != nil || diff != "" {
			t.Fatalf("batch of %x: %v (-first +second):\n%s", b, err, diff)
		}
		r := &hubwire.Received{Message: first, Source: id, EnqueuedTime: time.UnixMilli(1), SequenceNumber: 5}
		event, err := amqp.ParseEvent(parseAMQP(t, amqp.AppendEvent(nil, &amqp.Event{Received: r, Offset: "1"})))
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if diff := cmp.Diff(r, event.Received, sameOverAMQP); diff != "" {
			t.Fatalf("event of %x (-first +second):\n%s", b, diff)
		}
		r.LockToken, r.DeliveryCount = "t", 7
		var back hubwire.Received
		if err := amqp.ParseC2D(parseAMQP(t, amqp.AppendC2D(nil, id, r)), nil, &back); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if r.To == "" {
			r.To = "/devices/d%25/modules/m/messages/devicebound"
		}
		if diff := cmp.Diff(r, &back, sameOverAMQP); diff != "" {
			t.Fatalf("c2d of %x (-first +second):\n%s", b, diff)
		}
	})
}

// A message that passes its check arrives as it was sent, whatever is in it, and go-amqp reads it.
func FuzzAMQPSend(f *testing.F) {
	f.Add("m/1 a+b", "room name", "K\u00fcche #1", "application/json;charset=utf-8", "out/1", int64(1767225600), int64(0), []byte("body"))
	f.Add("%24.mid=1&x", "%zz", "a=b&c=d/?", "\x00", "$.to", int64(1), int64(253402300799), []byte{0xff})
	f.Add(strings.Repeat("x", 128), strings.Repeat("é", 200), "", "", "", int64(253402300800), int64(-62135596801), []byte(nil))
	id := hubwire.Identity{DeviceID: "a%+#?@;'b"}
	f.Fuzz(func(t *testing.T, mid, name, value, contentType, output string, expiry, created int64, body []byte) {
		m := hubwire.Message{
			Body: body, ID: mid, CorrelationID: value, UserID: name, ContentType: contentType, Output: output, Schema: value, Component: value,
			Properties: []hubwire.Property{{Name: name, Value: value}, {Name: "k", Value: mid}, {Name: name, Value: output}},
		}
		if expiry > 0 {
			m.Expiry = time.Unix(expiry, 123000000).UTC()
		}
		if created != 0 {
			m.CreationTime = time.Unix(created, 0).UTC()
		}
		if m.CheckC2D() != nil || strings.HasPrefix(name, "iothub-") {
			return // the last may be a system property
		}
		b := amqp.AppendSend(nil, id, &m)
		var got hubwire.Message
		to, err := amqp.ParseSend(parseAMQP(t, b), &got)
		m.To = got.To
		if diff := cmp.Diff(m, got, sameOverAMQP); err != nil || to != id || diff != "" {
			t.Fatalf("%x: %v, %v (-want +got):\n%s", b, to, err, diff)
		}
		var peer goamqp.Message
		if err := peer.UnmarshalBinary(b); err != nil {
			t.Fatalf("%x is refused by go-amqp: %v", b, err)
		}
		if peer.ApplicationProperties["k"] != any(mid) && name != "k" || string(peer.GetData()) != string(body) {
			t.Fatalf("%x is read as %+v", b, peer)
		}
	})
}

// An address that is taken is written in a form that says the same.
func FuzzAMQPAddress(f *testing.F) {
	for _, s := range []string{
		"$cbs", "amqps://h:5671/devices/d%40n/modules/%24m/twin", "/devices/a%2525/messages/events/", "//messages/events//", "messages/events/$management",
		"hub/ConsumerGroups/$Default/Partitions/0", "hub/$management", "/messages/serviceBound/feedback", "/devices/%2f/twin", "%/%2/$management",
	} {
		f.Add(true, s)
		f.Add(false, s)
	}
	f.Fuzz(func(t *testing.T, receives bool, text string) {
		role := amqp.Role(receives)
		a, err := amqp.ParseAddress(role, text)
		if err != nil {
			if !errors.Is(err, hubwire.AMQPAddressNotFound) || !utf8.ValidString(err.Error()) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := amqp.ParseAddress(role, a.String())
		if err != nil || again != a {
			t.Fatalf("%q -> %+v -> %q -> %+v, %v", text, a, a, again, err)
		}
	})
}

// A selector that is taken is written in a form that says the same.
func FuzzAMQPSelector(f *testing.F) {
	for _, s := range []string{
		"amqp.annotation.x-opt-offset > '-1'", "amqp.annotation.x-opt-offset >= @latest", "amqp.annotation.x-opt-sequence-number>=-5",
		"amqp.annotation.x-opt-enqueuedtimeutc > '1767225600000'", "amqp.annotation.x-opt-offset > 'a''", "amqp.annotation.x-opt-offset >> 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := amqp.ParseSelector(text)
		if err != nil {
			return
		}
		if again, err := amqp.ParseSelector(s.String()); err != nil || again != s {
			t.Fatalf("%q -> %+v -> %q -> %+v, %v", text, s, s, again, err)
		}
	})
}

// Whatever a peer describes its errors with, what comes of it is one short line.
func FuzzAMQPError(f *testing.F) {
	f.Add("amqp:not-found", `{"errorCode":404001,"trackingId":"a","message":"b"}`)
	f.Add("com.microsoft:timeout", `"{\"errorCode\":\"429001\"}"`)
	f.Add("amqp:link:stolen", "ErrorCode:IotHubQuotaExceeded; Tracking ID:abc\r\nsig=x {{{")
	f.Fuzz(func(t *testing.T, condition, description string) {
		e := &amqp.Error{Condition: amqp.Condition(condition), Description: description}
		for _, text := range []string{e.Error(), e.Hubwire("op", amqp.C2DSend).Message, e.Hubwire("op", 0).TrackingID} {
			if len(text) > 2100 || strings.ContainsAny(text, "\r\n\x00") || !utf8.ValidString(text) {
				t.Fatalf("%q, %q: %q", condition, description, text)
			}
		}
		if own := amqp.NewError(e.Hubwire("op", 0)); e.Hubwire("op", 0).Code != 0 && own.Hubwire("op", 0).Code != e.Hubwire("op", 0).Code {
			t.Fatalf("%q, %q: %v comes back as %v", condition, description, e.Hubwire("op", 0), own.Hubwire("op", 0))
		}
	})
}
