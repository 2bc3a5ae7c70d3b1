package hub_test

import (
	"errors"
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

// TestC2DTopic has all that a service can set, in the order that the hub was seen to write.
func TestC2DTopic(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		err := h.SendC2D(t.Context(), dev, &hubwire.Message{
			ID: "mid", CorrelationID: "cid", UserID: "uid", To: "/devices/dev-1/messages/deviceBound", ContentType: "ct", ContentEncoding: "ce",
			Expiry: time.Now().Add(time.Hour), CreationTime: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), Ack: hubwire.AckFull,
			Properties: []hubwire.Property{{Name: "b", Value: "größe"}, {Name: "a", Value: "x/y=z&-._"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		const want = "devices/dev-1/messages/devicebound/%24.exp=2000-01-01T01%3A00%3A00.0000000Z&%24.cid=cid&%24.mid=mid" +
			"&%24.to=%2Fdevices%2Fdev-1%2Fmessages%2FdeviceBound&%24.ct=ct&%24.ce=ce&%24.uid=uid&%24.ctime=2020-01-02T03%3A04%3A05.0000000Z" +
			"&iothub-ack=full&b=gr%C3%B6%C3%9Fe&a=x%2Fy%3Dz%26-._"
		if diff := cmp.Diff(want, string(p.publish().Topic)); diff != "" {
			t.Errorf("topic (-want +got)\n%s", diff)
		}
	})
}

func TestC2DBagIsNeverEmpty(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
		const want = "devices/dev-1/messages/devicebound/%24.to=%2Fdevices%2Fdev-1%2Fmessages%2Fdevicebound"
		if m := p.expect("", 1, false); string(m.Topic) != want {
			t.Errorf("topic %q", m.Topic)
		}
	})
}

func TestC2DQoS(t *testing.T) {
	for asked, granted := range map[mqtt.QoS]mqtt.QoS{0: 0, 1: 1, 2: 1} {
		t.Run(fmt.Sprintf("asked for %d", asked), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.write(subscribePacket(t, 1, subscription{c2dFilter, asked}))
				if codes := p.suback(1); !cmp.Equal(codes, []byte{byte(granted)}) {
					t.Errorf("granted %v", codes)
				}
				sendC2D(t, h, dev, "hi")
				p.expect("hi", granted, false)
				p.ping()
				if n := queueLength(t, h, dev); n != int(granted) {
					t.Errorf("queue length %d", n)
				}
			})
		})
	}
}

func TestC2DWaitsForTheSubscription(t *testing.T) {
	for name, filter := range map[string]string{"with the id": c2dFilter, "with a plus": "devices/+/messages/devicebound/#"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				sendC2D(t, h, dev, "a", "b")
				p := connect(t, h, dev, nil)
				p.ping()
				p.write(subscribePacket(t, 9, subscription{filter, 1}))
				p.suback(9)
				p.expect("a", 1, false)
				p.expect("b", 1, false)
			})
		})
	}
}

func TestC2DPurgedWithoutSubscription(t *testing.T) {
	bubble(t, &hub.Config{PurgeUnsubscribed: true}, func(t *testing.T, h *hub.Hub) {
		sendC2D(t, h, dev, "a", "b")
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		p.ping()
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("queue length %d", n)
		}
		p.bye()
		sendC2D(t, h, dev, "c")
		connect(t, h, dev, nil).expect("c", 1, false) // the kept subscription holds it
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

// TestC2DKeepsItsPacketIdentifier has a message come again over the next
// connection, behind one that was acknowledged.
func TestC2DKeepsItsPacketIdentifier(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "a", "b")
		a, b := p.expect("a", 1, false), p.expect("b", 1, false)
		p.write(&mqtt.Puback{ID: a.ID})
		p.ping()
		p.cut()
		if again := connect(t, h, dev, nil).expect("b", 1, true); again.ID != b.ID || a.ID == b.ID {
			t.Errorf("identifiers %d and %d, and %d for the second when it came again", a.ID, b.ID, again.ID)
		}
	})
}

