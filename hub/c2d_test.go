package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

const c2dFilter = "devices/dev-1/messages/devicebound/#"

func sendC2D(t testing.TB, h *hub.Hub, to hubwire.Identity, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		if err := h.SendC2D(t.Context(), to, &hubwire.Message{Body: []byte(b), ID: b, Ack: hubwire.AckFull}); err != nil {
			t.Fatal(err)
		}
	}
}

// expect reads a message, and checks it.
func (p *peer) expect(body string, qos mqtt.QoS, dup bool) mqtt.Publish {
	p.t.Helper()
	m := p.publish()
	if string(m.Payload) != body || m.QoS != qos || m.Dup != dup || m.Retain {
		p.t.Fatalf("body %q, QoS %d, DUP %v, want %q, %d, %v", m.Payload, m.QoS, m.Dup, body, qos, dup)
	}
	return m
}

func queueLength(t testing.TB, h *hub.Hub, id hubwire.Identity) int {
	t.Helper()
	n, err := h.QueueLength(id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestC2D(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		err := h.SendC2D(t.Context(), dev, &hubwire.Message{
			Body: []byte("hi"), ID: "m 1", CorrelationID: "c", ContentType: "text/plain",
			Ack: hubwire.AckPositive, Properties: []hubwire.Property{{Name: "a b", Value: "~!*'()"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		m := p.expect("hi", 1, false)
		const want = "devices/dev-1/messages/devicebound/%24.cid=c&%24.mid=m%201&%24.to=%2Fdevices%2Fdev-1%2Fmessages%2Fdevicebound" +
			"&%24.ct=text%2Fplain&iothub-ack=positive&a%20b=%7E%21%2A%27%28%29"
		if diff := cmp.Diff(want, string(m.Topic)); diff != "" {
			t.Errorf("topic (-want +got)\n%s", diff)
		}
		if m.ID == 0 || m.ID > 0x3fff {
			t.Errorf("packet identifier %d", m.ID)
		}
		if n := queueLength(t, h, dev); n != 1 {
			t.Errorf("queue length %d before PUBACK", n)
		}
		p.write(&mqtt.Puback{ID: m.ID})
		p.write(&mqtt.Puback{ID: m.ID}) // once more does no harm
		p.ping()
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("queue length %d after PUBACK", n)
		}
		fb, err := h.Feedback(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantFB := []hub.Feedback{{MessageID: "m 1", Status: "Success", Identity: dev}}
		if diff := cmp.Diff(wantFB, fb, cmpopts.IgnoreFields(hub.Feedback{}, "Time", "GenerationID")); diff != "" {
			t.Errorf("feedback (-want +got)\n%s", diff)
		}
	})
}

// TestInputsAreNotPurgedWithC2D has a module that is subscribed to its inputs alone.
func TestInputsAreNotPurgedWithC2D(t *testing.T) {
	bubble(t, &hub.Config{PurgeUnsubscribed: true}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, mod, nil)
		p.subscribe(inputsFilter)
		p.bye()
		sendC2D(t, h, mod, "gone")
		if err := h.SendInput(t.Context(), mod, "in", &hubwire.Message{Body: []byte("kept")}); err != nil {
			t.Fatal(err)
		}
		connect(t, h, mod, nil).expect("kept", 1, false)
		if n := queueLength(t, h, mod); n != 1 {
			t.Errorf("queue length %d", n)
		}
		fb, err := h.Feedback(t.Context())
		if err != nil || len(fb) != 1 || fb[0].MessageID != "gone" || fb[0].Status != "Purged" {
			t.Errorf("feedback %+v, %v", fb, err)
		}
	})
}

func TestC2DComesRightAfterConnack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		p.bye()
		sendC2D(t, h, dev, "a", "b")
		p, present := connectPresent(t, h, dev, nil)
		if !present {
			t.Error("session present is 0")
		}
		p.expect("a", 1, false)
		p.expect("b", 1, false)
		p.cut()
		synctest.Wait()

		p = connect(t, h, dev, nil)
		m := p.expect("a", 1, true) // delivered before, and not acknowledged
		p.expect("b", 1, true)
		p.write(&mqtt.Puback{ID: m.ID})
		p.bye()
		connect(t, h, dev, nil).expect("b", 1, true)
	})
}

// TestC2DComesAgainWhenTheWindowIsFull has a device acknowledge nothing: what it was sent
// comes again, and nothing else.
func TestC2DComesAgainWhenTheWindowIsFull(t *testing.T) {
	bubble(t, &hub.Config{LockTimeout: time.Minute}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		for i := range 20 {
			sendC2D(t, h, dev, fmt.Sprint(i))
		}
		for again := range 3 {
			for i := range 16 {
				p.expect(fmt.Sprint(i), 1, again > 0)
			}
			p.silent()
			time.Sleep(time.Minute)
		}
	})
}

// TestC2DSettledLate has a PUBACK come when the lock of its delivery has run out: it
// is taken for the one that followed, which has the same identifier.
func TestC2DSettledLate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "a", "b")
		a, b := p.expect("a", 1, false), p.expect("b", 1, false)
		time.Sleep(61 * time.Second)
		p.write(&mqtt.Puback{ID: a.ID})
		if again := p.expect("a", 1, true); again.ID != a.ID {
			t.Errorf("identifier %d, and %d when it came again", a.ID, again.ID)
		}
		p.expect("b", 1, true)
		p.ping()
		if n := queueLength(t, h, dev); n != 1 {
			t.Errorf("queue length %d", n)
		}
		p.write(&mqtt.Puback{ID: b.ID})
		p.ping()
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("queue length %d", n)
		}
	})
}

// TestC2DThatIsGoneMakesRoom has a device that never settles: what it was sent
// must not fill the window for ever.
func TestC2DThatIsGoneMakesRoom(t *testing.T) {
	fill := func(t *testing.T, h *hub.Hub) *peer {
		p := connect(t, h, dev, func(m *mqtt.Connect) { m.KeepAlive = 0 })
		p.subscribe(c2dFilter)
		for i := range 16 {
			sendC2D(t, h, dev, fmt.Sprint(i))
			p.expect(fmt.Sprint(i), 1, false)
		}
		return p
	}
	t.Run("when it has expired", func(t *testing.T) {
		bubble(t, &hub.Config{DefaultTTL: 10 * time.Minute, LockTimeout: 20 * time.Minute}, func(t *testing.T, h *hub.Hub) {
			p := fill(t, h)
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("next"), Expiry: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			p.expect("next", 1, false)
			if took := time.Since(start); took != 20*time.Minute {
				t.Errorf("it came after %v, want when the locks are over", took)
			}
		})
	})
	t.Run("when it was purged", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			p := fill(t, h)
			if n, err := h.Purge(t.Context(), dev); n != 16 || err != nil {
				t.Fatalf("Purge = %d, %v", n, err)
			}
			sendC2D(t, h, dev, "next")
			p.expect("next", 1, false)
		})
	})
}
