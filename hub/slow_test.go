package hub_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/ws"
)

// slowConn carries so many bytes a second each way.
type slowConn struct {
	net.Conn
	rate int
}

// step is how many bytes go at once.
func (c *slowConn) step(n int) int { return min(n, c.rate/10) }

func (c *slowConn) pass(n int) { time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate)) }

func (c *slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:c.step(len(b))])
	c.pass(n)
	return n, err
}

func (c *slowConn) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = c.Conn.Write(b[n : n+c.step(len(b)-n)])
		n += m
		c.pass(m)
	}
	return n, err
}

// slowly connects dev over a network of 32 kbit/s.
func slowly(t *testing.T, h *hub.Hub, tunnel bool, keepAlive uint16) *peer {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := h.Dial(ctx, network, addr)
		return &slowConn{nc, 4000}, err
	}
	cfg := h.ClientTLS()
	cfg.ServerName = "localhost"
	var nc net.Conn
	var err error
	if tunnel {
		nc, err = ws.Dial(t.Context(), "localhost", &ws.DialOptions{Dial: dial, TLSConfig: cfg})
	} else if nc, err = dial(t.Context(), "tcp", "localhost:8883"); err == nil {
		nc = tls.Client(nc, cfg)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, nc)
	t.Cleanup(p.cut)
	login := connectPacket(t, h, dev)
	login.KeepAlive = keepAlive
	p.write(login)
	p.connack()
	return p
}

// TestSlowWay has a device whose way is slow: as long as something moves it keeps its connection, however long
// a large packet, or several of them, take.
func TestSlowWay(t *testing.T) {
	for _, tunnel := range []bool{false, true} {
		t.Run(fmt.Sprintf("to the device, tunnel %v", tunnel), func(t *testing.T) {
			bubble(t, &hub.Config{LockTimeout: time.Hour}, func(t *testing.T, h *hub.Hub) {
				p := slowly(t, h, tunnel, 240)
				p.subscribe(c2dFilter)
				for i := range 5 {
					if err := h.SendC2D(t.Context(), dev, &hubwire.Message{ID: fmt.Sprint(i), Body: make([]byte, hubwire.MaxC2DSize-1)}); err != nil {
						t.Fatal(err)
					}
				}
				for range 5 { // 82 s, where WriteTimeout is 30 s
					p.write(&mqtt.Puback{ID: p.publish().ID})
				}
				p.ping()
			})
		})
		t.Run(fmt.Sprintf("to the hub, tunnel %v", tunnel), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := slowly(t, h, tunnel, 10)
				p.write(telemetryOf(200000)) // 50 s, where the hub waits for 15 s
				p.puback(1)
				p.ping()
			})
		})
	}
}

// TestSlowWayThatEnds has a device that stops in a large packet, and one that dribbles a small one: both are silent.
func TestSlowWayThatEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		login := func(m *mqtt.Connect) { m.KeepAlive = 10 }
		p := connect(t, h, dev, login)
		p.raw(telemetryOf(200000).AppendTo(nil)[:100000])
		start := time.Now()
		p.ends()
		if d := time.Since(start); d < 14*time.Second || d > 16*time.Second {
			t.Errorf("closed %v after half of a packet", d)
		}
		p = connect(t, h, dev, login)
		start = time.Now()
		for _, b := range telemetryOf(500).AppendTo(nil) {
			if err := p.c.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if d := time.Since(start); d < 14*time.Second || d > 17*time.Second {
			t.Errorf("closed after %v of a packet that is dribbled", d)
		}
	})
}
