package main

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// renewals is a contest of one: a device whose token is renewed again and again, while it sends as fast as it may. It
// must neither connect again nor lose a message. Nothing of it is a time, so it is measured once, before the rounds.
type renewals struct {
	n    int // how many renewals there are at least
	of   []*row
	done stretch
}

func renewing() *renewals {
	c := &renewals{n: 100} // the rows are named after it
	ours := new(work)
	row := func(unit string, of func(stretch) float64, gate bound) {
		c.of = append(c.of, &row{
			name: "100 CBS renewals under load", figure: figure{unit, of}, steady: true,
			ours: ours, allocs: uncounted, gates: []bound{gate},
		})
	}
	row("renewals", func(s stretch) float64 { return float64(s.client.Renewals) }, oursAtLeast(100))
	row("reconnects", func(s stretch) float64 { return float64(s.client.Reconnects) }, oursAtMost(0))
	row("messages without an acknowledgement", func(s stretch) float64 { return float64(s.client.Sent - s.client.Count) }, oursAtMost(0))
	row("messages lost or doubled", func(s stretch) float64 { return math.Abs(float64(s.client.Sent - s.server.Count)) }, oursAtMost(0))
	return c
}

func (c *renewals) rows() []*row { return c.of }

func (c *renewals) ready(int) error {
	hub, err := launch("AMQP hub, no skew", setup{}, false)
	if err != nil {
		return err
	}
	defer hub.close()
	device, err := launch("AMQP renewals", setup{Door: hub.door, TLS: true}, false)
	if err != nil {
		return err
	}
	defer device.close()
	before, err := hub.tell()
	if err != nil {
		return err
	}
	if c.done.client, err = device.run(c.n); err != nil {
		return err
	}
	c.done.server, err = hub.counted(before, c.done.client.Sent)
	return err
}

func (c *renewals) round() ([][]sample, error) {
	var all [][]sample
	for _, r := range c.of {
		all = append(all, []sample{{ours: r.figure.of(c.done)}})
	}
	return all, nil
}

func (c *renewals) close() {}

// punctualHubRole is a hub that takes no token a second longer than it holds.
func punctualHubRole(setup) (*actor, error) {
	h, d, err := startHubAs(&hub.Config{Skew: -1}, identity)
	if err != nil {
		return nil, err
	}
	d.TLS = h.AMQPAddr()
	return &actor{door: d, count: (&recorded{hub: h}).count}, nil
}

const (
	// claimedLife is how long a token holds, as the client is told: it is renewed after 80 % of that, which is as
	// soon as it does so at all.
	claimedLife = 125 * time.Millisecond

	// tokenLife is how long it does hold. A hundred renewals take longer than that, so without them the hub would
	// not have the device any more.
	tokenLife = 8 * time.Second
)

// renewer is the device.
type renewer struct {
	client   *device.Client
	tokens   atomic.Int64 // that it has been given
	connects atomic.Int64
	sent     int64
	acked    *tally
}

func renewingRole(s setup) (*actor, error) {
	o, err := s.deviceOptions()
	if err != nil {
		return nil, err
	}
	r := &renewer{acked: newTally()}
	o.Window = window
	o.Hooks = &device.Hooks{State: func(state device.State, _ error) {
		if state == device.Connected {
			r.connects.Add(1)
		}
	}}
	r.client, err = device.DialCredentials(context.Background(), device.Credentials{
		HostName: s.host(), Identity: identity,
		Tokens: tokenFunc(func(context.Context, string) (string, time.Time, error) {
			r.tokens.Add(1)
			now := time.Now()
			token, err := s.tokenUntil(now.Add(tokenLife), identity)
			return token, now.Add(claimedLife), err
		}),
	}, device.AMQP(nil), o)
	return &actor{run: r.run, count: r.acked.count, more: r.used}, err
}

// tokenFunc is a [sas.TokenSource].
type tokenFunc func(ctx context.Context, audience string) (string, time.Time, error)

func (f tokenFunc) Token(ctx context.Context, audience string) (string, time.Time, error) {
	return f(ctx, audience)
}

// run sends until the token has been renewed n times more.
func (r *renewer) run(n int) error {
	const some = 1000
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	for until := r.tokens.Load() + int64(n); r.tokens.Load() < until; r.sent += some {
		if err := r.acked.wait(some, func() error { return r.client.SendAsync(ctx, telemetryMessage, r.acked.done) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *renewer) used(u *usage) {
	u.Sent, u.Renewals, u.Reconnects = r.sent, r.tokens.Load()-1, r.connects.Load()-1
}
