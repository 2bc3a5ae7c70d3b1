package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestShapeAMQPTypes has what libraries write with another type than the one that is due, and more or fewer sections
// than are: all of it is telemetry.
func TestShapeAMQPTypes(t *testing.T) {
	e := encoder{}
	for name, tt := range map[string]struct {
		message []byte
		want    hubwire.Message
	}{
		"ids that are a uuid and a number": {e.message(sec(secProperties, list{guid{15: 1}, nil, nil, nil, nil, uint64(7)}), sec(secData, []byte("x"))),
			hubwire.Message{ID: "00000000-0000-0000-0000-000000000001", CorrelationID: "7"}},
		"a content type that is text, a user id that is text": {e.message(sec(secProperties, list{"1", "u", nil, nil, nil, nil, "text/plain", "utf-8"}), sec(secData, []byte("x"))),
			hubwire.Message{ID: "1", UserID: "u", ContentType: "text/plain", ContentEncoding: "utf-8"}},
		"application properties of all types, and names that are symbols": {e.message(sec(secApplication, pairs{"b", true, sym("i"), int32(-1), "l", int64(1 << 40), "u", uint32(7), "s", sym("v"), "n", nil}), sec(secData, []byte("x"))),
			hubwire.Message{Properties: []hubwire.Property{{Name: "b", Value: "true"}, {Name: "i", Value: "-1"}, {Name: "l", Value: "1099511627776"}, {Name: "u", Value: "7"}, {Name: "s", Value: "v"}, {Name: "n"}}}},
		"annotations whose names are text":           {e.message(sec(secAnnotations, pairs{"dt-subject", "c"}), sec(secData, []byte("x"))), hubwire.Message{Component: "c"}},
		"a body that is a text value":                {e.message(sec(secValue, "x")), hubwire.Message{}},
		"a body that is a binary value":              {e.message(sec(secValue, []byte("x"))), hubwire.Message{}},
		"sections named by symbols":                  {e.message(section{sym("amqp:application-properties:map"), pairs{"a", "b"}}, section{sym("amqp:data:binary"), []byte("x")}), hubwire.Message{Properties: []hubwire.Property{{Name: "a", Value: "b"}}}},
		"all sections, and nulls where lists end":    {e.message(sec(secHeader, list{nil, uint8(4), nil, nil, uint32(0)}), sec(0x71, pairs{}), sec(secAnnotations, pairs{}), sec(secProperties, list{nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}), sec(secApplication, pairs{}), sec(secData, []byte("x")), sec(0x78, pairs{})), hubwire.Message{}},
		"an expiry of the year 1, which is none":     {e.message(sec(secProperties, list{nil, nil, nil, nil, nil, nil, nil, nil, stamp(-62135596800000), stamp(-62135596800000)}), sec(secData, []byte("x"))), hubwire.Message{}},
		"empty ids and user id, as the Go peer does": {e.message(sec(secProperties, list{"", []byte{}, "", "", "", ""}), sec(secData, []byte("x"))), hubwire.Message{}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				s, ch := sdkNET.device(t, h)
				link := s.link(ch, false, "out", s.address("messages/events"), 0, nil, nil, nil)
				s.settled(ch, s.deliver(ch, link, 0, false, tt.message), stAccepted)
				got := events(t, h)[0].Message
				if string(got.Body) != "x" || got.ID != tt.want.ID || got.UserID != tt.want.UserID || got.CorrelationID != tt.want.CorrelationID || got.ContentType != tt.want.ContentType ||
					got.Component != tt.want.Component || !got.Expiry.IsZero() || !slices.Equal(got.Properties, tt.want.Properties) {
					t.Errorf("%+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

// TestShapeAMQPLoose has requests in types that are not quite right, to which the hub is kind.
func TestShapeAMQPLoose(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, h *hub.Hub)
	}{
		{"a put-token whose texts are symbols", func(t *testing.T, h *hub.Hub) {
			s := sdkNET.connect(t, h)
			s.link(0, false, "a", "$cbs", 0, nil, nil, nil)
			s.link(0, true, "b", "/$cbs", 50, nil, nil, nil)
			d, _ := h.Device(dev)
			text := token(d.PrimaryKey, audience(dev), "", time.Now().Add(time.Hour))
			id := s.deliver(0, 0, 0, false, sdkNET.encoder.message(sec(secProperties, list{"1"}),
				sec(secApplication, pairs{"operation", sym("put-token"), "type", sym("servicebus.windows.net:sastoken"), "name", sym("x")}), sec(secValue, text)))
			s.settled(0, id, stAccepted)
			if m := s.receive(0); m.application("status-code") != int32(200) {
				t.Errorf("%v", m.sections)
			}
		}},
		{"an answer to a method whose status is a long, and one whose id is text", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkNET.device(t, h)
			out := s.shapeMethods(ch)
			synctest.Wait()
			for _, status := range []any{int64(201), uint32(201), uint8(201)} {
				done := invoke(t, h, "m", "", nil)
				m := s.receive(ch)
				id := m.property(5).(guid)
				text := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
				s.settled(ch, s.deliver(ch, out, 0, false, sdkNET.encoder.message(sec(secProperties, list{nil, nil, nil, nil, nil, text}), sec(secApplication, pairs{"IoThub-status", status}))), stAccepted)
				if got := <-done; got.err != nil || got.res.Status != 201 {
					t.Errorf("%T: %+v", status, got)
				}
			}
		}},
		{"requests of the twin whose annotations have text for names, symbols for values and a version of each width", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkNET.device(t, h)
			out := s.link(ch, false, "out", s.address("twin"), 0, nil, nil, nil)
			s.link(ch, true, "in", s.address("twin"), 50, nil, nil, nil)
			for i, version := range []any{nil, int32(2), int64(3), uint32(4), uint64(5)} {
				m := sdkNET.encoder.message(sec(secAnnotations, pairs{"operation", sym("patch"), "resource", sym("/Properties/Reported"), "version", version}),
					sec(secProperties, list{nil, nil, nil, nil, nil, "x"}), sec(secData, fmt.Appendf(nil, `{"a":%d}`, i)))
				s.settled(ch, s.deliver(ch, out, 0, false, m), stAccepted)
				if a := s.twinAnswer(ch, "x"); a.annotation("status").(int32)/100 != 2 || a.annotation("version") != int64(i+2) {
					t.Errorf("%T: %+v %s", version, a, a.body())
				}
			}
		}},
		{"an outcome that is named by a symbol", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkJava.device(t, h)
			sendC2D(t, h, dev, "hi")
			s.link(ch, true, "in", s.address("messages/devicebound"), 50, nil, nil, nil)
			m := s.receive(ch)
			s.send(ch, fDisposition, true, m.id, m.id, true, described{sym("amqp:accepted:list"), list{}})
			synctest.Wait()
			feedback(t, h, "Success")
		}},
		{"a range of outcomes, with ids in it that were never sent", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkNET.device(t, h)
			sendC2D(t, h, dev, "a", "b", "c")
			s.link(ch, true, "in", s.address("messages/devicebound"), 50, nil, nil, nil)
			first := s.receive(ch)
			s.receive(ch)
			s.receive(ch)
			s.send(ch, fDisposition, true, first.id, first.id+100, true, described{stAccepted, list{}})
			synctest.Wait()
			if n := queueLength(t, h, dev); n != 0 {
				t.Errorf("%d wait", n)
			}
		}},
		{"frames of 512 bytes, and a window of one", func(t *testing.T, h *hub.Hub) {
			small := sdkNET
			small.pipes, small.open, small.begin = false, list{uint32(512)}, list{uint32(4294967290), uint32(1), uint32(1)}
			s, ch := small.device(t, h)
			body := strings.Repeat("x", 5000)
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte(body)}); err != nil {
				t.Fatal(err)
			}
			s.link(ch, true, "in", s.address("messages/devicebound"), 5, nil, nil, nil)
			next, got := s.in[ch], 0
			for s.more = true; s.more; {
				_, code, _, payload := s.next()
				if code != fTransfer {
					continue
				}
				if got += len(payload); len(payload) > 512 {
					t.Fatalf("%d bytes", len(payload))
				}
				next++
				s.send(ch, fFlow, next, uint32(1), s.out[ch], uint32(1)) // of the session alone
			}
			if got < len(body) {
				t.Errorf("%d bytes", got)
			}
		}},
		{"C: links that take 65,536 bytes, which it does not mind when more comes", func(t *testing.T, h *hub.Hub) {
			s := sdkC.connect(t, h)
			s.put(h, dev, sdkC.putName)
			const most = uint64(65536)
			s.most = most
			s.link(0, true, "in", s.address("messages/devicebound"), 10000, uint8(0), uint8(0), nil)
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{ID: "m", Body: make([]byte, hubwire.MaxC2DSize-1)}); err != nil {
				t.Fatal(err)
			}
			if m := s.receive(0); len(m.body()) != hubwire.MaxC2DSize-1 {
				t.Errorf("%d bytes", len(m.body()))
			}
			out := s.link(0, false, "twin-out", s.address("twin"), 0, uint8(0), uint8(0), nil)
			s.link(0, true, "twin-in", s.address("twin"), 10000, uint8(0), uint8(0), nil)
			for i := range 4 { // of which the limits count little
				desire(t, h, dev, fmt.Sprintf(`{"k%d":"%s"}`, i, strings.Repeat(`\u0001`, 4000)))
			}
			s.twinWord(0, out, "1", "GET", "", nil, []byte(" "))
			if m := s.twinAnswer(0, "1"); uint64(len(m.body())) < most || !strings.HasSuffix(m.body(), "}") {
				t.Errorf("the twin has %d bytes", len(m.body()))
			}
		}},
		{"C: a batch of all that waits, up to 1,024 bytes less than the link announces", func(t *testing.T, h *hub.Hub) {
			s := sdkC.connect(t, h)
			s.put(h, dev, sdkC.putName)
			out := s.link(0, false, "out", s.address("messages/events"), 0, uint8(0), uint8(0), nil)
			if s.takes < hubwire.MaxTelemetrySize {
				t.Errorf("the hub takes %d bytes", s.takes)
			}
			var b, all []byte
			n := 0
			for ; ; n++ {
				all = append(all, b...)
				m := sdkC.encoder.message(sec(secApplication, pairs{"n", fmt.Sprint(n)}), sec(secData, make([]byte, 1000)))
				if b = sdkC.encoder.message(sec(secData, m)); uint64(len(all)+len(b)) > s.takes-1024 {
					break
				}
			}
			s.settled(0, s.split(0, out, 0x80013700, all), stAccepted)
			if got := len(events(t, h)); got != n || n < 200 {
				t.Errorf("%d events of %d", got, n)
			}
		}},
		{"C: links of many devices in one session", func(t *testing.T, h *hub.Hub) {
			s := sdkC.connect(t, h)
			for _, id := range []hubwire.Identity{dev, other, mod} {
				s.put(h, id, audience(id))
			}
			for _, id := range []hubwire.Identity{dev, other, mod} {
				out := s.link(0, false, "link-snd-"+id.String(), "amqps://localhost"+addressOf(id, "messages/events"), 0, uint8(0), uint8(0), nil)
				s.settled(0, s.deliver(0, out, 0x80013700, false, sdkC.encoder.message(sec(secData, sdkC.encoder.message(sec(secData, []byte(id.String())))))), stAccepted)
				s.link(0, true, "link-rcv-"+id.String(), "amqps://localhost"+addressOf(id, "messages/devicebound"), 10000, uint8(0), uint8(0), nil)
			}
			for _, id := range []hubwire.Identity{mod, dev, other} {
				sendC2D(t, h, id, id.String())
				m := s.receive(0)
				if m.body() != id.String() {
					t.Errorf("%s for %v", m.body(), id)
				}
				s.send(0, fDisposition, true, m.id, m.id, true, described{stAccepted, list{}})
			}
		}},
		{"a service and a device of one policy on one connection", func(t *testing.T, h *hub.Hub) {
			s := sdkServiceNET.connect(t, h)
			s.putText("localhost", token(policyKey(t, h, "iothubowner"), "localhost", "iothubowner", time.Now().Add(time.Hour)), "200")
			in := s.session(1)
			s.link(in, true, "in", "/devices/dev-1/messages/devicebound", 50, nil, uint8(1), nil)
			out := s.session(2)
			link := s.link(out, false, "out", "/messages/devicebound", 0, nil, nil, nil)
			id := s.deliver(out, link, 0, false, encoder{}.message(sec(secProperties, list{nil, nil, "/devices/dev-1/messages/devicebound"}), sec(secData, []byte("hi"))))
			var sent, came bool
			for !sent || !came {
				_, code, f, payload := s.next()
				sent = sent || code == fDisposition && f.field(1) == id
				if code == fTransfer {
					m := parseSections(payload)
					came = m.body() == "hi"
				}
			}
		}},
		{"a service that sends settled, also to nobody", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkServiceNET.service(t, h)
			link := s.link(ch, false, "out", "/messages/devicebound", 0, uint8(1), nil, nil)
			for _, to := range []any{"/devices/nobody/messages/devicebound", nil, "/devices/dev-1/messages/devicebound"} {
				s.deliver(ch, link, 0, true, encoder{}.message(sec(secProperties, list{nil, nil, to}), sec(secData, []byte("hi"))))
			}
			s.quit()
			if n := queueLength(t, h, dev); n != 1 {
				t.Errorf("%d wait", n)
			}
		}},
		{"Go: a message without an expiry, which is the year 1, and with empty ids", func(t *testing.T, h *hub.Hub) {
			s, ch := sdkServiceNET.service(t, h)
			link := s.link(ch, false, "out", "/messages/devicebound", 0, nil, nil, nil)
			s.settled(ch, s.deliver(ch, link, 0, false, encoder{}.message(sec(secProperties, list{"", []byte{}, "/devices/dev-1/messages/devicebound", nil, nil, "", nil, nil, stamp(-62135596800000)}),
				sec(secApplication, pairs{"iothub-ack", ""}), sec(secData, []byte("hi")))), stAccepted)
			time.Sleep(time.Minute)
			if n := queueLength(t, h, dev); n != 1 {
				t.Errorf("%d wait", n)
			}
		}},
		{"the last channel and the last handle of .NET's", func(t *testing.T, h *hub.Hub) {
			s := sdkNET.connect(t, h)
			s.session(8191)
			s.send(0, fAttach, "x", uint32(262143), false, nil, nil, described{uint64(0x28), list{}}, described{uint64(0x29), list{"$cbs"}}, nil, nil, uint32(0))
			s.await(0, fAttach)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { bubble(t, nil, tt.do) })
	}
}
