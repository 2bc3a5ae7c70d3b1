package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/sas"
)

var connectionFeatures = []feature{
	{name: "reconnect after a cut, nothing lost", run: connectionCut},
	{name: "token renewal, nothing lost", run: connectionRenewal},
	{name: "last will", lacks: onlyMQTT, run: connectionWill},
}

// connectionCut cuts the network under a burst. All of it is acknowledged, and
// what was subscribed is restored.
func connectionCut(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	if err := s.listen(ctx, c); err != nil {
		return err
	}
	b := newBurst(c)
	if err := b.send(ctx, 100); err != nil {
		return err
	}
	c.wire.cut()
	opened := c.wire.count()
	if err := b.send(ctx, 100); err != nil {
		return err
	}
	if err := b.wait(ctx); err != nil {
		return err
	}
	if c.wire.count() == opened {
		return errors.New("there was no other connection after the cut")
	}
	if s.protocol.name != overHTTPS { // where a request that meets no cut is none the wiser
		if err := c.states.await(ctx, device.Connected, device.Connecting, device.Connected); err != nil {
			return err
		}
	}
	if err := complete(ctx, s.events(c.id), b.sent); err != nil {
		return err
	}
	m := numbered(1)[0]
	if err := s.sendC2D(ctx, c.id, m); err != nil {
		return err
	}
	return errors.Join(c.completes(ctx, m), s.calls(ctx, c))
}

// calls calls a method, where the protocol has them.
func (s *stage) calls(ctx context.Context, c *party) error {
	if s.protocol.name == overHTTPS {
		return nil
	}
	return s.callMethod(ctx, c)
}

// listen subscribes to messages and methods.
func (s *stage) listen(ctx context.Context, c *party) error {
	m := numbered(1)[0]
	if err := s.sendC2D(ctx, c.id, m); err != nil {
		return err
	}
	return errors.Join(c.completes(ctx, m), s.calls(ctx, c))
}

// complete reports whether the hub has each message of a burst, at least once,
// and in order when what came again is left out.
func complete(ctx context.Context, events *events, count int) error {
	for want := 0; want < count; {
		ev, err := events.next(ctx)
		if err != nil {
			return fmt.Errorf("waiting for message %d: %w", want, err)
		}
		i, err := strconv.Atoi(strings.TrimSpace(string(ev.Body)))
		switch {
		case err != nil:
			return err
		case i == want:
			want++
		case i > want:
			return fmt.Errorf("message %d came before %d", i, want)
		}
		if err := same("the body", string(ev.Body), burstBody(i)); err != nil {
			return err
		}
	}
	return nil
}

// countedTokens makes tokens that do not last, and counts them.
type countedTokens struct {
	sas.Source
	n atomic.Int32
}

func (t *countedTokens) Token(ctx context.Context, audience string) (string, time.Time, error) {
	t.n.Add(1)
	return t.Source.Token(ctx, audience)
}

// connectionRenewal sends while the token is renewed, which over MQTT takes a
// new connection, and over the others none.
func connectionRenewal(ctx context.Context, s *stage) error {
	for life := 5 * time.Second; ; life *= 2 {
		if err := s.renews(ctx, life); !errors.Is(err, errTooSoon) {
			return err
		}
	}
}

// errTooSoon is why a token was renewed before all was ready for it, as on a machine that is busy.
var errTooSoon = errors.New("the token was renewed too soon")

// renews is connectionRenewal with tokens that hold for so long.
func (s *stage) renews(ctx context.Context, life time.Duration) error {
	c, tokens, err := s.renewing(ctx, life)
	if err != nil {
		return err
	}
	err = s.listen(ctx, c)
	if tokens.n.Load() > 1 {
		return errors.Join(errTooSoon, c.Close())
	}
	if err != nil {
		return err
	}
	b := newBurst(c)
	renewed := func() bool {
		return tokens.n.Load() > 1 && (!slices.Contains(notMQTT, s.protocol.name) || c.states.passed(device.Connected, device.Renewing, device.Connected))
	}
	for !renewed() {
		if err := errors.Join(b.send(ctx, 1), pause(ctx, 10*time.Millisecond)); err != nil {
			return err
		}
	}
	if err := errors.Join(b.send(ctx, 1), b.wait(ctx)); err != nil {
		return err
	}
	if c.states.lost() {
		return fmt.Errorf("the connection was lost: %v", c.states)
	}
	return complete(ctx, s.events(c.id), b.sent)
}

// renewing connects a device whose tokens hold for so long.
func (s *stage) renewing(ctx context.Context, life time.Duration) (*party, *countedTokens, error) {
	a, err := s.device(ctx)
	if err != nil {
		return nil, nil, err
	}
	cred, err := device.CredentialsFromConnectionString(a.connectionString)
	if err != nil {
		return nil, nil, err
	}
	tokens, err := shortTokens(a, life)
	if err != nil {
		return nil, nil, err
	}
	cred.Tokens = tokens
	c, err := s.dial(ctx, a, cred, device.MQTTOptions{}, device.Options{})
	return c, tokens, err
}

// shortTokens makes tokens for a that hold for so long.
func shortTokens(a *actor, life time.Duration) (*countedTokens, error) {
	cs, err := sas.ParseConnectionString(a.connectionString)
	if err != nil {
		return nil, err
	}
	key, _, err := keyOf(cs)
	if err != nil {
		return nil, err
	}
	return &countedTokens{Source: sas.Source{Signer: key, TTL: life}}, nil
}

// connectionWill cuts the network of a device that left word with the hub.
func connectionWill(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	will := hubwire.Message{Body: []byte("gone"), Properties: []hubwire.Property{{Name: "why", Value: "a cut"}}}
	c, err := s.connectWith(ctx, a, device.MQTTOptions{Will: &will}, device.Options{})
	if err != nil {
		return err
	}
	before := time.Now()
	c.wire.cut()
	ev, err := s.events(a.id).next(ctx)
	if err != nil {
		return err
	}
	mark := hubwire.Property{Name: "iothub-MessageType", Value: "Will"}
	if !slices.Contains(ev.Properties, mark) {
		return fmt.Errorf("the event is not marked as a will: %s", brief(ev.Properties))
	}
	ev.Properties = slices.DeleteFunc(ev.Properties, func(p hubwire.Property) bool { return p == mark })
	return arrived(ev, a.id, will, before)
}
