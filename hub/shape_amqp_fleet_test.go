package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestShapeAMQPFleet has the Java SDK's 1,000 devices on one connection, which it puts 30 tokens for at a time, each
// with a session and six links of its own. Then they work, one leaves, and the connection is lost.
func TestShapeAMQPFleet(t *testing.T) {
	const n = 1000
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		ids := make([]hubwire.Identity, n)
		for i := range ids {
			ids[i].DeviceID = fmt.Sprintf("fleet-%d", i)
		}
		create(t, h, ids...)
		s := sdkJava.connect(t, h)
		s.put(h, dev, "x") // attaches the links of $cbs
		for first := 0; first < n; first += 30 {
			some := ids[first:min(first+30, n)]
			for i, id := range some {
				d, err := h.Device(id)
				if err != nil {
					t.Fatal(err)
				}
				text := token(d.PrimaryKey, audience(id), "", time.Now().Add(time.Hour))
				s.deliver(0, 0, 0, false, sdkJava.encoder.message(sec(secProperties, list{guid{byte(i), 2}, nil, "$cbs", nil, "cbs"}),
					sec(secApplication, pairs{"operation", "put-token", "type", sdkJava.putType, "name", audience(id)}), sec(secValue, text)))
			}
			for answers := 0; answers < len(some); {
				if _, code, f, payload := s.next(); code == fTransfer {
					if m := parseSections(payload); m.application("status-code") != int32(200) {
						t.Fatalf("%v", m.sections)
					}
					s.send(0, fDisposition, true, f.field(1), nil, true, described{stAccepted, list{}})
					answers++
				}
			}
		}
		for i, id := range ids {
			ch := s.session(uint16(i + 1))
			for _, path := range []string{"messages/events", "twin", "methods/devicebound"} {
				s.link(ch, false, "sender_link_"+path, addressOf(id, path), 0, uint8(0), uint8(0), nil)
			}
			for _, path := range []string{"messages/devicebound", "twin", "methods/devicebound"} {
				s.link(ch, true, "receiver_link_"+path, addressOf(id, path), 1024, uint8(0), uint8(0), nil)
			}
		}
		for i, id := range ids {
			ch := uint16(i + 1)
			s.settled(ch, s.deliver(ch, 0, 0, false, sdkJava.encoder.message(sec(secData, []byte(id.DeviceID)))), stAccepted)
			if !h.Connected(id) {
				t.Fatalf("%v is not connected", id)
			}
		}
		if got := len(events(t, h)); got != n {
			t.Errorf("%d events", got)
		}
		sendC2D(t, h, ids[n-1], "hi")
		if m := s.receive(n); m.body() != "hi" {
			t.Errorf("%s", m.body())
		}
		s.send(1, fEnd)
		s.await(1, fEnd)
		if synctest.Wait(); h.Connected(ids[0]) || !h.Connected(ids[1]) {
			t.Error("the wrong one has left")
		}
		s.nc.Close()
		if synctest.Wait(); h.Connected(ids[1]) {
			t.Error("they are still connected")
		}
	})
}
