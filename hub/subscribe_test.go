package hub_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

func TestSubscribeKnownFilters(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		// The C SDK asks for all at once.
		p := connect(t, h, dev, nil)
		p.write(subscribePacket(t, 3, subscription{c2dFilter, 1}, subscription{"$iothub/twin/res/#", 0},
			subscription{"$iothub/twin/PATCH/properties/desired/#", 0}, subscription{"$iothub/methods/POST/#", 2}))
		if codes := p.suback(3); !cmp.Equal(codes, []byte{1, 0, 0, 1}) {
			t.Errorf("codes %v", codes)
		}
	})
}

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

// TestSubscribeEveryFilter asks for each filter that a device or module of
// some SDK asks for.
func TestSubscribeEveryFilter(t *testing.T) {
	tests := []struct {
		id     hubwire.Identity
		filter string
	}{
		{dev, c2dFilter},
		{dev, "devices/+/messages/devicebound/#"},
		{dev, twinResponses},
		{dev, desiredFilter},
		{dev, methodFilter},
		{mod, "devices/dev-1/modules/mod/messages/devicebound/#"},
		{mod, inputsFilter},
		{mod, "devices/dev-1/modules/mod/#"},
		{mod, twinResponses},
		{mod, desiredFilter},
		{mod, methodFilter},
	}
	for _, tt := range tests {
		t.Run(tt.id.String()+" "+tt.filter, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, tt.id, nil)
				p.write(subscribePacket(t, 1, subscription{tt.filter, 2}, subscription{tt.filter, 0}))
				if codes := p.suback(1); !cmp.Equal(codes, []byte{1, 0}) {
					t.Errorf("codes %v", codes)
				}
				p.ping()
			})
		})
	}
}

// TestSixSubscriptionsClose has a device ask for the five that it may have, one
// by one and again, and then for one more.
func TestSixSubscriptionsClose(t *testing.T) {
	five := []string{c2dFilter, "devices/+/messages/devicebound/#", twinResponses, desiredFilter, methodFilter}
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		for range 2 {
			for _, f := range five {
				p.subscribe(f)
			}
		}
		p.subscribe(five...)
		p.write(subscribePacket(t, 2, subscription{"$iothub/methods/POST/reboot/#", 0}))
		p.closed()
		connect(t, h, dev, nil).subscribe(five...) // none was lost, and none won
	})
	t.Run("in one packet", func(t *testing.T) {
		bubble(t, &hub.Config{MaxSubscriptions: 2}, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.write(subscribePacket(t, 2, subscription{five[0], 0}, subscription{five[2], 0}, subscription{five[3], 0}))
			p.closed()
			sendC2D(t, h, dev, "hi")
			connect(t, h, dev, nil).silent()
		})
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

func TestUnsubscribe(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter, "$iothub/methods/POST/#")
		var names mqtt.FilterNames
		for _, f := range []string{c2dFilter, "never/subscribed"} {
			var err error
			if names, err = mqtt.AppendFilterName(names, f); err != nil {
				t.Fatal(err)
			}
		}
		p.write(&mqtt.Unsubscribe{ID: 5, Filters: names})
		if m, err := mqtt.ParseUnsuback(p.read(mqtt.TypeUnsuback)); err != nil || m.ID != 5 {
			t.Errorf("%+v, %v", m, err)
		}
		sendC2D(t, h, dev, "hi")
		p.silent()
		p.bye()
		p = connect(t, h, dev, nil) // it is gone from the kept session too
		p.silent()
		p.subscribe(c2dFilter)
		p.expect("hi", 1, false)
	})
}
