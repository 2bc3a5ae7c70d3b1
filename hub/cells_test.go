package hub_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/ws"
)

// What CONFORMANCE.md says of the hub that no client of ours does, over each way there.

// overBothMQTT runs a test over TCP and through a WebSocket. It is given a function that
// logs dev in, with a CONNECT that may be changed.
func overBothMQTT(t *testing.T, test func(t *testing.T, h *hub.Hub, login func(func(*mqtt.Connect)) *peer)) {
	t.Helper()
	for name, open := range map[string]func(*testing.T, *hub.Hub) *peer{
		"mqtt":    func(t *testing.T, h *hub.Hub) *peer { return open(t, h, nil) },
		"mqtt-ws": func(t *testing.T, h *hub.Hub) *peer { return openTunnel(t, h, ws.DialOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				test(t, h, func(adapt func(*mqtt.Connect)) *peer {
					t.Helper()
					m := connectPacket(t, h, dev)
					if adapt != nil {
						adapt(m)
					}
					p := open(t, h)
					p.write(m)
					if ack := p.connack(); ack.Code != mqtt.Accepted {
						t.Fatalf("CONNACK %d", ack.Code)
					}
					return p
				})
			})
		})
	}
}

func TestWhatMQTTHasNot(t *testing.T) {
	overBothMQTT(t, func(t *testing.T, h *hub.Hub, login func(func(*mqtt.Connect)) *peer) {
		p := login(nil)
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 2, ID: 1})
		p.closed()

		p = login(nil)
		p.write(subscribePacket(t, 1, subscription{c2dFilter, 2}))
		if codes := p.suback(1); !slices.Equal(codes, []byte{1}) {
			t.Errorf("a subscription at QoS 2 is granted %v", codes)
		}
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 2, Retain: true})
		p.puback(2)
		p.ping() // nothing was retained that a subscriber would get
		for _, filter := range []string{"#", "devices/+/messages/events/#", "hello/world"} {
			p.write(subscribePacket(t, 3, subscription{filter, 0}))
			p.closed()
			p = login(nil)
		}
		p.write(&mqtt.Publish{Topic: []byte("hello/world"), QoS: 1, ID: 4})
		p.closed()
		evs := events(t, h)
		if len(evs) != 1 || !slices.Equal(evs[0].Properties, []hubwire.Property{{Name: "mqtt-retain", Value: "true"}}) {
			t.Errorf("%d events are in the log", len(evs))
		}
	})
}

func TestFiveSubscriptions(t *testing.T) {
	overBothMQTT(t, func(t *testing.T, _ *hub.Hub, login func(func(*mqtt.Connect)) *peer) {
		five := []string{c2dFilter, "devices/+/messages/devicebound/#", twinResponses, desiredFilter, methodFilter}
		p := login(nil)
		p.subscribe(five...)
		p.write(subscribePacket(t, 2, subscription{"$iothub/methods/POST/x/#", 0}))
		p.closed()
		login(nil).subscribe(five...)
	})
}

func TestHowLongAClientMayBeSilent(t *testing.T) {
	overBothMQTT(t, func(t *testing.T, _ *hub.Hub, login func(func(*mqtt.Connect)) *peer) {
		for keepAlive, want := range map[uint16]time.Duration{
			10: 15 * time.Second, 1177: 1765500 * time.Millisecond, 1200: 1767 * time.Second, 0: 1767 * time.Second,
		} {
			p := login(func(m *mqtt.Connect) { m.KeepAlive = keepAlive })
			time.Sleep(want - time.Millisecond)
			p.ping()
			start := time.Now()
			p.ends()
			if took := time.Since(start); took != want {
				t.Errorf("with a keep-alive of %d s it was closed after %v, want %v", keepAlive, took, want)
			}
		}
	})
}

func TestAnMQTTConnectionIsOfOneIdentity(t *testing.T) {
	overBothMQTT(t, func(t *testing.T, h *hub.Hub, login func(func(*mqtt.Connect)) *peer) {
		p := login(nil)
		p.write(connectPacket(t, h, other))
		p.closed()
		if h.Connected(other) {
			t.Error("the second device of a connection is connected")
		}
		first, second := login(nil), login(nil)
		first.closed()
		second.ping()
	})
}

// TestAMQPTelemetryThatNobodySettles is AMQP's way to send at most once.
func TestAMQPTelemetryThatNobodySettles(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, *hub.Hub) *amqpClient{
		"amqp":    func(t *testing.T, h *hub.Hub) *amqpClient { return dialAMQP(t, h, nil) },
		"amqp-ws": func(t *testing.T, h *hub.Hub) *amqpClient { return dialAMQPWS(t, h) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				c := dial(t, h)
				c.login(h, dev)
				settled := goamqp.SenderSettleModeSettled
				s := sender(t, c.session(), eventsAddress(dev), &goamqp.SenderOptions{SettlementMode: &settled})
				if err := s.Send(t.Context(), goamqp.NewMessage([]byte("loose")), nil); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if evs := events(t, h); len(evs) != 1 || string(evs[0].Body) != "loose" {
					t.Errorf("%d messages are in the log", len(evs))
				}
			})
		})
	}
}
