package hub_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// Sections 2.6, throttling, and 2.7, the end of a token.

func throttleRules() []rule {
	const section = "2.6 throttling"
	throttled := func(th hub.Throttle) *hub.Config { return &hub.Config{Throttle: th} }
	numbered := func(from, to int) (ms []packet) {
		for i := from; i <= to; i++ {
			ms = append(ms, &mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: uint16(i)})
		}
		return ms
	}
	return []rule{
		{section, "nothing is throttled by default", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			start := time.Now()
			p.write(numbered(1, 1000)...)
			for i := range 1000 {
				p.puback(uint16(i + 1))
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("it took %v", took)
			}
		}},
		{section, "telemetry over the rate is held back: its PUBACK is late, and nothing is lost", throttled(hub.Throttle{Telemetry: 10}), func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			start := time.Now()
			p.write(numbered(1, 25)...)
			for i := 1; i <= 25; i++ {
				p.puback(uint16(i))
				if took, want := time.Since(start), max(0, time.Duration(i-10)*time.Second/10); took != want {
					t.Errorf("PUBACK %d after %v, want %v", i, took, want)
				}
			}
			if n := len(events(t, h)); n != 25 {
				t.Errorf("%d events", n)
			}
		}},
		{section, "the rate is the hub's: one device's telemetry holds back another's", throttled(hub.Throttle{Telemetry: 10}), func(t *testing.T, h *hub.Hub) {
			a, b := connect(t, h, dev, nil), connect(t, h, other, nil)
			a.write(numbered(1, 10)...)
			a.puback(1)
			start := time.Now()
			b.write(&mqtt.Publish{Topic: []byte("devices/dev-2/messages/events/"), QoS: 1, ID: 1})
			b.puback(1)
			if took := time.Since(start); took != 100*time.Millisecond {
				t.Errorf("PUBACK after %v", took)
			}
		}},
		{section, "telemetry that would wait for too long closes the connection, and is not taken", throttled(hub.Throttle{Telemetry: 1, MaxDelay: time.Second}), func(t *testing.T, h *hub.Hub) {
			a, b := connect(t, h, dev, nil), connect(t, h, other, nil)
			a.write(numbered(1, 2)...)
			a.puback(1)
			synctest.Wait() // the second waits for its turn
			b.write(&mqtt.Publish{Topic: []byte("devices/dev-2/messages/events/"), QoS: 1, ID: 1})
			b.closed()
			a.puback(2)
			a.ping()
			if n := len(events(t, h)); n != 2 {
				t.Errorf("%d events", n)
			}
		}},
		{section, "telemetry at QoS 0 is throttled too", throttled(hub.Throttle{Telemetry: 1, MaxDelay: -1}), func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.write(&mqtt.Publish{Topic: []byte(telemetryTopic)}, &mqtt.Publish{Topic: []byte(telemetryTopic)})
			p.closed()
			if n := len(events(t, h)); n != 1 {
				t.Errorf("%d events", n)
			}
		}},
		{section, "twin reads over the rate are answered with 429, and the rate recovers", throttled(hub.Throttle{TwinReads: 2}), func(t *testing.T, h *hub.Hub) {
			askAtRate(t, h, getTopic, "", "200")
		}},
		{section, "twin updates over the rate are answered with 429, and change nothing", throttled(hub.Throttle{TwinUpdates: 2}), func(t *testing.T, h *hub.Hub) {
			askAtRate(t, h, patchTopic, `{"a":1}`, "204")
			if twin, err := h.Twin(t.Context(), dev); err != nil || twin.Reported.Version != 4 {
				t.Errorf("version %d, %v", twin.Reported.Version, err)
			}
		}},
		{section, "services share the rates of twins", throttled(hub.Throttle{TwinReads: 1, TwinUpdates: 1}), func(t *testing.T, h *hub.Hub) {
			read := func() error { _, err := h.Twin(t.Context(), dev); return err }
			write := func() error { _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{}, ""); return err }
			for _, do := range []func() error{read, write} {
				if first, second := do(), do(); first != nil || !errors.Is(second, hubwire.Throttled) {
					t.Errorf("%v, then %v", first, second)
				}
			}
		}},
		{section, "methods over the rate of bytes, in blocks of 4 KiB, fail with 429", throttled(hub.Throttle{MethodBytes: 16 << 10}), func(t *testing.T, h *hub.Hub) {
			call := func(size int) error {
				return (<-invoke(t, h, "m", text(size), nil)).err
			}
			for i, want := range []hubwire.Code{hubwire.DeviceNotOnline, hubwire.DeviceNotOnline, hubwire.Throttled} {
				if err := call(4097); !errors.Is(err, want) { // two blocks of the four
					t.Errorf("call %d: %v", i, err)
				}
			}
		}},
		{section, "a CONNECT over the rate is refused with 3, and the connection that is there stays", throttled(hub.Throttle{Connects: 1}), func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			refusedConnect(t, h, dev, mqtt.Unavailable)
			p.ping()
			time.Sleep(time.Second)
			connect(t, h, dev, nil)
			p.closed()
		}},
		{section, "a login that is refused does not count", throttled(hub.Throttle{Connects: 1}), func(t *testing.T, h *hub.Hub) {
			p := open(t, h, nil)
			m := connectPacket(t, h, dev)
			m.Password = password("wrong")
			p.write(m)
			p.connack()
			connect(t, h, dev, nil)
		}},
		{section, "telemetry over the day's quota closes the connection, and then a CONNECT is refused with 3, until midnight", throttled(hub.Throttle{MessagesADay: 3}), func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.telemeter(h, telemetryTopic, "one block")
			p.telemeter(h, telemetryTopic, strings.Repeat("x", 4097)) // two
			p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
			p.closed()
			if n := len(events(t, h)); n != 2 {
				t.Errorf("%d events", n)
			}
			refusedConnect(t, h, dev, mqtt.Unavailable)
			time.Sleep(24 * time.Hour)
			connect(t, h, dev, nil).telemeter(h, telemetryTopic, "hi")
		}},
	}
}

