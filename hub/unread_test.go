package hub_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/ws"
)

// TestWhoLeavesWithoutReading has a device that sends and is gone, with the hub's answers unread: what it
// sent counts, and so does the good-bye behind it.
func TestWhoLeavesWithoutReading(t *testing.T) {
	const n = 200
	opens := map[string]func(t *testing.T, h *hub.Hub) *peer{
		"mqtt":    func(t *testing.T, h *hub.Hub) *peer { return open(t, h, nil) },
		"mqtt-ws": func(t *testing.T, h *hub.Hub) *peer { return openTunnel(t, h, ws.DialOptions{}) },
	}
	for protocol, open := range opens {
		for _, qos := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce} {
			for _, early := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, QoS %d, CONNACK unread %v", protocol, qos, early), func(t *testing.T) {
					bubble(t, nil, func(t *testing.T, h *hub.Hub) {
						login := connectPacket(t, h, dev)
						login.Will.Topic = []byte(telemetryTopic)
						p := open(t, h)
						p.write(login)
						if !early {
							p.connack()
						}
						p.write(&mqtt.Pingreq{})
						for i := range uint16(n) {
							m := &mqtt.Publish{Topic: []byte(telemetryTopic), Payload: bytes.Repeat([]byte("x"), 100), QoS: qos}
							if qos == mqtt.AtLeastOnce {
								m.ID = i + 1
							}
							p.write(m)
						}
						p.write(&mqtt.Disconnect{})
						p.cut()
						synctest.Wait()
						if evs := events(t, h); len(evs) != n {
							t.Errorf("%d events, want %d and no will", len(evs), n)
						}
					})
				})
			}
		}
	}
}
