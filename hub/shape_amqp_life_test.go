package hub_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestShapeAMQPLife has what SDKs do to connections, sessions and links, rather than with them.
func TestShapeAMQPLife(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, h *hub.Hub)
	}{
		{"C: a detach that does not say closed is answered, and the link may be attached again", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkC.device(t, h)
			for range 3 {
				link := s.link(ch, false, "link-snd-dev-1-x", s.address("messages/events"), 0, uint8(0), uint8(0), nil)
				s.settled(ch, s.deliver(ch, link, 0, false, sdkC.encoder.message(sec(secData, []byte("x")))), stAccepted)
				s.send(ch, fDetach, link)
				if d, _ := s.await(ch, fDetach); d.field(2) != nil {
					t.Errorf("detach %v", d)
				}
			}
		}},
		{".NET: a link that is detached and attached again takes the same handle", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkNET.device(t, h)
			for range 3 {
				s.handles[ch] = 0
				s.link(ch, true, "TelemetryReceiverLink", s.address("messages/devicebound"), 50, nil, uint8(1), nil)
				s.send(ch, fDetach, uint32(0), true)
				s.await(ch, fDetach)
			}
		}},
		{".NET: a session that ended may begin again on its channel", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkNET.device(t, h)
			for range 3 {
				s.handles[ch] = 0
				link := s.link(ch, false, "TelemetrySenderLink", s.address("messages/events"), 0, nil, nil, nil)
				s.settled(ch, s.deliver(ch, link, 0, false, sdkNET.encoder.message(sec(secData, []byte("x")))), stAccepted)
				s.send(ch, fEnd)
				s.await(ch, fEnd)
				delete(s.in, ch)
				s.session(ch)
			}
		}},
		{".NET: devices of a pool have links of the same names, in sessions of their own", func(t *testing.T, h *hub.Hub) {
			s := sdkNET.connect(t, h)
			ids := []hubwire.Identity{dev, other, mod}
			for i, id := range ids {
				s.put(h, id, audience(id))
				ch := s.session(uint16(i + 1))
				address := "amqps://localhost:5671" + addressOf(id, "messages/events")
				link := s.link(ch, false, "TelemetrySenderLink", address, 0, nil, nil, sdkNET.props)
				s.settled(ch, s.deliver(ch, link, 0, false, sdkNET.encoder.message(sec(secData, []byte(id.String())))), stAccepted)
				s.link(ch, true, "TelemetryReceiverLink", "amqps://localhost:5671"+addressOf(id, "messages/devicebound"), 50, nil, uint8(1), nil)
			}
			for i, id := range ids {
				if ev := events(t, h); len(ev) != 3 || !h.Connected(id) {
					t.Fatalf("%d events, %v connected: %v", len(ev), id, h.Connected(id))
				}
				sendC2D(t, h, id, "hi")
				if m := s.receive(uint16(i + 1)); m.body() != "hi" {
					t.Errorf("%s", m.body())
				}
			}
			s.send(2, fEnd) // one leaves
			s.await(2, fEnd)
			if synctest.Wait(); h.Connected(other) || !h.Connected(dev) {
				t.Error("the wrong one has left")
			}
			s.quit()
		}},
		{"Java: many put-tokens are under way at once, and each has its answer", func(t *testing.T, h *hub.Hub) {
			s := sdkJava.connect(t, h)
			s.put(h, dev, "localhost/devices/dev-1") // attaches the links
			want := map[any]bool{}
			d, err := h.Device(dev)
			if err != nil {
				t.Fatal(err)
			}
			text := token(d.PrimaryKey, audience(dev), "", time.Now().Add(time.Hour))
			for i := range 30 {
				id := guid{byte(i), 1}
				want[id] = true
				s.deliver(0, 0, 0, false, sdkJava.encoder.message(sec(secProperties, list{id, nil, "$cbs", nil, "cbs"}),
					sec(secApplication, pairs{"operation", "put-token", "type", "servicebus.windows.net:sastoken", "name", "x"}), sec(secValue, text)))
			}
			for len(want) > 0 {
				_, code, f, payload := s.next()
				if code != fTransfer {
					continue
				}
				m := parseSections(payload)
				if !want[m.property(5)] || m.application("status-code") != int32(200) {
					t.Fatalf("%+v %v", m, f)
				}
				delete(want, m.property(5))
				s.send(0, fDisposition, true, f.field(1), nil, true, described{stReleased, list{}}) // as it does with what it does not know
			}
		}},
		{"Java: of 115 seconds of idle time-out the hub lets no half go by in silence", func(t *testing.T, h *hub.Hub) {
			s, _ := sdkJava.device(t, h)
			for range 6 {
				start := time.Now()
				s.read(8)
				if took := time.Since(start); took > 57500*time.Millisecond {
					t.Fatalf("silence of %v", took)
				}
				s.write([]byte{0, 0, 0, 8, 2, 0, 0, 0}) // and so does the SDK
			}
		}},
		{"C: without a frame for twice the hub's idle time-out the connection is closed as forced", func(t *testing.T, h *hub.Hub) {
			s, _ := sdkC.device(t, h)
			c, _ := s.await(0, fClose)
			if _, e := inner(c.field(0)); e.field(0) != sym("amqp:connection:forced") {
				t.Errorf("close %v", c)
			}
		}},
		{"C: a device that is taken over sees its links go, each with an error, before the connection does", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkC.device(t, h)
			s.link(ch, false, "out", s.address("messages/events"), 0, uint8(0), uint8(0), nil)
			s.link(ch, true, "in", s.address("messages/devicebound"), 100, uint8(0), uint8(0), nil)
			connect(t, h, dev, nil)
			for range 2 {
				d, _ := s.await(ch, fDetach)
				if code, e := inner(d.field(2)); d.field(1) != true || code != 0x1d || e.field(0) == nil {
					t.Errorf("detach %v", d)
				}
				s.send(ch, fDetach, d.field(0), true) // the hub's handles are the SDK's here
			}
			s.await(0, fClose)
		}},
		{"all: frames may be split anywhere, and joined", func(t *testing.T, h *hub.Hub) {
			s := newScript(t, &sdkNET, slowWriter{dialTLS(t, h, "5671", nil)})
			s.login(nil)
			s.put(h, dev, "x")
		}},
		{"all: a frame may have an extended header", func(t *testing.T, h *hub.Hub) {
			s := sdkNET.connect(t, h)
			b := s.frame(0, 7, fBegin, append(list{nil}, sdkNET.begin...), nil)
			b = append(b[:8:8], append([]byte{1, 2, 3, 4}, b[8:]...)...)
			b[4] = 3
			binary.BigEndian.PutUint32(b, uint32(len(b)))
			s.write(b)
			s.await(7, fBegin)
		}},
		{"all: a performative may be named by a symbol", func(t *testing.T, h *hub.Hub) {
			s := sdkNET.connect(t, h)
			b := sdkNET.encoder.value([]byte{0, 0, 0, 0, 2, 0, 0, 3}, described{sym("amqp:begin:list"), append(list{nil}, sdkNET.begin...)})
			binary.BigEndian.PutUint32(b, uint32(len(b)))
			s.write(b)
			s.await(3, fBegin)
		}},
		{"all: a flow of the session alone, with echo, is answered with one", func(t *testing.T, h *hub.Hub) {
			s := sdkNET.connect(t, h)
			s.send(0, fFlow, uint32(0), uint32(5000), s.out[0], uint32(5000), nil, nil, nil, nil, nil, true)
			if _, code, f, _ := s.next(); code != fFlow || f.field(4) != nil {
				t.Errorf("%#x %v", code, f)
			}
		}},
		{"all: a receiver that drains gets what there is, and then word that its credit is used up", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkNET.device(t, h)
			sendC2D(t, h, dev, "a")
			link := s.link(ch, true, "in", s.address("messages/devicebound"), 0, nil, nil, nil)
			s.send(ch, fFlow, uint32(0), uint32(5000), s.out[ch], uint32(5000), link, uint32(0), uint32(10), nil, true)
			s.receive(ch)
			for {
				_, code, f, _ := s.next()
				if code != fFlow {
					t.Fatalf("%#x %v", code, f)
				}
				if f.field(8) == true {
					if f.field(5) != uint32(10) || f.field(6) != uint32(0) {
						t.Errorf("flow %v", f)
					}
					return
				}
			}
		}},
		{"uAMQP: an attach whose address nobody knows is refused by an attach without the terminus, and a detach", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkC.device(t, h)
			s.send(ch, fAttach, "x", uint32(9), false, nil, nil, described{uint64(0x28), list{"s"}}, described{uint64(0x29), list{"/devices/dev-1/nowhere"}}, nil, nil, uint32(0))
			a, _ := s.await(ch, fAttach)
			d, _ := s.await(ch, fDetach)
			if _, e := inner(d.field(2)); a.field(6) != nil || d.field(0) != a.field(1) || e.field(0) != sym("amqp:not-found") {
				t.Errorf("%v, %v", a, d)
			}
			s.send(ch, fDetach, uint32(9), true)
			s.link(ch, false, "out", s.address("messages/events"), 0, nil, nil, nil)
		}},
		{"rhea: a receiver whose source and target are empty lists, but for the address", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkNET.device(t, h)
			s.send(ch, fAttach, "r", uint32(0), true, nil, nil, described{uint64(0x28), list{s.address("messages/devicebound"), uint32(0), sym("session-end"), uint32(0), false, nil, nil, pairs{}}},
				described{uint64(0x29), list{}})
			if a, _ := s.await(ch, fAttach); a.field(5) == nil || a.field(6) == nil {
				t.Errorf("attach %v", a)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, tt.do)
		})
	}
}

