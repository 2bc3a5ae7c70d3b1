package device_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

var (
	dev = hubwire.Identity{DeviceID: "dev-1"}
	mod = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod"}
)

// transports are what each conformance test runs over.
func transports() []device.Transport {
	return append(mqttTransports(), device.AMQP(nil), device.AMQPWebSocket(nil))
}

// mqttTransports are what those run over that are about MQTT.
func mqttTransports() []device.Transport {
	return []device.Transport{device.MQTT(nil), device.MQTTWebSocket(nil)}
}

// everywhere are the transports, and the one that has no connection, no twins and no methods.
func everywhere() []device.Transport {
	return append(transports(), device.HTTPS(&device.HTTPSOptions{PollInterval: time.Second}))
}

// mqtt reports whether the protocol is MQTT.
func (b *bench) mqtt() bool { return strings.HasPrefix(b.transport.String(), "mqtt") }

// bench is a hub in a test bubble, with a device and its module, and a transport to reach them by.
type bench struct {
	t         *testing.T
	hub       *hub.Hub
	transport device.Transport
	device    string // connection strings
	module    string
	events    *hub.EventReader
}

// overEach runs a test once for each transport.
func overEach(t *testing.T, cfg hub.Config, test func(*testing.T, *bench)) {
	t.Helper()
	for _, tr := range transports() {
		t.Run(tr.String(), func(t *testing.T) { over(t, tr, cfg, test) })
	}
}

// overMQTT is overEach for what is about MQTT.
func overMQTT(t *testing.T, cfg hub.Config, test func(*testing.T, *bench)) {
	t.Helper()
	for _, tr := range mqttTransports() {
		t.Run(tr.String(), func(t *testing.T) { over(t, tr, cfg, test) })
	}
}

// overAll is overEach over HTTPS, too.
func overAll(t *testing.T, cfg hub.Config, test func(*testing.T, *bench)) {
	t.Helper()
	for _, tr := range everywhere() {
		t.Run(tr.String(), func(t *testing.T) { over(t, tr, cfg, test) })
	}
}

// over runs a test with a hub in a bubble of its own, so that waiting takes no
// time, and sees to it that nothing is left behind.
func over(t *testing.T, tr device.Transport, cfg hub.Config, test func(*testing.T, *bench)) {
	synctest.Test(t, func(t *testing.T) {
		testkit.LeakCheck(t)
		cfg.InMemory = true
		h := hubtest.Start(t, &cfg)
		b := &bench{
			t: t, hub: h, transport: tr,
			device: hubtest.Device(t, h, dev.DeviceID), module: hubtest.Module(t, h, mod.DeviceID, mod.ModuleID),
		}
		var err error
		if b.events, err = h.Events(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		test(t, b)
	})
}

// options returns what a Client of the hub needs, with changes.
func (b *bench) options(change func(*device.Options)) *device.Options {
	o := &device.Options{Dial: b.hub.Dial, TLSConfig: b.hub.ClientTLS()}
	if change != nil {
		change(o)
	}
	return o
}

// quick makes TLS handshakes cost less, for tests that do thousands. resume may be nil.
func quick(c *tls.Config, resume tls.ClientSessionCache) {
	c.CurvePreferences, c.ClientSessionCache = []tls.CurveID{tls.CurveP256}, resume
}

// adjust gives the transport, which is one of MQTT, options.
func (b *bench) adjust(o device.MQTTOptions) {
	if b.transport.String() == "mqtt" {
		b.transport = device.MQTT(&o)
	} else {
		b.transport = device.MQTTWebSocket(&device.MQTTWebSocketOptions{MQTTOptions: o})
	}
}

// dial opens a Client, which the test's cleanup closes.
func (b *bench) dial(connectionString string, change func(*device.Options)) *device.Client {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour) // mostly by the clock of a bubble, and one test backs off for minutes
	defer cancel()
	c, err := device.Dial(ctx, connectionString, b.transport, b.options(change))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.t.Errorf("close: %v", err)
		}
	})
	return c
}

// throughHoles makes options whose connections can be swallowed.
func (b *bench) throughHoles(holes chan<- *testkit.Hole) func(*device.Options) {
	return func(o *device.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := b.hub.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			hole := testkit.BlackHole(nc)
			holes <- hole
			return hole, nil
		}
	}
}

// next returns the next message that the hub took, and waits for it.
func (b *bench) next() *hub.Event {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Hour)
	defer cancel()
	ev, err := b.events.Next(ctx)
	if err != nil {
		b.t.Fatalf("no event: %v", err)
	}
	return ev
}

// noMore fails the test when the hub took another message.
func (b *bench) noMore() {
	b.t.Helper()
	synctest.Wait()
	if ev, err := b.events.TryNext(b.t.Context()); ev != nil || err != nil {
		b.t.Errorf("another event: %+v, %v", ev, err)
	}
}

// awaitConnected waits until c has a connection that the hub knows of.
func (b *bench) awaitConnected(c *device.Client) {
	b.t.Helper()
	synctest.Wait()
	for range 1000 {
		if c.State() == device.Connected && b.hub.Connected(c.Identity()) {
			return
		}
		time.Sleep(time.Second) // by the bubble's clock
		synctest.Wait()
	}
	b.t.Fatalf("no connection; the state is %v", c.State())
}
