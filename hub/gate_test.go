package hub_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/ws"
)

// TestSlowPeersAreDropped has peers that say nothing, or begin to and go on with a
// byte a second, at each stage before the hub knows who they are.
func TestSlowPeersAreDropped(t *testing.T) {
	const (
		hello   = "\x16\x03\x01\x10\x00" // of a TLS record of 4 KiB
		connect = "\x10\xff\x01\x00\x04MQTT\x04"
		request = "GET /devices HTTP/1.1\r\nX: "
	)
	tests := []struct {
		name, port string
		tls        bool
		begins     string
		within     time.Duration
	}{
		{"before the TLS handshake with MQTT", "8883", false, "", 30 * time.Second},
		{"in the TLS handshake with MQTT", "8883", false, hello, 30 * time.Second},
		{"before CONNECT", "8883", true, "", 60 * time.Second},
		{"in CONNECT", "8883", true, connect, 60 * time.Second},
		{"before the TLS handshake with HTTPS", "443", false, "", 30 * time.Second},
		{"in the TLS handshake with HTTPS", "443", false, hello, 30 * time.Second},
		{"before a request", "443", true, "", 30 * time.Second},
		{"in a request", "443", true, request, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hubtest.Start(t, &hub.Config{InMemory: true})
				start := time.Now()
				var nc net.Conn
				var err error
				if tt.tls {
					nc = dialTLS(t, h, tt.port, nil)
				} else if nc, err = h.Dial(t.Context(), "tcp", "localhost:"+tt.port); err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				if tt.begins != "" {
					go drip(nc, tt.begins)
				}
				for err == nil {
					_, err = nc.Read(make([]byte, 1024))
				}
				if took := time.Since(start); took != tt.within {
					t.Errorf("dropped after %v, want %v: %v", took, tt.within, err)
				}
				time.Sleep(time.Second) // until drip has noticed
			})
		})
	}
}

// drip writes text, and then a byte a second until it cannot.
func drip(w io.Writer, text string) {
	for _, err := io.WriteString(w, text); err == nil; _, err = io.WriteString(w, "x") {
		time.Sleep(time.Second)
	}
}

// silent opens connections to a door that never say anything.
func silent(t *testing.T, h *hub.Hub, port string, n int) {
	t.Helper()
	for range n {
		nc, err := h.Dial(t.Context(), "tcp", "localhost:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
	}
}

// TestStrangersWait has more silent peers than a door lets in. A device gets its
// turn when they are dropped.
func TestStrangersWait(t *testing.T) {
	for name, tt := range map[string]struct {
		port string
		open func(t *testing.T, h *hub.Hub) net.Conn
	}{
		"MQTT": {"8883", func(t *testing.T, h *hub.Hub) net.Conn {
			nc, err := h.Dial(t.Context(), "tcp", "localhost:8883")
			if err != nil {
				t.Fatal(err)
			}
			cfg := h.ClientTLS()
			cfg.ServerName = "localhost"
			c := tls.Client(nc, cfg)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			return c
		}},
		"WebSockets": {"443", func(t *testing.T, h *hub.Hub) net.Conn {
			nc, err := tunnel(t, h, ws.DialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return nc
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &hub.Config{MaxStrangers: 3}, func(t *testing.T, h *hub.Hub) {
				silent(t, h, tt.port, 3)
				start := time.Now()
				p := newPeer(t, tt.open(t, h))
				p.write(connectPacket(t, h, dev))
				p.connack()
				if took := time.Since(start); took != 30*time.Second {
					t.Errorf("the device waited %v, want 30 s", took)
				}
			})
		})
	}
}

// TestStrangersBehindTheDoorAreNotAccepted has the network hold those for whom there is no room.
func TestStrangersBehindTheDoorAreNotAccepted(t *testing.T) {
	bubble(t, &hub.Config{MaxStrangers: 1}, func(t *testing.T, h *hub.Hub) {
		silent(t, h, "8883", 2) // one inside, and the one that waits at the gate
		ctx, cancel := context.WithTimeout(t.Context(), 29*time.Second)
		defer cancel()
		if _, err := h.Dial(ctx, "tcp", "localhost:8883"); ctx.Err() == nil {
			t.Errorf("a third was accepted: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestWhoLoggedInIsNoStranger has more devices and services than a door has room for strangers.
func TestWhoLoggedInIsNoStranger(t *testing.T) {
	bubble(t, &hub.Config{MaxStrangers: 1}, func(t *testing.T, h *hub.Hub) {
		ids := []hubwire.Identity{dev, other, mod}
		var peers []*peer
		for _, id := range ids {
			peers = append(peers, connect(t, h, id, nil))
		}
		for _, id := range ids { // each takes over
			p := openTunnel(t, h, ws.DialOptions{})
			p.write(connectPacket(t, h, id))
			p.connack()
			peers = append(peers, p)
		}
		for range 3 {
			if res, body := newREST(t, h, "iothubowner").do("GET", "/devices"+version, ""); res.StatusCode != http.StatusOK {
				t.Errorf("%s %s", res.Status, body)
			}
		}
		for _, p := range peers[:3] {
			p.closed()
		}
		for _, p := range peers[3:] {
			p.ping()
		}
	})
}