// TestShapeAMQPRefusedTokens has what comes of tokens that are wrong, and of links without one.
func TestShapeAMQPRefusedTokens(t *testing.T) {
	each(t, func(t *testing.T, h *hub.Hub, sdk *amqpSDK) {
		s := sdk.connect(t, h)
		d, err := h.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"", "Bearer eyJ0eXAiOiJKV1QifQ.e30.x",
			token(d.PrimaryKey, audience(other), "", time.Now().Add(time.Hour)),
			token(d.PrimaryKey, audience(dev), "", time.Now().Add(-time.Hour)),
			token(d.PrimaryKey, "localhost/devices/nobody", "", time.Now().Add(time.Hour)),
		} {
			s.putText(sdk.putName, text, "an error")
		}
		ch := uint16(0)
		if sdk.sessions {
			ch = s.session(1)
		}
		s.send(ch, fAttach, "out", s.handles[ch], false, nil, nil, described{uint64(0x28), list{"x"}}, described{uint64(0x29), list{s.address("messages/events")}}, nil, nil, uint32(0))
		a, _ := s.await(ch, fAttach)
		end, _ := s.await(ch, fDetach)
		if _, e := inner(end.field(2)); a.field(6) != nil || e.field(0) != sym("amqp:unauthorized-access") {
			t.Errorf("%v, %v", a, end)
		}
		s.send(ch, fDetach, s.handles[ch], true)
		s.handles[ch]++
		s.put(h, dev, sdk.putName) // and now it is right
		s.link(ch, false, "out", s.address("messages/events"), 0, sdk.snd, sdk.rcv, nil)
	})
}

