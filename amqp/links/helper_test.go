package links

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

var dev = hubwire.Identity{DeviceID: "dev-1"}

// bench is a hub in a test bubble, and how to reach it.
type bench struct {
	t   *testing.T
	hub *hub.Hub

	mu    sync.Mutex
	dials int
	open  []net.Conn // what Dial gave
}

// over runs a test with a hub in a bubble of its own, so that waiting takes no time, and sees
// to it that nothing is left behind.
func over(t *testing.T, cfg hub.Config, test func(*testing.T, *bench)) {
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		cfg.InMemory = true
		test(t, &bench{t: t, hub: hubtest.Start(t, &cfg)})
	})
}

// dial opens a TLS connection to the hub's door for AMQP.
func (b *bench) dial(ctx context.Context) (net.Conn, error) {
	raw, err := b.hub.Dial(ctx, "tcp", b.hub.HostName()+":5671")
	if err != nil {
		return nil, err
	}
	cfg := b.hub.ClientTLS().Clone()
	cfg.ServerName = b.hub.HostName()
	nc := tls.Client(raw, cfg)
	if err := nc.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials++
	b.open = append(b.open, raw)
	return nc, nil
}

// dialled is how many connections there were.
func (b *bench) dialled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dials
}

// cut ends the connections that there are, as a network does.
func (b *bench) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, nc := range b.open {
		nc.Close()
	}
	b.open = nil
}

// conn makes a Conn to the hub, and closes it with the test.
func (b *bench) conn(change func(*Options)) *Conn {
	b.t.Helper()
	o := &Options{Dial: b.dial, HostName: b.hub.HostName(), OnPanic: func(v any, stack []byte) {
		b.t.Errorf("panic: %v\n%s", v, stack)
	}}
	if change != nil {
		change(o)
	}
	return newConn(b.t, o)
}

func newConn(t *testing.T, o *Options) *Conn {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Helper()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// tokens is the source of a device's tokens, which is registered if need be.
func (b *bench) tokens(id hubwire.Identity) *sas.Source {
	b.t.Helper()
	d, err := b.hub.Device(id)
	if err != nil {
		d, err = b.hub.Create(b.t.Context(), &hub.Device{Identity: id})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := sas.NewKey(d.PrimaryKey)
	if err != nil {
		b.t.Fatal(err)
	}
	return &sas.Source{Signer: key}
}

// post is a sender that tests send by.
type post struct {
	*sender
	out outgoing
}

func newPost(e *entity, cfg linkConfig) *post {
	p := new(post)
	p.out.init(e, cfg, 0)
	p.sender = p.out.to
	return p
}

// device is an entity for a device of the hub, with its telemetry link.
func (b *bench) device(c *Conn, id hubwire.Identity, change func(*entityConfig)) (*entity, *post) {
	b.t.Helper()
	cfg := entityConfig{
		name: id.String(), audience: sas.Audience(b.hub.HostName(), id), tokens: b.tokens(id),
	}
	if change != nil {
		change(&cfg)
	}
	e, err := c.add(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return e, newPost(e, telemetry(id))
}

func telemetry(id hubwire.Identity) linkConfig {
	return linkConfig{node: amqp.Telemetry, eager: true, address: amqp.Address{Node: amqp.Telemetry, Identity: id}.String()}
}

func c2d(id hubwire.Identity) receiverConfig {
	return receiverConfig{
		linkConfig: linkConfig{node: amqp.C2D, address: amqp.Address{Node: amqp.C2D, Identity: id}.String()},
		credit:     10,
	}
}

// bodies has the messages of a receiver to be brought.
func bodies(cfg receiverConfig) (receiverConfig, <-chan string) {
	came := make(chan string, 10)
	cfg.delivery = func(_ generation, d *amqpclient.Delivery) {
		take(d.Link, d.ID, d.Settled)
		m, err := amqp.ParseMessage(d.Message)
		if err != nil {
			panic(err)
		}
		var body string
		for data := range m.Sections() {
			body += string(data)
		}
		came <- body
	}
	return cfg, came
}

// send sends one message over whatever attachment stands.
func send(ctx context.Context, s *post, body string) error {
	if _, f := s.out.once(ctx, "send", amqp.AppendData(nil, []byte(body)), 0); f.err != nil {
		return f.err
	}
	return nil
}

// sent fails the test unless body can be sent.
func sent(t *testing.T, s *post, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := send(ctx, s, body); err != nil {
		t.Errorf("send %q: %v", body, err)
	}
}

// opened opens e.
func opened(t *testing.T, e *entity) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if err := e.open(ctx); err != nil {
		t.Fatalf("open %s: %v", e.cfg.name, err)
	}
}

// states remembers what onState was told.
type states struct {
	mu      sync.Mutex
	log     []string
	reasons []error
}

func (s *states) on(state State, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprint(state))
	s.reasons = append(s.reasons, reason)
}

func (s *states) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// last is the last reason.
func (s *states) last() error { return s.reason(len(s.seen()) - 1) }

// reason is the i-th reason, from 0, or nil.
func (s *states) reason(i int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i < 0 || i >= len(s.reasons) {
		return nil
	}
	return s.reasons[i]
}
