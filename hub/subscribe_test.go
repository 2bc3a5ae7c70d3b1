package hub_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/hub"
)

var unknownFilters = map[string]string{
	"everything":                  "#",
	"everything of the hub":       "$iothub/#",
	"all devices' telemetry":      "devices/+/messages/events/#",
	"its own telemetry":           "devices/dev-1/messages/events/#",
	"another device's messages":   "devices/dev-2/messages/devicebound/#",
	"another device's inputs":     "devices/dev-2/modules/mod/inputs/#",
	"a module's inputs":           "devices/dev-1/modules/mod/inputs/#",
	"a topic of nobody":           "hello/world",
	"a filter of the DPS":         "$dps/registrations/res/#",
	"twin responses without hash": "$iothub/twin/res/",
}

func TestSubscribeUnknownFilterCloses(t *testing.T) {
	for name, filter := range unknownFilters {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.write(subscribePacket(t, 1, subscription{c2dFilter, 1}, subscription{filter, 1}))
				p.closed()
				sendC2D(t, h, dev, "hi")
				connect(t, h, dev, nil).ping() // nothing was subscribed
			})
		})
	}
}

func TestSubscribeUnknownFilterRefused(t *testing.T) {
	for name, filter := range unknownFilters {
		t.Run(name, func(t *testing.T) {
			bubble(t, &hub.Config{RefuseFilters: true}, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.write(subscribePacket(t, 1, subscription{filter, 1}, subscription{c2dFilter, 1}))
				if codes := p.suback(1); !cmp.Equal(codes, []byte{0x80, 1}) {
					t.Errorf("codes %v", codes)
				}
				p.ping()
			})
		})
	}
}

// TestTooManySubscriptionsInOnePacket has none of them granted.
func TestTooManySubscriptionsInOnePacket(t *testing.T) {
	bubble(t, &hub.Config{MaxSubscriptions: 2}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(subscribePacket(t, 2, subscription{c2dFilter, 0}, subscription{twinResponses, 0}, subscription{desiredFilter, 0}))
		p.closed()
		sendC2D(t, h, dev, "hi")
		connect(t, h, dev, nil).silent()
	})
}

// TestEveryPrefixOfSubscribe ends the stream inside a packet, everywhere.
func TestEveryPrefixOfSubscribe(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		sendC2D(t, h, dev, "hi")
		whole := subscribePacket(t, 1, subscription{c2dFilter, 1}, subscription{methodFilter, 0}).AppendTo(nil)
		for n := 1; n < len(whole); n++ {
			p := connect(t, h, dev, nil)
			p.raw(whole[:n])
			p.cut()
		}
		synctest.Wait()
		connect(t, h, dev, nil).silent()
	})
}
