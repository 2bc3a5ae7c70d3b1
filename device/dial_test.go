package device_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/hubwire/hubwire/device"
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
