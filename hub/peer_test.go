package hub_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/mqtt"
)

// bubble runs f with a hub in memory and the devices dev and other and the
// module mod, where time passes at once.
func bubble(t *testing.T, cfg *hub.Config, f func(t *testing.T, h *hub.Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := hub.Config{}
		if cfg != nil {
			c = *cfg
		}
		c.InMemory = true
		h := hubtest.Start(t, &c)
		create(t, h, dev, other, mod)
		f(t, h)
	})
}

// peer is an MQTT client that knows only packets.
type peer struct {
	t testing.TB
	c *mqtt.Conn
}

// packet is what can be written.
type packet interface{ AppendTo([]byte) []byte }

// patience is how long a peer waits for the hub; longer than the hub waits for anything.
const patience = time.Hour

// open opens a connection to the MQTT door, without a CONNECT.
func open(t testing.TB, h *hub.Hub, adapt func(*tls.Config)) *peer {
	t.Helper()
	nc := dialTLS(t, h, "8883", adapt)
	return newPeer(t, nc)
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	t.Helper()
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &peer{t, mqtt.NewConn(nc, &mqtt.ConnOptions{MaxPacket: 1 << 20})}
}

// connectPacket is what a device says: a kept session, a token of its own key.
func connectPacket(t testing.TB, h *hub.Hub, id hubwire.Identity) *mqtt.Connect {
	t.Helper()
	d, err := h.Device(id)
	if err != nil {
		t.Fatal(err)
	}
	return &mqtt.Connect{
		ClientID:  []byte(id.String()),
		KeepAlive: 240,
		UserName:  []byte("localhost/" + id.String() + "/?api-version=2021-04-12&DeviceClientType=test"),
		Password:  password(token(d.PrimaryKey, audience(id), "", time.Now().Add(time.Hour))),
	}
}

func password(token string) mqtt.Secret { return mqtt.NewSecret([]byte(token)) }

func audience(id hubwire.Identity) string {
	if id.IsModule() {
		return "localhost/devices/" + id.DeviceID + "/modules/" + id.ModuleID
	}
	return "localhost/devices/" + id.DeviceID
}

// connect logs an identity in, with a CONNECT that adapt may change.
func connect(t testing.TB, h *hub.Hub, id hubwire.Identity, adapt func(*mqtt.Connect)) *peer {
	t.Helper()
	p, _ := connectPresent(t, h, id, adapt)
	return p
}

func connectPresent(t testing.TB, h *hub.Hub, id hubwire.Identity, adapt func(*mqtt.Connect)) (p *peer, present bool) {
	t.Helper()
	m := connectPacket(t, h, id)
	if adapt != nil {
		adapt(m)
	}
	p = open(t, h, nil)
	p.write(m)
	ack := p.connack()
	if ack.Code != mqtt.Accepted {
		t.Fatalf("CONNACK %d, %v", ack.Code, ack.Code)
	}
	return p, ack.SessionPresent
}

func clean(m *mqtt.Connect) { m.CleanSession = true }

// write sends packets in one write.
func (p *peer) write(packets ...packet) {
	p.t.Helper()
	var b []byte
	for _, k := range packets {
		b = k.AppendTo(b)
	}
	p.raw(b)
}

func (p *peer) raw(b []byte) {
	p.t.Helper()
	if err := p.c.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// read returns the next packet, which must be of this type.
func (p *peer) read(want mqtt.Type) mqtt.Packet {
	p.t.Helper()
	k, err := p.c.ReadPacket()
	if err != nil {
		p.t.Fatalf("reading %v: %v", want, err)
	}
	if k.Type() != want {
		p.t.Fatalf("%v came, want %v: % x", k.Type(), want, k)
	}
	return slices.Clone(k)
}

func (p *peer) connack() mqtt.Connack {
	p.t.Helper()
	m, err := mqtt.ParseConnack(p.read(mqtt.TypeConnack))
	p.check(err)
	return m
}

func (p *peer) publish() mqtt.Publish {
	p.t.Helper()
	m, err := mqtt.ParsePublish(p.read(mqtt.TypePublish))
	p.check(err)
	return m
}

func (p *peer) puback(id uint16) {
	p.t.Helper()
	m, err := mqtt.ParsePuback(p.read(mqtt.TypePuback))
	p.check(err)
	if m.ID != id {
		p.t.Fatalf("PUBACK %d, want %d", m.ID, id)
	}
}

// suback returns the codes of a SUBACK.
func (p *peer) suback(id uint16) []byte {
	p.t.Helper()
	m, err := mqtt.ParseSuback(p.read(mqtt.TypeSuback))
	p.check(err)
	if m.ID != id {
		p.t.Fatalf("SUBACK %d, want %d", m.ID, id)
	}
	return m.Codes
}

func (p *peer) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// subscription is a filter with the QoS asked for.
type subscription struct {
	filter string
	qos    mqtt.QoS
}

func subscribePacket(t testing.TB, id uint16, subs ...subscription) *mqtt.Subscribe {
	t.Helper()
	m := &mqtt.Subscribe{ID: id}
	for _, s := range subs {
		var err error
		if m.Filters, err = mqtt.AppendFilter(m.Filters, s.filter, s.qos); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// subscribe subscribes at QoS 1 and waits for the SUBACK.
func (p *peer) subscribe(filters ...string) {
	p.t.Helper()
	var subs []subscription
	for _, f := range filters {
		subs = append(subs, subscription{f, mqtt.AtLeastOnce})
	}
	p.write(subscribePacket(p.t, 77, subs...))
	if codes := p.suback(77); !bytes.Equal(codes, bytes.Repeat([]byte{1}, len(subs))) {
		p.t.Fatalf("SUBACK codes %v", codes)
	}
}

// silent asserts that nothing comes within a while.
func (p *peer) silent() {
	p.t.Helper()
	p.check(p.c.SetReadDeadline(time.Now().Add(10 * time.Second)))
	k, err := p.c.ReadPacket()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%v came, or %v, want nothing", k.Type(), err)
	}
	p.check(p.c.SetReadDeadline(time.Now().Add(patience)))
}

// closed asserts that the hub closes the connection without another packet, and
// at once: not because of a silence.
func (p *peer) closed() {
	p.t.Helper()
	p.check(p.c.SetReadDeadline(time.Now().Add(10 * time.Second)))
	p.ends()
}

// ends is closed, in its time.
func (p *peer) ends() {
	p.t.Helper()
	k, err := p.c.ReadPacket()
	if err == nil {
		p.t.Fatalf("%v came, want the end of the connection: % x", k.Type(), k)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatal("the connection is still open")
	}
	if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		p.t.Fatalf("reading: %v", err)
	}
}

// ping asserts that the connection is alive, and that nothing else came.
func (p *peer) ping() {
	p.t.Helper()
	p.write(&mqtt.Pingreq{})
	p.read(mqtt.TypePingresp)
}

// cut ends the connection as a network does.
func (p *peer) cut() { p.c.Close() }

// bye ends the connection as a client does. The hub says good-bye too, where TLS
// or the WebSocket has a word for it.
func (p *peer) bye() {
	p.t.Helper()
	p.write(&mqtt.Disconnect{})
	if k, err := p.c.ReadPacket(); err != io.EOF {
		p.t.Fatalf("%v came, or %v, want the end", k.Type(), err)
	}
	p.cut()
}

// events returns what is in the log now.
func events(t testing.TB, h *hub.Hub) []*hub.Event {
	t.Helper()
	r, err := h.Events(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []*hub.Event
	for {
		ev, err := r.TryNext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ev == nil {
			return all
		}
		all = append(all, ev)
	}
}
