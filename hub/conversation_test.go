package hub_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/ws"
)

// TestThreeDaysOfADevice is one device's life with a hub, packet by packet: hours
// of it pass between the packets.
func TestThreeDaysOfADevice(t *testing.T) {
	for name, dial := range map[string]func(t *testing.T, h *hub.Hub) *peer{
		"MQTT":            func(t *testing.T, h *hub.Hub) *peer { return open(t, h, nil) },
		"MQTT-WebSockets": func(t *testing.T, h *hub.Hub) *peer { return openTunnel(t, h, ws.DialOptions{}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				threeDays(&story{T: t, h: h, start: time.Now(), dial: dial})
			})
		})
	}
}

// story is a device that is told about, and the service that talks to it.
type story struct {
	*testing.T
	h     *hub.Hub
	start time.Time
	dial  func(t *testing.T, h *hub.Hub) *peer
}

// until lets time pass up to some point of the story.
func (s *story) until(at time.Duration) { time.Sleep(time.Until(s.start.Add(at))) }

// now asserts what time it is.
func (s *story) now(what string, want time.Duration) {
	s.Helper()
	if got := time.Since(s.start); got != want {
		s.Errorf("%s after %v, want %v", what, got, want)
	}
}

// login connects with a token of one hour and a will.
func (s *story) login(present bool) *peer {
	s.Helper()
	m := connectPacket(s, s.h, dev)
	m.Will = mqtt.Will{Topic: []byte(telemetryTopic), Payload: []byte("gone"), QoS: 1}
	p := s.dial(s.T, s.h)
	p.check(p.c.SetReadDeadline(time.Time{}))
	p.write(m)
	if ack := p.connack(); ack.Code != mqtt.Accepted || ack.SessionPresent != present {
		s.Fatalf("CONNACK %+v, want session present %v", ack, present)
	}
	return p
}

func (s *story) send(body string, expires time.Duration) {
	s.Helper()
	m := &hubwire.Message{Body: []byte(body), ID: body, Ack: hubwire.AckFull}
	if expires != 0 {
		m.Expiry = s.start.Add(expires)
	}
	if err := s.h.SendC2D(s.Context(), dev, m); err != nil {
		s.Fatal(err)
	}
}

// feedback reads one record.
func (s *story) feedback(id, status string) {
	s.Helper()
	fb, err := s.h.Feedback(s.Context())
	if err != nil || len(fb) != 1 || fb[0].MessageID != id || fb[0].Status != status {
		s.Errorf("feedback %+v, %v, want %s of %q", fb, err, status, id)
	}
}

func (s *story) desire(patch string) {
	s.Helper()
	if _, err := s.h.PatchTwin(s.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(patch)}, ""); err != nil {
		s.Fatal(err)
	}
}

func threeDays(s *story) {
	const m, h = time.Minute, time.Hour
	p := s.login(false)
	p.subscribe(c2dFilter, twinResponses, desiredFilter, methodFilter)
	p.ask(getTopic+"1", "", 0)
	p.ask(patchTopic+"2", `{"firmware":"1.0"}`, 1)
	p.write(&mqtt.Publish{Topic: []byte(telemetryTopic + "n=1"), Payload: []byte("up"), QoS: 1, ID: 1})
	p.puback(1)

	// A method is answered, and another is not.
	done := invoke(s.T, s.h, "reboot", `{"in":5}`, nil)
	_, rid, _ := p.request()
	s.until(20 * time.Second)
	p.respond(202, rid, `"soon"`, 1)
	if got := <-done; got.err != nil || got.res.Status != 202 {
		s.Errorf("the first call: %+v", got)
	}
	done = invoke(s.T, s.h, "explode", "", &hub.InvokeOptions{ResponseTimeout: 5 * m})
	p.request()
	keepAlive(p, s.start.Add(20*time.Second+5*m))
	if got := <-done; !errors.Is(got.err, hubwire.GatewayTimeout) {
		s.Errorf("the second call: %+v", got)
	}

	// A message is settled when it comes for the second time, its lock being over.
	s.until(10 * m)
	s.send("locked", 0)
	first := p.expect("locked", 1, false)
	again := p.expect("locked", 1, true)
	s.now("the message came again", 11*m)
	if first.ID != again.ID {
		s.Errorf("identifiers %d, then %d", first.ID, again.ID)
	}
	p.write(&mqtt.Puback{ID: again.ID})
	s.feedback("locked", "Success")

	// The token of one hour ends the connection with five minutes of grace.
	keepAlive(p, s.start.Add(64*m))
	p.ends()
	s.now("the token ended the connection", 65*m)
	synctest.Wait()
	if s.h.Connected(dev) {
		s.Error("the device is still connected")
	}

	// While it is away, messages wait as long as they live, and changes pass by.
	s.send("short", 0)
	s.send("long", 4*h)
	s.desire(`{"interval":10}`)
	s.desire(`{"interval":20}`)
	if got := <-invoke(s.T, s.h, "reboot", "", nil); !errors.Is(got.err, hubwire.DeviceNotOnline) {
		s.Errorf("a call meanwhile: %+v", got)
	}
	s.feedback("short", "Expired")
	s.now("the message expired", 125*m)

	// Its subscriptions were kept: what is left comes at once.
	s.until(3 * h)
	p = s.login(true)
	p.write(&mqtt.Puback{ID: p.expect("long", 1, false).ID})
	s.feedback("long", "Success")
	_, twin := p.ask(getTopic+"3", "", 0)
	if want := `{"desired":{"interval":20,"$version":3},"reported":{"firmware":"1.0","$version":2}}`; twin != want {
		s.Errorf("twin %s", twin)
	}
	s.desire(`{"interval":30}`)
	if change := p.publish(); string(change.Payload) != `{"interval":30,"$version":4}` {
		s.Errorf("change %s", change.Payload)
	}

	// Then it falls silent: 1.5 times its keep-alive of 240 s.
	p.ends()
	s.now("silence ended the connection", 3*h+6*m)

	// No message lives longer than two days, whatever its sender says.
	s.send("eternal", 1000*h)
	s.feedback("eternal", "Expired")
	s.now("it was gone", 3*h+6*m+48*h)
	p = s.login(true)
	p.bye()

	type event struct {
		Body string
		At   time.Duration
	}
	var got []event
	for _, ev := range events(s, s.h) {
		got = append(got, event{string(ev.Body), ev.EnqueuedTime.Sub(s.start)})
	}
	want := []event{{"up", 0}, {"gone", 65 * m}, {"gone", 3*h + 6*m}}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("events (-want +got)\n%s", diff)
	}
}

// keepAlive pings every two minutes until some time.
func keepAlive(p *peer, until time.Time) {
	p.t.Helper()
	for {
		left := time.Until(until)
		time.Sleep(min(left, 2*time.Minute))
		p.ping()
		if left <= 2*time.Minute {
			return
		}
	}
}
