package device_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

func TestTelemetryArrivesAsItWasSent(t *testing.T) {
	moment := time.Date(2024, 2, 29, 23, 59, 59, 123456700, time.UTC)
	one := func(name, value string) []hubwire.Property { return []hubwire.Property{{Name: name, Value: value}} }
	messages := map[string]hubwire.Message{
		"plain":   {Body: []byte(`{"temperature":21}`)},
		"nothing": {},
		"every system property": {
			Body: []byte("b"), ID: "id 1/+", CorrelationID: "c&=%", UserID: "u", To: "/there", ContentType: "application/json",
			ContentEncoding: "utf-8", CreationTime: moment, Expiry: moment.Add(time.Hour), Component: "thermostat",
			InterfaceID: "urn:azureiot:Security:SecurityAgent:1", Schema: "s", DiagnosticID: "d", DiagnosticContext: "creationtimeutc=1",
		},
		"a system property without a field": {Properties: one("$.xyz", "kept")},
		"an empty value":                    {Properties: one("empty", "")},
		"reserved characters":               {Properties: one("%&=/+?# $", "/a=b&c%20+d?#$,;:@~'()*!")},
		"blanks":                            {Properties: one(" lead", "trail \t\n")},
		"UTF-8":                             {Properties: one("größe", "温度 🌡 \u00a0")},
		"an escape that is none":            {Properties: one("%zz", "100%")},
		"1 KiB":                             {Properties: one("long", strings.Repeat("äb ", 256))},
		"duplicates, in order":              {Properties: []hubwire.Property{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}},
		"the largest body":                  {Body: make([]byte, 262144-len("devices/dev-1/messages/events/")-9)},
	}
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		for name, m := range messages {
			if err := c.Send(t.Context(), &m); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			ev := b.next()
			if !bytes.Equal(m.Body, ev.Body) {
				t.Errorf("%s: the body has changed", name)
			}
			if !b.mqtt() {
				m.Expiry = m.Expiry.Truncate(time.Millisecond) // a timestamp of AMQP has no more
			}
			if diff := cmp.Diff(m, ev.Message, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(m, "Body")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if ev.Source != dev {
				t.Errorf("%s is from %v", name, ev.Source)
			}
		}
	})
}

func TestAMessageThatDoesNotFitIsRefusedHere(t *testing.T) {
	type runner = func(*testing.T, hub.Config, func(*testing.T, *bench))
	for name, tt := range map[string]struct {
		over runner
		m    *hubwire.Message
	}{
		"by IoT Hub's count":  {overEach, &hubwire.Message{Body: make([]byte, hubwire.MaxTelemetrySize+1)}},
		"with its properties": {overEach, &hubwire.Message{Body: make([]byte, hubwire.MaxTelemetrySize-1), Properties: []hubwire.Property{{Name: "a", Value: "b"}}}},
		"as a packet of MQTT": {overMQTT, &hubwire.Message{Body: make([]byte, hubwire.MaxTelemetrySize)}},
		"as a topic of MQTT":  {overMQTT, &hubwire.Message{Properties: []hubwire.Property{{Name: "long", Value: strings.Repeat("ä", 11000)}}}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.over(t, hub.Config{}, func(t *testing.T, b *bench) {
				c := b.dial(b.device, nil)
				var e *hubwire.Error
				err := c.Send(t.Context(), tt.m)
				if !errors.As(err, &e) || e.Outcome != hubwire.NotSent || e.Retryable || e.Op != "send" ||
					e.Code != hubwire.MessageTooLarge && e.Code != hubwire.ArgumentInvalid {
					t.Errorf("%v", err)
				}
				if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
					t.Errorf("the next message: %v", err)
				}
				b.next()
			})
		})
	}
}

func TestABurstArrivesInOrder(t *testing.T) {
	const n = 3000 // three windows
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		ms := make([]*hubwire.Message, n)
		for i := range ms {
			ms[i] = &hubwire.Message{Body: fmt.Append(nil, i)}
		}
		if err := c.SendAll(t.Context(), ms); err != nil {
			t.Fatal(err)
		}
		for i := range ms {
			if ev := b.next(); string(ev.Body) != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, ev.Body)
			}
		}
		b.noMore()
	})
}

// tally counts what done functions are told.
type tally struct {
	mu    sync.Mutex
	calls map[int][]error
}

