package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/httpsx"
)

var telemetryFeatures = []feature{
	{name: "telemetry, plain", run: telemetryPlain},
	{name: "telemetry with every system property", run: telemetrySystem},
	{name: "telemetry with awkward property values", run: telemetryAwkward},
	{name: "telemetry with empty, binary and large bodies", run: telemetryBodies},
	{name: "telemetry over the limit is refused", run: telemetryTooLarge},
	{name: "telemetry in an asynchronous burst of 1000", run: telemetryBurst},
	{name: "telemetry at most once (QoS 0)", lacks: onlyMQTT, run: telemetryAtMostOnce},
}

// tell sends messages from a new device and compares what the back end then reads.
func (s *stage) tell(ctx context.Context, o device.MQTTOptions, ms ...hubwire.Message) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	events := s.events(a.id)
	c, err := s.connectWith(ctx, a, o, device.Options{})
	if err != nil {
		return err
	}
	for _, m := range ms {
		before := time.Now()
		if err := c.Send(ctx, &m); err != nil {
			return err
		}
		ev, err := events.next(ctx)
		if err != nil {
			return err
		}
		if err := arrived(ev, a.id, m, before); err != nil {
			return err
		}
	}
	return c.nothingMore(ctx, events)
}

func telemetryPlain(ctx context.Context, s *stage) error {
	return s.tell(ctx, device.MQTTOptions{}, hubwire.Message{Body: []byte(`{"temperature":21.5}`)})
}

func telemetryAtMostOnce(ctx context.Context, s *stage) error {
	return s.tell(ctx, device.MQTTOptions{AtMostOnce: true}, hubwire.Message{Body: []byte("once"), ID: "m1"})
}

func telemetrySystem(ctx context.Context, s *stage) error {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789e6, time.UTC)
	return s.tell(ctx, device.MQTTOptions{}, hubwire.Message{
		Body: []byte(`{"temperature":21.5}`),
		ID:   "message-1", CorrelationID: "correlation-1", UserID: "user 1",
		ContentType: "application/json", ContentEncoding: "utf-8",
		CreationTime: at, Expiry: at.Add(time.Hour),
		Component: "thermostat", InterfaceID: "urn:azureiot:Security:SecurityAgent:1", Schema: "schema-1",
		DiagnosticID: "12345678", DiagnosticContext: "creationtimeutc=1506054179",
		Properties: []hubwire.Property{{Name: "$.future", Value: "a-system-property-that-nobody-knows-yet"}, {Name: "alert", Value: "true"}},
	})
}

func telemetryAwkward(ctx context.Context, s *stage) error {
	if s.protocol.name == overHTTPS {
		return s.awkwardHeaders(ctx)
	}
	return s.tell(ctx, device.MQTTOptions{}, hubwire.Message{Body: []byte("x"), ID: "a b&c=d/e?f#g%2Fh+i", Properties: []hubwire.Property{
		{Name: "blank", Value: " "},
		{Name: "empty", Value: ""},
		{Name: "delimiters", Value: "&=?#/;,@:$"},
		{Name: "escapes", Value: "%20 %zz + %"},
		{Name: "wildcards", Value: "+/#"},
		{Name: "control characters", Value: "\x01\t\r\n\x7f"},
		{Name: "quotes", Value: `"'` + "`" + `\`},
		{Name: "beyond ASCII", Value: "Grüße, 世界, 🌍"},
		{Name: "näme & = / %", Value: "the name too"},
		{Name: "twice", Value: "1"},
		{Name: "Twice", Value: "names are case-sensitive"},
		{Name: "long", Value: strings.Repeat("long ", 800)},
	}})
}

// awkwardHeaders sends what HTTPS can carry, where names and values are tokens of HTTP and names have
// no case, and is refused what it cannot, by name.
func (s *stage) awkwardHeaders(ctx context.Context) error {
	const all = "!#$%&'*+-.^_`|~09azAZ"
	err := s.tell(ctx, device.MQTTOptions{}, hubwire.Message{Body: []byte("x"), ID: "a b&c=d/e?f#g%2Fh+i", Properties: []hubwire.Property{
		{Name: strings.ToLower(all), Value: all},
		{Name: "empty", Value: ""},
		{Name: "long", Value: strings.Repeat("long-", 800)},
	}})
	if err != nil {
		return err
	}
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	for _, p := range []hubwire.Property{{Name: "blank", Value: "a b"}, {Name: "beyond", Value: "世界"}, {Name: "näme", Value: "x"}} {
		err := c.Send(ctx, &hubwire.Message{Properties: []hubwire.Property{p}})
		fault, ok := errors.AsType[*httpsx.PropertyError](err)
		if !ok || fault.Name != p.Name {
			return fmt.Errorf("the property %s, which HTTPS cannot carry, ended with %v", p.Name, err)
		}
	}
	return s.works(ctx, c)
}

func telemetryBodies(ctx context.Context, s *stage) error {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return s.tell(ctx, device.MQTTOptions{},
		hubwire.Message{},
		hubwire.Message{Body: all},
		hubwire.Message{Body: bytes.Repeat(all, 1000)}, // 256 000 bytes; with its topic still within a packet
	)
}

func telemetryTooLarge(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	events := s.events(c.id)
	err = c.Send(ctx, &hubwire.Message{Body: make([]byte, hubwire.MaxTelemetrySize+1)})
	if err := refusedWith(err, "a message over the limit", hubwire.MessageTooLarge); err != nil {
		return err
	}
	m := hubwire.Message{Body: []byte("the next one passes")}
	if err := c.Send(ctx, &m); err != nil {
		return err
	}
	ev, err := events.next(ctx)
	if err != nil {
		return err
	}
	return sameMessage(ev.Message, m)
}

func telemetryBurst(ctx context.Context, s *stage) error {
	const count = 1000
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	events := s.events(c.id)
	b := newBurst(c)
	if err := b.send(ctx, count); err != nil {
		return err
	}
	if err := b.wait(ctx); err != nil {
		return err
	}
	for i := range count {
		ev, err := events.next(ctx)
		if err != nil {
			return err
		}
		if err := same(fmt.Sprintf("body %d", i), string(ev.Body), burstBody(i)); err != nil {
			return err
		}
	}
	return c.nothingMore(ctx, events)
}

// burst is telemetry that is sent without waiting for acknowledgements.
type burst struct {
	c    *party
	sent int
	acks chan error
}

// mostInBurst is how many messages a burst can have.
const mostInBurst = 10_000

func newBurst(c *party) *burst { return &burst{c: c, acks: make(chan error, mostInBurst)} }

func burstBody(i int) string { return fmt.Sprintf("%-256d", i) }

func (b *burst) send(ctx context.Context, n int) error {
	for range n {
		m := &hubwire.Message{Body: []byte(burstBody(b.sent))}
		if err := b.c.SendAsync(ctx, m, func(err error) { b.acks <- err }); err != nil {
			return err
		}
		b.sent++
	}
	return nil
}

// wait waits until each message has its acknowledgement.
func (b *burst) wait(ctx context.Context) error {
	for i := range b.sent {
		select {
		case err := <-b.acks:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages are acknowledged: %w", i, b.sent, ctx.Err())
		}
	}
	select {
	case <-b.acks:
		return errors.New("there are more acknowledgements than messages")
	default:
		return nil
	}
}
