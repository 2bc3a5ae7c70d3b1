package mqttfront

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
)

var dev = hubwire.Identity{DeviceID: "dev"}

const (
	telemetryTopic = "devices/dev/messages/events/"
	c2dFilter      = "devices/dev/messages/devicebound/#"
)

// front is a Server on a core with the device dev, without TLS.
type front struct {
	testing.TB
	core   *core.Core
	server *Server
	token  []byte // of dev
}

func newFront(t testing.TB, cfg core.Config, o Options, s store.Store) *front {
	t.Helper()
	cfg.HostName = "localhost"
	c, err := core.New(context.Background(), &cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Create(context.Background(), &core.Device{ID: dev})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sas.NewKey(sas.Secret(d.Auth.Primary))
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.AppendToken(context.Background(), nil, key, sas.Audience("localhost", dev), "", time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &front{t, c, New(c, &o), token}
}

// close ends the front, and returns when nothing of it runs any more.
func (f *front) close() {
	f.core.Close()
	f.server.Close()
}

// bubble runs f with a front, where time passes at once.
func bubble(t *testing.T, cfg core.Config, f func(t *testing.T, f *front)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fr := newFront(t, cfg, Options{}, store.NewMemory(nil))
		defer fr.close()
		f(t, fr)
	})
}

// connect returns what dev says first.
func (f *front) connect() *mqtt.Connect {
	return &mqtt.Connect{
		ClientID: []byte("dev"), KeepAlive: 240,
		UserName: []byte("localhost/dev/?api-version=2021-04-12"), Password: mqtt.NewSecret(f.token),
	}
}

// dial serves a new connection, and returns its other end.
func (f *front) dial() net.Conn {
	peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
	go f.server.Serve(nc, conns.Peer{Protocol: "mqtt", Raw: nc})
	return peer
}

// login returns the connection of a device behind its CONNACK.
func (f *front) login() *device {
	f.Helper()
	d := &device{f, mqtt.NewConn(f.dial(), nil)}
	d.write(f.connect())
	if m, err := mqtt.ParseConnack(d.read(mqtt.TypeConnack)); err != nil || m.Code != mqtt.Accepted {
		f.Fatalf("CONNACK %+v, %v", m, err)
	}
	return d
}

// device is the other end of a connection.
type device struct {
	*front
	c *mqtt.Conn
}

func (d *device) write(packets ...interface{ AppendTo([]byte) []byte }) {
	d.Helper()
	var b []byte
	for _, p := range packets {
		b = p.AppendTo(b)
	}
	if err := d.c.Write(b); err != nil {
		d.Fatal(err)
	}
}

func (d *device) read(want mqtt.Type) mqtt.Packet {
	d.Helper()
	if err := d.c.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
		d.Fatal(err)
	}
	p, err := d.c.ReadPacket()
	if err != nil || p.Type() != want {
		d.Fatalf("%v came, want %v: %v", p.Type(), want, err)
	}
	return slices.Clone(p)
}

func (d *device) publish() mqtt.Publish {
	d.Helper()
	m, err := mqtt.ParsePublish(d.read(mqtt.TypePublish))
	if err != nil {
		d.Fatal(err)
	}
	return m
}

func (d *device) subscribe(filters ...string) {
	d.Helper()
	m := &mqtt.Subscribe{ID: 1}
	for _, f := range filters {
		var err error
		if m.Filters, err = mqtt.AppendFilter(m.Filters, f, mqtt.AtLeastOnce); err != nil {
			d.Fatal(err)
		}
	}
	d.write(m)
	d.read(mqtt.TypeSuback)
}

// patience is for ends where time is real and the machine may be busy: less than the hub's with a
// device that is silent.
const patience = 5 * time.Minute

// closed asserts that the hub cuts the connection without another packet, and at once, in a bubble.
func (d *device) closed() {
	d.Helper()
	d.ends(10 * time.Second)
}

// ends asserts that the hub cuts the connection within some time.
func (d *device) ends(within time.Duration) {
	d.Helper()
	if err := d.c.SetReadDeadline(time.Now().Add(within)); err != nil {
		d.Fatal(err)
	}
	if p, err := d.c.ReadPacket(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) {
		d.Fatalf("%v came, or %v, want the end", p.Type(), err)
	}
}
