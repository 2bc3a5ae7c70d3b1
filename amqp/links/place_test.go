package links_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp/links"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

var (
	dev = hubwire.Identity{DeviceID: "dev-1"}
	mod = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod"}
)

// place is a hub in a bubble, and a connection to it whose network can be cut.
type place struct {
	t    *testing.T
	hub  *hub.Hub
	conn *links.Conn

	mu         sync.Mutex
	nets       []net.Conn
	unexpected []error
}

// at runs a test at a place of its own, in a bubble, and sees to it that nothing is left behind.
func at(t *testing.T, cfg hub.Config, test func(p *place)) {
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		cfg.InMemory = true
		p := &place{t: t, hub: hubtest.Start(t, &cfg)}
		hubtest.Device(t, p.hub, dev.DeviceID)
		hubtest.Module(t, p.hub, mod.DeviceID, mod.ModuleID)
		var err error
		p.conn, err = links.New(&links.Options{Dial: p.dial, HostName: p.hub.HostName()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.conn.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		test(p)
	})
}

func (p *place) dial(ctx context.Context) (net.Conn, error) {
	nc, err := p.hub.Dial(ctx, "tcp", net.JoinHostPort(p.hub.HostName(), "5671"))
	if err != nil {
		return nil, err
	}
	o := p.hub.ClientTLS().Clone()
	o.ServerName = p.hub.HostName()
	c := tls.Client(nc, o)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nets = append(p.nets, nc)
	return c, nil
}

// cut cuts the network connection of the moment.
func (p *place) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.nets[len(p.nets)-1].Close()
}

// tokens makes tokens of the identity's own key.
func (p *place) tokens(id hubwire.Identity) sas.TokenSource {
	p.t.Helper()
	s, err := p.hub.ConnectionString(id)
	if err != nil {
		p.t.Fatal(err)
	}
	cs, err := sas.ParseConnectionString(s)
	if err != nil {
		p.t.Fatal(err)
	}
	tokens, err := cs.Tokens(time.Hour)
	if err != nil {
		p.t.Fatal(err)
	}
	return tokens
}

// open puts an identity on the connection.
func (p *place) open(id hubwire.Identity) *links.Device {
	p.t.Helper()
	d, err := p.conn.Device(p.soon(), id, &links.DeviceOptions{Tokens: p.tokens(id), OnUnexpected: func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.unexpected = append(p.unexpected, err)
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// soon returns a context for what takes no hour.
func (p *place) soon() context.Context {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Hour)
	p.t.Cleanup(cancel)
	return ctx
}

// receive returns the next message, whose body must be that.
func (p *place) receive(d *links.Device, body string) *hubwire.Received {
	p.t.Helper()
	m, err := d.Receive(p.soon())
	if err != nil {
		p.t.Fatalf("receive %q: %v", body, err)
	}
	if string(m.Body) != body {
		p.t.Fatalf("received %q, want %q", m.Body, body)
	}
	return m
}

func (p *place) send(id hubwire.Identity, body string) {
	p.t.Helper()
	if err := p.hub.SendC2D(p.t.Context(), id, &hubwire.Message{ID: body, Body: []byte(body), Ack: hubwire.AckFull}); err != nil {
		p.t.Fatal(err)
	}
}

// connected waits until d is connected.
func (p *place) connected(d *links.Device) {
	p.t.Helper()
	for range 1000 {
		synctest.Wait()
		if d.State() == links.Connected {
			return
		}
		time.Sleep(time.Second) // by the bubble's clock
	}
	p.t.Fatalf("the device is %v", d.State())
}