func TestC2DWindow(t *testing.T) {
	bubble(t, &hub.Config{LockTimeout: time.Hour}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		for i := range 20 {
			sendC2D(t, h, dev, fmt.Sprint(i))
		}
		var ids []uint16
		for i := range 16 {
			ids = append(ids, p.expect(fmt.Sprint(i), 1, false).ID)
		}
		p.silent()
		p.write(&mqtt.Puback{ID: ids[3]}, &mqtt.Puback{ID: ids[0]}) // in any order
		p.expect("16", 1, false)
		p.expect("17", 1, false)
		p.silent()
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

func TestC2DComesAgainWhenItsLockRunsOut(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		start := time.Now()
		first := p.expect("hi", 1, false)
		second := p.expect("hi", 1, true)
		if took := time.Since(start); took != time.Minute || second.ID != first.ID {
			t.Errorf("again after %v, with identifier %d, want a minute and %d", took, second.ID, first.ID)
		}
		p.write(&mqtt.Puback{ID: first.ID})
		p.ping()
		if n := queueLength(t, h, dev); n != 0 {
			t.Errorf("queue length %d", n)
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

func TestC2DQueueIsBounded(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		for i := range hubwire.MaxC2DQueue {
			sendC2D(t, h, dev, fmt.Sprint(i))
		}
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{}); !errors.Is(err, hubwire.QueueDepthExceeded) {
			t.Errorf("the 51st: %v", err)
		}
		if n, err := h.Purge(t.Context(), dev); n != hubwire.MaxC2DQueue || err != nil {
			t.Errorf("Purge = %d, %v", n, err)
		}
	})
}

// TestC2DThatCannotBeSent has properties that are legal, and too long for an
// MQTT topic once they are encoded.
func TestC2DThatCannotBeSent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		value := make([]byte, 30_000)
		for i := range value {
			value[i] = ' '
		}
		m := &hubwire.Message{ID: "long", Ack: hubwire.AckFull, Properties: []hubwire.Property{{Name: "a", Value: string(value)}}}
		if err := h.SendC2D(t.Context(), dev, m); err != nil {
			t.Fatal(err)
		}
		sendC2D(t, h, dev, "next")
		p.expect("next", 1, false)
		fb, err := h.Feedback(t.Context())
		if err != nil || len(fb) != 1 || fb[0].MessageID != "long" || fb[0].Status != "Rejected" {
			t.Errorf("feedback %+v, %v", fb, err)
		}
	})
}

func TestModuleMessages(t *testing.T) {
	tests := []struct {
		name, filter, topic string
		send                func(t *testing.T, h *hub.Hub) error
	}{
		{"an input by the inputs filter", "devices/dev-1/modules/mod/inputs/#", "devices/dev-1/modules/mod/inputs/in/%24.to=%2Fdevices%2Fdev-1%2Fmodules%2Fmod%2Finputs%2Fin",
			func(t *testing.T, h *hub.Hub) error {
				return h.SendInput(t.Context(), mod, "in", &hubwire.Message{Body: []byte("hi")})
			}},
		{"an input by the filter of the C and .NET SDKs", "devices/dev-1/modules/mod/#", "devices/dev-1/modules/mod/inputs/in/%24.mid=7&%24.to=%2Fdevices%2Fdev-1%2Fmodules%2Fmod%2Finputs%2Fin",
			func(t *testing.T, h *hub.Hub) error {
				return h.SendInput(t.Context(), mod, "in", &hubwire.Message{Body: []byte("hi"), ID: "7"})
			}},
		{"C2D by Java's filter", "devices/dev-1/modules/mod/messages/devicebound/#",
			"devices/dev-1/modules/mod/messages/devicebound/%24.to=%2Fdevices%2Fdev-1%2Fmodules%2Fmod%2Fmessages%2Fdevicebound",
			func(t *testing.T, h *hub.Hub) error {
				return h.SendC2D(t.Context(), mod, &hubwire.Message{Body: []byte("hi")})
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, mod, nil)
				p.subscribe(tt.filter)
				if err := tt.send(t, h); err != nil {
					t.Fatal(err)
				}
				m := p.expect("hi", 1, false)
				if diff := cmp.Diff(tt.topic, string(m.Topic)); diff != "" {
					t.Errorf("topic (-want +got)\n%s", diff)
				}
				p.write(&mqtt.Puback{ID: m.ID})
				p.ping()
				if n := queueLength(t, h, mod); n != 0 {
					t.Errorf("queue length %d", n)
				}
			})
		})
	}
}