// slowWriter writes one byte at a time.
type slowWriter struct{ net.Conn }

func (w slowWriter) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := w.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestShapeAMQPManyTransfers has a device that sends without waiting: credit and windows are enough, and every
// delivery is accepted, alone or within a range.
func TestShapeAMQPManyTransfers(t *testing.T) {
	each(t, func(t *testing.T, h *hub.Hub, sdk *amqpSDK) {
		s, ch := sdk.device(t, h)
		link := s.link(ch, false, "out", s.address("messages/events"), 0, sdk.snd, sdk.rcv, nil)
		const n = 3000 // beyond the credit that any link has at first
		credit, told, first := 1000, 0, s.out[ch]
		for sent := 0; told < n; {
			for ; sent < n && credit > 0; sent++ {
				s.deliver(ch, link, 0, false, sdk.encoder.message(sec(secData, fmt.Append(nil, sent))))
				credit--
			}
			_, code, f, _ := s.next()
			switch code {
			case fFlow:
				if f.field(4) != nil {
					credit = int(f.field(5).(uint32)+f.field(6).(uint32)) - sent
				}
			case fDisposition:
				from, to := f.field(1).(uint32), f.field(1).(uint32)
				if last, ok := f.field(2).(uint32); ok {
					to = last
				}
				if from != first+uint32(told) {
					t.Fatalf("disposition from %d, want %d", from, first+uint32(told))
				}
				told += int(to-from) + 1
			}
		}
		evs := events(t, h)
		if len(evs) != n || !bytes.Equal(evs[n-1].Body, fmt.Append(nil, n-1)) {
			t.Errorf("%d events", len(evs))
		}
	})
}
