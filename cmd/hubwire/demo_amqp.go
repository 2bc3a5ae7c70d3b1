package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

// What MQTT does not have.
var amqpFeatures = []feature{
	{name: "telemetry in batches that are one message", lacks: notMQTT, run: telemetryBatches},
	{name: "token renewal on the same connection", lacks: notMQTT, run: renewalInPlace},
	{name: "many devices on one connection", lacks: onlyAMQP, run: manyDevices},
}

// telemetryBatches sends messages together, which then travel together: in far fewer writes than there are messages.
func telemetryBatches(ctx context.Context, s *stage) error {
	const count = 200
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	if err := c.Send(ctx, &hubwire.Message{Body: []byte("first")}); err != nil { // when all that opens is open
		return err
	}
	before := time.Now()
	ms := make([]*hubwire.Message, count)
	for i := range ms {
		ms[i] = &hubwire.Message{Body: fmt.Append(nil, i), ID: fmt.Sprint("m", i), Properties: []hubwire.Property{{Name: "number", Value: fmt.Sprint(i)}}}
	}
	written := c.wire.writes.Load()
	if err := c.SendAll(ctx, ms); err != nil {
		return err
	}
	if n := c.wire.writes.Load() - written; n > count/4 {
		return fmt.Errorf("%d messages took %d writes", count, n)
	}
	events := s.events(c.id)
	if _, err := events.next(ctx); err != nil {
		return err
	}
	for _, m := range ms {
		ev, err := events.next(ctx)
		if err != nil {
			return err
		}
		if err := arrived(ev, c.id, *m, before); err != nil {
			return err
		}
	}
	return c.nothingMore(ctx, events)
}

// renewalInPlace outlives two tokens, and the connection does not notice.
func renewalInPlace(ctx context.Context, s *stage) error {
	const life = 4 * time.Second
	c, tokens, err := s.renewing(ctx, life)
	if err != nil {
		return err
	}
	sent := 0
	for start := time.Now(); tokens.n.Load() < 3 || time.Since(start) < 2*life; sent++ {
		// One at a time: over HTTPS those that are under way side by side have a connection each.
		m := &hubwire.Message{Body: []byte(burstBody(sent))}
		if err := errors.Join(c.Send(ctx, m), pause(ctx, 10*time.Millisecond)); err != nil {
			return err
		}
	}
	return errors.Join(
		same("the number of connections", c.wire.count(), 1),
		same("that it was connected all the time", c.states.passed(device.Renewing) || c.states.lost(), false),
		complete(ctx, s.events(c.id), sent),
	)
}

// manyDevices has devices share a connection, of which one is disabled and one says good-bye.
func manyDevices(ctx context.Context, s *stage) error {
	const count = 20
	conn, w, err := s.share()
	if err != nil {
		return err
	}
	parties := make([]*party, count)
	for i := range parties {
		a, err := s.device(ctx)
		if err != nil {
			return err
		}
		if parties[i], err = s.join(ctx, conn, w, a); err != nil {
			return err
		}
		if err := s.everything(ctx, parties[i]); err != nil {
			return fmt.Errorf("device %d: %w", i, err)
		}
	}
	disabled, gone, rest := parties[0], parties[1], parties[2:]
	if err := errors.Join(s.disable(ctx, disabled), gone.Close()); err != nil {
		return err
	}
	for i, p := range rest {
		if err := s.everything(ctx, p); err != nil {
			return fmt.Errorf("device %d, after others have gone: %w", i, err)
		}
		if p.states.lost() {
			return fmt.Errorf("device %d has lost its connection: %v", i, p.states)
		}
	}
	return same("the number of connections", w.count(), 1)
}

// share makes a connection for many devices.
func (s *stage) share() (*device.AMQPConnection, *wire, error) {
	w := &wire{open: s.way.dial}
	conn, err := device.NewAMQPConnection(s.host, s.protocol.open(transportOptions{}), &device.Options{
		Dial: w.dial, TLSConfig: s.way.tls, ProductInfo: "demo", CloseTimeout: s.grace,
	})
	if err != nil {
		return nil, nil, err
	}
	s.later(func(context.Context) error { return conn.Close() })
	return conn, w, nil
}

// join connects an actor over a connection that is shared.
func (s *stage) join(ctx context.Context, conn *device.AMQPConnection, w *wire, a *actor) (*party, error) {
	p := &party{id: a.id, wire: w, states: newStateLog()}
	var err error
	p.Client, err = device.Dial(ctx, a.connectionString, conn.Transport(), &device.Options{
		ProductInfo: "demo", CloseTimeout: s.grace, Hooks: &device.Hooks{State: p.states.add},
	})
	return p, err
}

// everything uses telemetry, a message and a method of a device.
func (s *stage) everything(ctx context.Context, p *party) error {
	m := numbered(1)[0]
	return errors.Join(
		p.Send(ctx, &hubwire.Message{Body: []byte("hello")}),
		s.sendC2D(ctx, p.id, m), p.completes(ctx, m),
		s.callMethod(ctx, p),
	)
}