func (y *tally) done(i int) func(error) {
	return func(err error) {
		y.mu.Lock()
		defer y.mu.Unlock()
		if y.calls == nil {
			y.calls = map[int][]error{}
		}
		y.calls[i] = append(y.calls[i], err)
	}
}

// once fails t unless each of n functions was called once, with an error that
// ok takes.
func (y *tally) once(t *testing.T, n int, ok func(error) bool) {
	t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	for i := range n {
		if got := y.calls[i]; len(got) != 1 || !ok(got[0]) {
			t.Errorf("done of message %d: %v", i, got)
		}
	}
}

func TestSendAsyncTellsOfEachMessageOnce(t *testing.T) {
	const n = 500
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		var y tally
		c := b.dial(b.device, func(o *device.Options) { o.Window = 50 })
		for i := range n {
			if err := c.SendAsync(t.Context(), &hubwire.Message{}, y.done(i)); err != nil {
				t.Fatal(err)
			}
			if i%100 == 50 {
				b.hub.Disconnect(dev) // what is under way is sent again
			}
		}
		synctest.Wait()
		time.Sleep(time.Minute) // by the bubble's clock: back-off, resending
		synctest.Wait()
		y.once(t, n, func(err error) bool { return err == nil })
	})
}

func TestPendingSendsFailWhenTheClientIsClosed(t *testing.T) {
	const n = 10
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		return hub.Verdict{SwallowAck: op.Kind == hub.OpPublish}
	}}
	overAll(t, cfg, func(t *testing.T, b *bench) {
		if b.transport.String() == "https" { // where what comes while a request is under way is not sent: one is to have all
			b.transport = device.HTTPS(&device.HTTPSOptions{Linger: time.Millisecond})
		}
		var y tally
		c := b.dial(b.device, nil)
		for i := range n {
			if err := c.SendAsync(t.Context(), &hubwire.Message{}, y.done(i)); err != nil {
				t.Fatal(err)
			}
		}
		failed := make(chan error)
		go func() { failed <- c.Send(t.Context(), &hubwire.Message{}) }()
		time.Sleep(time.Second)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		unknown := func(err error) bool {
			var e *hubwire.Error
			return errors.As(err, &e) && e.Outcome == hubwire.Unknown && errors.Is(err, net.ErrClosed)
		}
		y.once(t, n, unknown)
		if err := <-failed; !unknown(err) {
			t.Errorf("Send: %v", err)
		}
		if err := c.Send(t.Context(), &hubwire.Message{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send after Close: %v", err)
		}
	})
}

func TestASendEndsWithItsContext(t *testing.T) {
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		return hub.Verdict{SwallowAck: op.Kind == hub.OpPublish}
	}}
	overAll(t, cfg, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *hubwire.Error
		if err := c.Send(ctx, &hubwire.Message{}); !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := c.Send(ctx, &hubwire.Message{}); !errors.As(err, &e) || e.Outcome != hubwire.NotSent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that is over: %v", err)
		}
	})
}

func TestAtMostOnceNeedsNoAcknowledgement(t *testing.T) {
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
		return hub.Verdict{SwallowAck: op.Kind == hub.OpPublish}
	}}
	overMQTT(t, cfg, func(t *testing.T, b *bench) {
		b.adjust(device.MQTTOptions{AtMostOnce: true})
		c := b.dial(b.device, nil)
		if err := c.Send(t.Context(), &hubwire.Message{ID: "loose"}); err != nil {
			t.Fatal(err)
		}
		if ev := b.next(); ev.ID != "loose" {
			t.Errorf("%q arrived", ev.ID)
		}
	})
}

func TestTheWillIsPublishedWhenTheClientVanishes(t *testing.T) {
	overMQTT(t, hub.Config{}, func(t *testing.T, b *bench) {
		will := &hubwire.Message{Body: []byte("gone"), ContentType: "text/plain"}
		b.adjust(device.MQTTOptions{Will: will})
		c := b.dial(b.device, nil)
		b.hub.Disconnect(dev)
		ev := b.next()
		if kind, _ := ev.Property("iothub-MessageType"); kind != "Will" || string(ev.Body) != "gone" || ev.ContentType != "text/plain" {
			t.Errorf("%+v", ev.Message)
		}
		time.Sleep(time.Minute) // the next connection is stable
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		b.noMore() // after a good-bye
	})
}