// refusedConnect asserts that a CONNECT is refused.
func refusedConnect(t *testing.T, h *hub.Hub, id hubwire.Identity, code mqtt.ReturnCode) {
	t.Helper()
	p := open(t, h, nil)
	p.write(connectPacket(t, h, id))
	if ack := p.connack(); ack.Code != code || ack.SessionPresent {
		t.Errorf("CONNACK %+v, want code %d", ack, code)
	}
	p.closed()
}

// askAtRate asks three times at once, at a rate of two, and once more half a second later.
func askAtRate(t *testing.T, h *hub.Hub, topic, body, status string) {
	t.Helper()
	p := connect(t, h, dev, nil)
	p.subscribe(twinResponses)
	for _, want := range []string{status, status, "429"} {
		topic, body := p.ask(topic+"1", body, 1)
		if !strings.HasPrefix(topic, "$iothub/twin/res/"+want+"/?$rid=1") || strings.Contains(body, `"errorCode":429001`) != (want == "429") {
			t.Errorf("%s %s, want %s", topic, body, want)
		}
	}
	time.Sleep(500 * time.Millisecond)
	if topic, _ := p.ask(topic+"2", body, 0); !strings.HasPrefix(topic, "$iothub/twin/res/"+status) {
		t.Errorf("half a second later: %s", topic)
	}
}

func tokenRules() []rule {
	const section = "2.7 token expiry"
	after := func(says string, skew, want time.Duration) rule {
		return rule{section, "the connection ends " + says, &hub.Config{Skew: skew}, func(t *testing.T, h *hub.Hub) {
			d, err := h.Device(dev)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			p := connect(t, h, dev, func(m *mqtt.Connect) {
				m.Password = password(token(d.PrimaryKey, audience(dev), "", start.Add(10*time.Minute)))
				m.KeepAlive = 0
			})
			p.ends()
			if took := time.Since(start) - 10*time.Minute; took != want {
				t.Errorf("closed %v after the token's end, want %v", took, want)
			}
		}}
	}
	return []rule{
		after("five minutes after its token, without a packet", 0, 5*time.Minute),
		after("as long after its token as the hub was told", 10*time.Minute, 10*time.Minute),
		after("with its token, when there is to be no grace", -1, 0),
		{section, "a token is renewed by a new connection, which takes over the session", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(c2dFilter)
			keepAlive(p, time.Now().Add(48*time.Minute))
			p.bye()
			p, present := connectPresent(t, h, dev, nil)
			if !present {
				t.Error("the session is gone")
			}
			keepAlive(p, time.Now().Add(59*time.Minute))
			sendC2D(t, h, dev, "hi")
			p.expect("hi", 1, false)
		}},
		{section, "a certificate's connection has no such end", nil, certificateOutlivesTokens},
	}
}

// certificateOutlivesTokens has a device with a certificate stay for two hours.
func certificateOutlivesTokens(t *testing.T, h *hub.Hub) {
	cert := certificate(t, "anything", nil)
	sum := sha256.Sum256(cert.Leaf.Raw)
	if _, err := h.Update(t.Context(), &hub.Device{Identity: dev, Auth: hub.AuthSelfSigned, PrimaryThumbprint: hex.EncodeToString(sum[:])}, ""); err != nil {
		t.Fatal(err)
	}
	p := open(t, h, func(cfg *tls.Config) { cfg.Certificates = []tls.Certificate{*cert} })
	p.check(p.c.SetReadDeadline(time.Time{}))
	m := connectPacket(t, h, dev)
	m.Password = mqtt.Secret{}
	p.write(m)
	if ack := p.connack(); ack.Code != mqtt.Accepted {
		t.Fatalf("CONNACK %+v", ack)
	}
	keepAlive(p, time.Now().Add(2*time.Hour))
}
