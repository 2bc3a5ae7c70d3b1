package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/notls"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestOnlyAConnectionThatIsMarkedGetsNoTLS(t *testing.T) {
	testkit.LeakCheck(t)
	for _, tt := range []struct {
		name string
		mark func(net.Conn) net.Conn
		want byte // the first one on the wire
	}{
		{"one that is marked begins with CONNECT", func(nc net.Conn) net.Conn { return notls.Conn{Conn: nc} }, 0x10},
		{"any other with a handshake", func(nc net.Conn) net.Conn { return nc }, 0x16},
		{"and so does one that wraps a marked one", func(nc net.Conn) net.Conn { return struct{ net.Conn }{notls.Conn{Conn: nc}} }, 0x16},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		client, server := net.Pipe()
		first := make(chan byte, 1)
		go func() {
			var b [1]byte
			io.ReadFull(server, b[:])
			first <- b[0]
			cancel()
			io.Copy(io.Discard, server)
		}()
		cs := "HostName=localhost;DeviceId=d;SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
		_, err := device.Dial(ctx, cs, device.MQTT(nil), &device.Options{
			Dial: func(context.Context, string, string) (net.Conn, error) { return tt.mark(client), nil },
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Dial returned %v", tt.name, err)
		}
		if got := <-first; got != tt.want {
			t.Errorf("%s: it is %#x, want %#x", tt.name, got, tt.want)
		}
		server.Close()
	}
}

func TestWhatTheDialFunctionGivesIsCheckedAndClosed(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		var panics []any
		dials, verified := 0, 0
		var open atomic.Int32
		c := b.dial(b.device, func(o *device.Options) {
			o.Hooks = &device.Hooks{HandlerPanic: func(v any, _ []byte) { panics = append(panics, v) }}
			o.TLSConfig.VerifyConnection = func(tls.ConnectionState) error {
				if verified++; verified == 1 {
					panic("verify")
				}
				return nil
			}
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials++; dials == 1 {
					return nil, nil
				}
				nc, err := b.hub.Dial(ctx, network, addr)
				if err == nil {
					open.Add(1)
					nc = &counted{Conn: nc, open: &open}
				}
				return nc, err
			}
		})
		if diff := cmp.Diff([]any{"verify"}, panics); diff != "" {
			t.Errorf("panics (-want +got):\n%s", diff)
		}
		if dials != 3 || open.Load() != 1 {
			t.Errorf("after %d dials %d connections are open, want one after three", dials, open.Load())
		}
		_ = c.Close()
	})
}

// counted is a connection that is counted while it is open.
type counted struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
