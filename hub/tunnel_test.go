package hub_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/ws"
)

// tunnel opens a WebSocket to the hub, in memory.
func tunnel(t testing.TB, h *hub.Hub, o ws.DialOptions) (net.Conn, error) {
	t.Helper()
	o.Dial = h.Dial
	if o.TLSConfig == nil {
		o.TLSConfig = h.ClientTLS()
	}
	nc, err := ws.Dial(t.Context(), "localhost", &o)
	if err == nil {
		t.Cleanup(func() { nc.Close() })
	}
	return nc, err
}

func openTunnel(t testing.TB, h *hub.Hub, o ws.DialOptions) *peer {
	t.Helper()
	nc, err := tunnel(t, h, o)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, nc)
}

func TestTunnel(t *testing.T) {
	for name, o := range map[string]ws.DialOptions{
		"plainly":                      {},
		"as the C SDK spells it":       {Subprotocol: "MQTT"},
		"without a client certificate": {Query: ws.NoClientCert},
		"where Event Hubs have it":     {Path: "/$servicebus/websocket"},
		"there, as uAMQP spells it":    {Path: "/$servicebus/websocket/"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := openTunnel(t, h, o)
				p.write(connectPacket(t, h, dev), subscribePacket(t, 1, subscription{c2dFilter, 1}))
				p.connack()
				p.suback(1)
				sendC2D(t, h, dev, "hi")
				p.expect("hi", 1, false)
				p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), Payload: make([]byte, 200_000), QoS: 1, ID: 1})
				p.puback(1)
				if evs := events(t, h); len(evs) != 1 || len(evs[0].Body) != 200_000 {
					t.Errorf("%d events", len(evs))
				}
				p.bye()
			})
		})
	}
}

// endsConn ends after so many writes more, once that is set.
type endsConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *endsConn) Write(b []byte) (int, error) {
	if c.writes.Add(-1) == -1 {
		c.Close()
	}
	return c.Conn.Write(b)
}

func TestATunnelThatIsCutWithinAFrameOfManyPackets(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		var cut *endsConn
		large := h.ClientTLS()
		large.DynamicRecordSizingDisabled = true
		nc, err := ws.Dial(t.Context(), "localhost", &ws.DialOptions{
			TLSConfig: large,
			Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := h.Dial(ctx, network, addr)
				cut = &endsConn{Conn: nc}
				cut.writes.Store(math.MaxInt64)
				return cut, err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, nc)
		p.write(connectPacket(t, h, dev))
		p.connack()
		body := bytes.Repeat([]byte("0123456789"), 100)
		var batch []byte
		for i := range 10 {
			batch = (&mqtt.Publish{Topic: []byte(telemetryTopic), Payload: body, QoS: 1, ID: uint16(i + 1)}).AppendTo(batch)
		}
		cut.writes.Store(2) // of 4 KiB each
		if _, err := nc.Write(batch); err == nil {
			t.Error("all of it got out")
		}
		nc.Close()
		synctest.Wait()
		evs := events(t, h)
		for _, ev := range evs {
			if !bytes.Equal(ev.Body, body) {
				t.Errorf("a message that nobody sent: %.40q", ev.Body)
			}
		}
		if len(evs) != 7 {
			t.Errorf("%d events, of 8 KiB that came", len(evs))
		}
	})
}

// TestTunnelAtAnyChunking splits and joins packets over frames.
func TestTunnelAtAnyChunking(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		nc, err := tunnel(t, h, ws.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		p := newPeer(t, testkit.Rechunk(nc, func() int { size = size%7 + 1; return size }))
		p.write(connectPacket(t, h, dev), &mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1}, &mqtt.Pingreq{})
		p.connack()
		p.puback(1)
		p.read(mqtt.TypePingresp)
	})
}

func TestTunnelIsTakenOverByTCP(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		first := openTunnel(t, h, ws.DialOptions{})
		first.write(connectPacket(t, h, dev))
		first.connack()
		second := connect(t, h, dev, nil)
		first.closed()
		second.ping()
	})
}

func TestTunnelWithCertificate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		cert := certificate(t, "x", nil)
		sum := sha256.Sum256(cert.Leaf.Raw)
		id := hubwire.Identity{DeviceID: "x509"}
		if _, err := h.Create(t.Context(), &hub.Device{Identity: id, Auth: hub.AuthSelfSigned, PrimaryThumbprint: hex.EncodeToString(sum[:])}); err != nil {
			t.Fatal(err)
		}
		cfg := h.ClientTLS()
		cfg.Certificates = []tls.Certificate{*cert}
		p := openTunnel(t, h, ws.DialOptions{TLSConfig: cfg})
		m := connectPacket(t, h, id)
		m.Password = mqtt.Secret{}
		p.write(m)
		if ack := p.connack(); ack.Code != mqtt.Accepted {
			t.Errorf("CONNACK %d", ack.Code)
		}
	})
}

