package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// Sections 2.2, session state, and 2.3, the life of a message to a device.

func desire(t *testing.T, h *hub.Hub, id hubwire.Identity, patch string) {
	t.Helper()
	if _, err := h.PatchTwin(t.Context(), id, hub.TwinUpdate{Desired: json.RawMessage(patch)}, ""); err != nil {
		t.Fatal(err)
	}
}

var sessionRules = []rule{
	{"2.2 session", "CleanSession=0 keeps the subscriptions, and the next CONNACK says session present", nil, func(t *testing.T, h *hub.Hub) {
		p, present := connectPresent(t, h, dev, nil)
		if present {
			t.Error("the first session is present already")
		}
		p.subscribe(c2dFilter)
		p.bye()
		sendC2D(t, h, dev, "hi")
		p, present = connectPresent(t, h, dev, nil)
		if !present {
			t.Error("the kept session is not present")
		}
		p.expect("hi", 1, false)
	}},
	{"2.2 session", "CleanSession=1 forgets the kept session, and keeps none", nil, func(t *testing.T, h *hub.Hub) {
		connect(t, h, dev, nil).subscribe(c2dFilter)
		for _, adapt := range []func(*mqtt.Connect){clean, clean, nil} {
			p, present := connectPresent(t, h, dev, adapt)
			if present {
				t.Error("a session is present")
			}
			sendC2D(t, h, dev, "hi")
			p.silent()
			p.subscribe(c2dFilter)
			p.ack(p.expect("hi", 1, false))
			p.bye()
		}
	}},
	{"2.2 session", "what a clean session leaves unacknowledged comes again when it is subscribed to", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, clean)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		first := p.expect("hi", 1, false)
		p.bye()
		p = connect(t, h, dev, clean)
		p.silent()
		p.subscribe(c2dFilter)
		again := p.expect("hi", 1, true)
		if again.ID != first.ID {
			t.Errorf("identifier %d, then %d", first.ID, again.ID)
		}
		p.ack(again)
		feedback(t, h, "Success")
	}},
	{"2.2 session", "a connection over another protocol takes over, and leaves the kept session alone", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		r := receiver(t, c.session(), addressOf(dev, "messages/devicebound"), nil)
		p.closed()
		sendC2D(t, h, dev, "a")
		if m := receive(t, r); string(m.GetData()) != "a" {
			t.Errorf("%q came over AMQP", m.GetData())
		} else if err := errors.Join(r.AcceptMessage(t.Context(), m), r.Close(t.Context())); err != nil { // else b goes there, too
			t.Error(err)
		}
		sendC2D(t, h, dev, "b")
		p, present := connectPresent(t, h, dev, nil)
		if !present {
			t.Error("the session is gone, and with it the subscriptions that no client makes again")
		}
		p.expect("b", 1, false)
	}},
	{"2.2 session", "each device and module has a session of its own", nil, func(t *testing.T, h *hub.Hub) {
		connect(t, h, dev, nil).bye()
		if _, present := connectPresent(t, h, mod, nil); present {
			t.Error("the module goes on with its device's session")
		}
	}},
	{"2.2 session", "what waits for a kept subscription comes right behind CONNACK, before any SUBSCRIBE", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		p.bye()
		sendC2D(t, h, dev, "a", "b")
		p = connect(t, h, dev, nil)
		p.expect("a", 1, false)
		p.expect("b", 1, false)
	}},
	{"2.2 session", "a client that subscribes once more right away, as .NET does, gets nothing twice", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		p.bye()
		sendC2D(t, h, dev, "hi")
		p = connect(t, h, dev, nil)
		p.expect("hi", 1, false)
		p.subscribe(c2dFilter)
		p.silent()
	}},
	{"2.2 session", "subscriptions to methods, desired changes and twin answers outlive the connection too", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(methodFilter, desiredFilter, twinResponses)
		p.bye()
		p = connect(t, h, dev, nil)
		desire(t, h, dev, `{"a":1}`)
		p.publish()
		invoke(t, h, "m", "", nil)
		p.request()
		p.ask(getTopic+"1", "", 0)
	}},
	{"2.2 session", "messages wait for the subscription, also while the device is connected without it", nil, func(t *testing.T, h *hub.Hub) {
		for _, filter := range []string{c2dFilter, "devices/+/messages/devicebound/#"} {
			sendC2D(t, h, dev, "before")
			p := connect(t, h, dev, clean)
			sendC2D(t, h, dev, "meanwhile")
			p.ping()
			p.subscribe(filter)
			before, meanwhile := p.expect("before", 1, false), p.expect("meanwhile", 1, false)
			p.ack(before)
			p.ack(meanwhile)
			p.bye()
		}
	}},
	{"2.2 session", "as an option, messages without a subscription are dropped as long as the device is connected", &hub.Config{PurgeUnsubscribed: true}, func(t *testing.T, h *hub.Hub) {
		sendC2D(t, h, dev, "before")
		p := connect(t, h, dev, nil)
		feedback(t, h, "Purged")
		sendC2D(t, h, dev, "meanwhile")
		feedback(t, h, "Purged")
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "wanted")
		p.expect("wanted", 1, false)
		p.unsubscribe(c2dFilter)
		feedback(t, h, "Purged")
		p.subscribe(c2dFilter)
		p.bye()
		sendC2D(t, h, dev, "kept") // the kept subscription holds it
		connect(t, h, dev, nil).expect("kept", 1, false)
	}},
	{"2.2 session", "UNSUBSCRIBE ends a subscription, in the kept session too", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter, methodFilter)
		p.unsubscribe(c2dFilter, "never/subscribed")
		sendC2D(t, h, dev, "hi")
		p.silent()
		p.bye()
		p = connect(t, h, dev, nil)
		p.silent()
		invoke(t, h, "m", "", nil)
		p.request()
	}},
	{"2.2 session", "two filters that mean the same bring a message once, at the higher QoS", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(subscribePacket(t, 1, subscription{c2dFilter, 0}, subscription{"devices/+/messages/devicebound/#", 1}))
		p.suback(1)
		sendC2D(t, h, dev, "hi")
		p.expect("hi", 1, false)
		p.silent()
	}},
	{"2.2 session", "five filters are the most, and one that is there does not count again", nil, func(t *testing.T, h *hub.Hub) {
		five := []string{c2dFilter, "devices/+/messages/devicebound/#", twinResponses, desiredFilter, methodFilter}
		p := connect(t, h, dev, nil)
		p.subscribe(five...)
		p.subscribe(five...)
		p.write(subscribePacket(t, 2, subscription{"$iothub/methods/POST/x/#", 0}))
		p.closed()
		connect(t, h, dev, nil).subscribe(five...) // none was lost, and none won
	}},
	{"2.2 session", "the newest connection of an identity wins, and the older one ends without a packet", nil, func(t *testing.T, h *hub.Hub) {
		first, bystander := connect(t, h, dev, nil), connect(t, h, mod, nil)
		second := connect(t, h, dev, nil)
		first.closed()
		second.ping()
		bystander.ping()
	}},
}

