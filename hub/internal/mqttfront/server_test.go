package mqttfront

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// TestAfterClose has a connection come to a server that is closed already.
func TestAfterClose(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		f.server.Close()
		peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
		f.server.Serve(nc, conns.Peer{Raw: nc})
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("reading: %v", err)
		}
	})
}

// TestHandshakeThatFails has a peer that does not speak TLS.
func TestHandshakeThatFails(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		l := pipe.Listen(pipe.Addr("hub"))
		done := make(chan struct{})
		go func() { defer close(done); f.server.Accept(l, &tls.Config{Certificates: []tls.Certificate{{}}}) }()
		peer, err := l.Dial(t.Context(), pipe.Addr("peer"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write(f.connect().AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		io.Copy(io.Discard, peer)
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		l.Close()
		<-done
	})
}

// guest is a connection that wants to know when its peer is no stranger.
type guest struct {
	net.Conn
	admitted int
}

func (g *guest) Admit() { g.admitted++ }

func TestAdmit(t *testing.T) {
	for name, want := range map[string]int{"right": 1, "wrong": 0} {
		t.Run("a login that is "+name, func(t *testing.T) {
			bubble(t, core.Config{}, func(t *testing.T, f *front) {
				peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
				raw := &guest{Conn: nc}
				m := f.connect()
				if name == "wrong" {
					m.Password = mqtt.NewSecret([]byte("x"))
				}
				go f.server.Serve(nc, conns.Peer{Raw: raw})
				peer.Write(m.AppendTo(nil))
				peer.Read(make([]byte, 4))
				synctest.Wait()
				if raw.admitted != want {
					t.Errorf("Admit was called %d times, want %d", raw.admitted, want)
				}
				peer.Close()
			})
		})
	}
}

// TestThousandsOfConnections come and go, in each way that there is to go, and
// leave nothing behind.
func TestThousandsOfConnections(t *testing.T) {
	testkit.LeakCheck(t)
	f := newFront(t, core.Config{}, Options{}, store.NewMemory(nil))
	ends := []func(d *device){
		func(d *device) { d.write(&mqtt.Disconnect{}); d.ends(patience) },
		func(d *device) { d.c.Close() },
		func(d *device) { f.server.Drop(dev) },
		func(d *device) { d.c.Write([]byte{0, 0}); d.ends(patience) },
		func(d *device) { f.login() }, // and is forgotten: the next takes over
		func(d *device) { d.c.Write([]byte{0x30, 100, 0}); d.c.Close() },
	}
	for i := range testkit.Fewer(5000) {
		d := f.login()
		if i%100 == 0 {
			d.subscribe(c2dFilter)
		}
		d.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
		d.read(mqtt.TypePuback)
		ends[i%len(ends)](d)
	}
	f.close()
	if f.server.conns.Len() != 0 || f.server.current.Len() != 0 {
		t.Errorf("%d connections and %d identities are left", f.server.conns.Len(), f.server.current.Len())
	}
}