func TestTheLogOfATunnelHasNoHeaders(t *testing.T) {
	var log strings.Builder
	h, err := hub.Start(t.Context(), &hub.Config{InMemory: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost"+ws.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {"mqtt"},
		"Sec-Websocket-Version": {"SharedAccessKey=hidden"},
	}
	res, err := webClient(t, h).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	h.Close()
	if got := log.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "no tunnel") || !strings.Contains(got, "status=400") {
		t.Errorf("want status 400 and no header in %q", got)
	}
}

func TestTunnelRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		o      ws.DialOptions
		status int
	}{
		"another subprotocol": {ws.DialOptions{Subprotocol: "soap"}, 400},
		"another path":        {ws.DialOptions{Path: "/$iothub/other"}, 404},
		"no path":             {ws.DialOptions{Path: "/"}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				_, err := tunnel(t, h, tt.o)
				var he *ws.HandshakeError
				if !errors.As(err, &he) || he.Status != tt.status {
					t.Errorf("error %v, want status %d", err, tt.status)
				}
			})
		})
	}
	t.Run("a request that is no upgrade", func(t *testing.T) {
		h := hubtest.Start(t, &hub.Config{InMemory: true})
		res, err := webClient(t, h).Get("https://localhost" + ws.Path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("status %d", res.StatusCode)
		}
	})
}

func TestTunnelIntercept(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict hub.Verdict
		status  int
	}{
		"refused": {hub.Verdict{Refuse: hubwire.Throttled}, 429},
		"dropped": {hub.Verdict{DropBefore: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := &once{kind: hub.OpTunnel, verdict: tt.verdict}
			bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
				_, err := tunnel(t, h, ws.DialOptions{})
				var he *ws.HandshakeError
				if !errors.As(err, &he) || he.Status != tt.status {
					t.Errorf("error %v, want status %d", err, tt.status)
				}
				if _, err := tunnel(t, h, ws.DialOptions{}); err != nil {
					t.Errorf("the second: %v", err)
				}
			})
		})
	}
	t.Run("delayed", func(t *testing.T) {
		o := &once{kind: hub.OpTunnel, verdict: hub.Verdict{Delay: 20 * time.Second}}
		bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
			start := time.Now()
			openTunnel(t, h, ws.DialOptions{})
			if took := time.Since(start); took != 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("swallowed", func(t *testing.T) {
		o := &once{kind: hub.OpTunnel, verdict: hub.Verdict{SwallowAck: true}}
		bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := ws.Dial(ctx, "localhost", &ws.DialOptions{Dial: h.Dial, TLSConfig: h.ClientTLS()})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	})
	t.Run("dropped after", func(t *testing.T) {
		o := &once{kind: hub.OpTunnel, verdict: hub.Verdict{DropAfter: true}}
		bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
			openTunnel(t, h, ws.DialOptions{}).closed()
		})
	})
}

func TestSilentTunnelIsDropped(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := openTunnel(t, h, ws.DialOptions{})
		start := time.Now()
		p.ends()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("dropped after %v", took)
		}
	})
}

func TestCloseEndsTunnels(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p, silent := openTunnel(t, h, ws.DialOptions{}), openTunnel(t, h, ws.DialOptions{})
		p.write(connectPacket(t, h, dev))
		p.connack()
		start := time.Now()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		p.closed()
		silent.closed()
		synctest.Wait()
	})
}

// TestOverSockets is a little of everything without a bubble.
func TestOverSockets(t *testing.T) {
	testkit.LeakCheck(t)
	h := hubtest.Start(t, nil)
	create(t, h, dev, other, mod)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cfg := h.ClientTLS()
	cfg.ServerName = "localhost"
	nc, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", h.MQTTAddr())
	if err != nil {
		t.Fatal(err)
	}
	wc, err := ws.Dial(ctx, h.HTTPSAddr(), &ws.DialOptions{TLSConfig: cfg})
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range map[hubwire.Identity]*peer{dev: newPeer(t, nc), other: newPeer(t, wc)} {
		p.write(connectPacket(t, h, id))
		p.connack()
		p.subscribe("devices/"+id.DeviceID+"/messages/devicebound/#", twinResponses, methodFilter)
		sendC2D(t, h, id, "hi")
		p.write(&mqtt.Puback{ID: p.expect("hi", 1, false).ID})
		p.ask(getTopic+"1", "", 1)
		var burst []packet
		for i := range 100 {
			burst = append(burst, &mqtt.Publish{Topic: []byte("devices/" + id.DeviceID + "/messages/events/"), QoS: 1, ID: uint16(i + 1)})
		}
		p.write(burst...)
		for i := range 100 {
			p.puback(uint16(i + 1))
		}
		if !h.Disconnect(id) {
			t.Error("the hub knows of no connection")
		}
		if _, err := p.c.ReadPacket(); err == nil {
			t.Error("the connection goes on")
		}
		p.cut()
	}
	if n := len(events(t, h)); n != 200 {
		t.Errorf("%d events", n)
	}
}