var c2dQueueRules = []rule{
	{"2.3 C2D lifecycle", "50 messages wait for a device at most", nil, func(t *testing.T, h *hub.Hub) {
		for i := range hubwire.MaxC2DQueue {
			sendC2D(t, h, dev, fmt.Sprint(i))
		}
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{}); !errors.Is(err, hubwire.QueueDepthExceeded) {
			t.Errorf("the 51st: %v", err)
		}
		sendC2D(t, h, other, "the others have a queue of their own")
	}},
	{"2.3 C2D lifecycle", "messages come in the order in which they were sent", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		for i := range 100 {
			sendC2D(t, h, dev, fmt.Sprint(i))
			p.ack(p.expect(fmt.Sprint(i), 1, false))
		}
	}},
	{"2.3 C2D lifecycle", "PUBACK completes a message, and until then it waits", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		m := p.expect("hi", 1, false)
		if n := queueLength(t, h, dev); n != 1 {
			t.Errorf("queue length %d before PUBACK", n)
		}
		p.ack(m)
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("queue length %d after PUBACK", n)
		}
	}},
	{"2.3 C2D lifecycle", "completion gives feedback Success to who asked for positive or full, and to nobody else", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		for ack, status := range map[hubwire.Ack]string{hubwire.AckPositive: "Success", hubwire.AckFull: "Success", hubwire.AckNegative: "", hubwire.AckNone: "", "": ""} {
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Ack: ack}); err != nil {
				t.Fatal(err)
			}
			p.ack(p.publish())
			feedback(t, h, status)
		}
	}},
	{"2.3 C2D lifecycle", "a message at QoS 0 is complete when it is sent", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(subscribePacket(t, 1, subscription{c2dFilter, 0}))
		p.suback(1)
		sendC2D(t, h, dev, "hi")
		p.expect("hi", 0, false)
		feedback(t, h, "Success")
	}},
	{"2.3 C2D lifecycle", "a message is locked for a minute, then comes again", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		start := time.Now()
		p.expect("hi", 1, false)
		p.ack(p.expect("hi", 1, true))
		if took := time.Since(start); took != time.Minute {
			t.Errorf("again after %v", took)
		}
		feedback(t, h, "Success")
	}},
	{"2.3 C2D lifecycle", "neither the end of a lock nor that of a connection counts as a delivery", &hub.Config{MaxDeliveryCount: 1}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		p.expect("hi", 1, false)
		p.expect("hi", 1, true)
		p.cut()
		for range 3 {
			p = connect(t, h, dev, nil)
			p.expect("hi", 1, true)
			p.cut()
			synctest.Wait()
		}
	}},
	{"2.3 C2D lifecycle", "a message that expires on its way can be completed as long as its lock lasts, and comes no more", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		for body, want := range map[string]string{"in time": "Success", "too late": "Expired"} {
			m := &hubwire.Message{Body: []byte(body), Ack: hubwire.AckFull, Expiry: time.Now().Add(30 * time.Second)}
			if err := h.SendC2D(t.Context(), dev, m); err != nil {
				t.Fatal(err)
			}
			got := p.expect(body, 1, false)
			time.Sleep(59 * time.Second)
			if want == "Expired" {
				time.Sleep(2 * time.Second)
			}
			p.ack(got)
			feedback(t, h, want)
		}
		p.silent()
	}},
	{"2.3 C2D lifecycle", "QoS 0 that is granted later completes also what was sent at QoS 1, when it comes again", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		first := p.expect("hi", 1, false)
		p.write(subscribePacket(t, 1, subscription{c2dFilter, 0}))
		p.suback(1)
		p.expect("hi", 0, false)
		feedback(t, h, "Success")
		p.ack(first) // of what is gone
		p.silent()
	}},
	{"2.3 C2D lifecycle", "a message that names no expiry lives for an hour", nil, func(t *testing.T, h *hub.Hub) {
		start := time.Now()
		sendC2D(t, h, dev, "hi")
		feedback(t, h, "Expired")
		if took := time.Since(start); took != time.Hour {
			t.Errorf("it expired after %v", took)
		}
	}},
	{"2.3 C2D lifecycle", "no message lives for more than two days", nil, func(t *testing.T, h *hub.Hub) {
		start := time.Now()
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Ack: hubwire.AckNegative, Expiry: start.Add(1000 * time.Hour)}); err != nil {
			t.Fatal(err)
		}
		feedback(t, h, "Expired")
		if took := time.Since(start); took != 48*time.Hour {
			t.Errorf("it expired after %v", took)
		}
	}},
	{"2.3 C2D lifecycle", "PUBACKs are taken in any order, and one that completes nothing is ignored", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "a", "b", "c")
		var ms []mqtt.Publish
		for _, body := range []string{"a", "b", "c"} {
			ms = append(ms, p.expect(body, 1, false))
		}
		slices.Reverse(ms)
		for _, m := range ms {
			p.ack(m)
			p.ack(m)
		}
		p.ack(mqtt.Publish{ID: 0x7fff})
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("queue length %d", n)
		}
	}},
	{"2.3 C2D lifecycle", "what no topic can hold is rejected, and does not stand in the way", nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		m := &hubwire.Message{Ack: hubwire.AckNegative, Properties: []hubwire.Property{{Name: "a", Value: strings.Repeat(" ", 30_000)}}}
		if err := h.SendC2D(t.Context(), dev, m); err != nil {
			t.Fatal(err)
		}
		sendC2D(t, h, dev, "next")
		p.expect("next", 1, false)
		feedback(t, h, "Rejected")
	}},
}
