package hub_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// flood is something that the hub has for a device, more than the network holds.
type flood struct {
	name   string
	id     hubwire.Identity // of the device that does not read
	filter string
	qos    mqtt.QoS
	push   func(t *testing.T, h *hub.Hub, quick *peer)
	waits  int // messages in its queue at least, when it was dropped
}

var floods = []flood{
	{"direct methods", dev, methodFilter, 0, func(t *testing.T, h *hub.Hub, _ *peer) {
		payload := fmt.Appendf(nil, "%q", strings.Repeat("x", 100_000))
		for range 60 {
			go h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m", Payload: payload}, nil)
		}
	}, 0},
	{"changes of desired properties", dev, "$iothub/twin/PATCH/properties/desired/#", 0, func(t *testing.T, h *hub.Hub, _ *peer) {
		for i := range 40 {
			desired := fmt.Appendf(nil, `{"n":%d,"a":%q,"b":%q}`, i, strings.Repeat("x", 4000), strings.Repeat("y", 4000))
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: desired}, ""); err != nil {
				t.Fatal(err)
			}
		}
	}, 0},
	{"messages", dev, c2dFilter, 1, fillQueue, 50},
	{"messages at QoS 0", dev, c2dFilter, 0, fillQueue, 5}, // the others are being written or come next, up to 4 and a window of 16 each
	{"what a route brings", mod, "devices/dev-1/modules/mod/inputs/#", 1, func(_ *testing.T, _ *hub.Hub, quick *peer) {
		for i := range uint16(60) { // ten more than its queue takes
			quick.write(&mqtt.Publish{Topic: []byte("devices/dev-2/messages/events/"), QoS: 1, ID: i + 1, Payload: make([]byte, 60_000)})
			quick.puback(i + 1)
		}
	}, 50},
}

// fillQueue sends as many messages as can wait. The hub has done with each what it can before the next: of those that
// come while somebody hands others on, up to a window goes on its way at once.
func fillQueue(t *testing.T, h *hub.Hub, _ *peer) {
	m := &hubwire.Message{Body: make([]byte, 60_000)}
	for range hubwire.MaxC2DQueue {
		if err := h.SendC2D(t.Context(), dev, m); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
}

// TestSlowConsumerIsolates has a device that reads nothing any more while the hub
// pushes to it. Others do not notice, the hub keeps a bounded amount, and the device
// is dropped when it did not take a write in WriteTimeout.
func TestSlowConsumerIsolates(t *testing.T) {
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			cfg := &hub.Config{WriteTimeout: 20 * time.Second, Routes: []hub.Route{{From: other, To: mod, Input: "in"}}}
			bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
				slow, quick := connect(t, h, f.id, nil), connect(t, h, other, nil)
				slow.write(subscribePacket(t, 1, subscription{f.filter, f.qos}))
				slow.suback(1)
				quick.subscribe("devices/dev-2/messages/devicebound/#", methodFilter)
				before, start := heap(), time.Now()
				f.push(t, h, quick)
				synctest.Wait()
				worksAsUsual(t, h, quick)
				if took := time.Since(start); took != 0 {
					t.Errorf("others waited %v", took)
				}
				if held := heap() - before; held > 20<<20 {
					t.Errorf("the hub holds %d bytes for it", held)
				}
				for h.Connected(f.id) {
					time.Sleep(time.Second)
				}
				if took := time.Since(start); took < 20*time.Second || took > 21*time.Second {
					t.Errorf("it was dropped after %v", took)
				}
				if n := queueLength(t, h, f.id); n < f.waits {
					t.Errorf("%d messages wait, want %d at least", n, f.waits)
				}
				worksAsUsual(t, h, quick)
			})
		})
	}
}

// TestAbsentConsumerIsolates has messages wait for a device that is away.
func TestAbsentConsumerIsolates(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		p.bye()
		quick := connect(t, h, other, nil)
		quick.subscribe("devices/dev-2/messages/devicebound/#", methodFilter)
		start := time.Now()
		fillQueue(t, h, nil)
		for range 1000 {
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{}); !errors.Is(err, hubwire.QueueDepthExceeded) {
				t.Fatalf("the 51st message: %v", err)
			}
		}
		if _, err := h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil); !errors.Is(err, hubwire.DeviceNotOnline) {
			t.Errorf("a method: %v", err)
		}
		worksAsUsual(t, h, quick)
		if took := time.Since(start); took != 0 {
			t.Errorf("others waited %v", took)
		}
	})
}

// worksAsUsual has a device do one of each.
func worksAsUsual(t *testing.T, h *hub.Hub, p *peer) {
	t.Helper()
	sendC2D(t, h, other, "hi")
	m := p.expect("hi", 1, false)
	p.write(&mqtt.Puback{ID: m.ID})
	p.write(&mqtt.Publish{Topic: []byte("devices/dev-2/messages/events/"), QoS: 1, ID: 1000})
	p.puback(1000)
	answered := make(chan error)
	go func() {
		_, err := h.Invoke(t.Context(), other, hubwire.MethodRequest{Name: "m"}, nil)
		answered <- err
	}()
	_, rid, _ := strings.Cut(string(p.publish().Topic), "$rid=")
	p.write(&mqtt.Publish{Topic: []byte("$iothub/methods/res/200/?$rid=" + rid)})
	if err := <-answered; err != nil {
		t.Error(err)
	}
	p.ping()
}

// heap returns the bytes of the heap that are in use.
func heap() int64 {
	for range 3 { // pools take more than one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
