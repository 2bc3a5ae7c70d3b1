package interop

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// carried are awkward properties, as far as the transport can carry them: over HTTPS
// they are headers, which the SDK does not encode.
func (w *way) carried() []sdkProperty {
	if w.transport == "https" {
		return inHeaders
	}
	return awkward
}

// TestNpmTelemetry has devices send, and @azure/event-hubs read what arrives.
func TestNpmTelemetry(t *testing.T) {
	p := join(t)
	sends := func(what string, message func(*way) sdkMessage) {
		p.over(t, everyTransport, "telemetry: "+what, func(t *testing.T, w *way) {
			id, c := w.open(t)
			m := message(w)
			before := time.Now().Add(-time.Second)
			c.gives(t, `"MessageEnqueued"`, "send", m)
			if e := w.reads(t, id.DeviceID, m); e.Enqueued.Before(before) || e.Enqueued.After(time.Now().Add(time.Second)) {
				t.Errorf("enqueued at %v", e.Enqueued)
			}
		})
	}
	of := func(m sdkMessage) func(*way) sdkMessage { return func(*way) sdkMessage { return m } }
	sends("a body of nothing", of(sdkMessage{}))
	sends("a body of blanks", of(sdkMessage{Body: []byte("  \r\n\t ")}))
	sends("a body of every byte", of(sdkMessage{Body: allBytes()}))
	sends("a body of 255,000 bytes", of(sdkMessage{Body: bytes.Repeat([]byte("ü€😀x"), 25500)}))
	sends("every system property that all transports have", of(sdkMessage{
		Body: []byte(`{"t":1}`), MessageID: "m-1:/?&=%41", CorrelationID: "c 1%+", ContentType: "application/json;charset=utf-8", ContentEncoding: "utf-8",
		Expiry: "2030-01-02T03:04:05.678Z", Security: true, Properties: props("dt-subject", "thermostat1", "a", "b"),
	}))
	sends("awkward properties", func(w *way) sdkMessage { return sdkMessage{Body: []byte("x"), Properties: w.carried()} })
	sends("a property of 4,000 characters", of(sdkMessage{Properties: props("long", strings.Repeat("0123456789", 400))}))
	sends("a hundred properties", func(*way) (m sdkMessage) {
		for i := range 100 {
			m.Properties = append(m.Properties, props(fmt.Sprintf("p%03d", i), fmt.Sprint("value ", i))...)
		}
		return m
	})
	// A header has none, and the SDK does not encode.
	p.over(t, stays, "telemetry: ids beyond ASCII", func(t *testing.T, w *way) {
		id, c := w.open(t)
		m := sdkMessage{MessageID: "ü/€ 😀", CorrelationID: "=&$?#"}
		c.do(t, "send", m)
		w.reads(t, id.DeviceID, m)
	})
	p.over(t, everyTransport, "telemetry: a hundred at once, each once", func(t *testing.T, w *way) {
		id, c := w.open(t)
		var ms []sdkMessage
		for i := range 100 {
			ms = append(ms, sdkMessage{Body: fmt.Append(nil, i), MessageID: fmt.Sprint(i)})
		}
		c.do(t, "sendAll", ms)
		seen := map[string]bool{}
		for i := range ms {
			e := w.events.next(t, id.DeviceID)
			if seen[string(e.Body)] || w.transport != "https" && string(e.Body) != fmt.Sprint(i) { // which has a connection for each
				t.Errorf("event %d is %q", i, e.Body)
			}
			seen[string(e.Body)] = true
		}
	})
	p.over(t, everyTransport, "telemetry: over 256 KiB is refused, and then goes on", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.fails(t, "MessageTooLargeError", "", "send", sdkMessage{Body: make([]byte, 256<<10+1)})
		w.works(t, id.DeviceID, c)
	})
	p.over(t, everyTransport, "a batch", func(t *testing.T, w *way) {
		id, c := w.open(t)
		batch := []sdkMessage{{Body: []byte("a"), Properties: props("x", "ü €", "y", "")}, {Body: allBytes()}, {}}
		if w.transport != "https" { // the SDK has it nowhere else
			c.fails(t, "NotImplementedError", "", "sendBatch", batch)
			return
		}
		c.gives(t, `"MessageEnqueued"`, "sendBatch", batch)
		for _, m := range batch {
			w.reads(t, id.DeviceID, m)
		}
	})
	p.over(t, []string{"mqtt", "mqtt-ws"}, "a model that the device has", func(t *testing.T, w *way) {
		const model = "dtmi:com:example:Thermostat;1"
		d := w.register(t, identity{})
		c := w.client(t, deviceString(d))
		c.do(t, "options", map[string]string{"modelId": model})
		c.do(t, "open", nil)
		m := sdkMessage{Properties: props("dt-subject", "thermostat1")}
		c.do(t, "send", m)
		e := w.events.next(t, d.DeviceID)
		if e.System["dt-dataschema"] != model || e.System["dt-subject"] != "thermostat1" {
			t.Errorf("system properties %v", e.System)
		}
		if tw := answered[struct {
			Model string `json:"modelId"`
		}](t, w.office, "twin", address{DeviceID: d.DeviceID}); tw.Model != model {
			t.Errorf("the twin has model %q", tw.Model)
		}
	})
}
