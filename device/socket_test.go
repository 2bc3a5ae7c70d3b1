package device_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

// overSockets runs a test over loopback sockets, once for each transport.
func overSockets(t *testing.T, test func(t *testing.T, h *hub.Hub, tr device.Transport, o *device.Options)) {
	for _, tr := range transports() {
		t.Run(tr.String(), func(t *testing.T) {
			testkit.LeakCheck(t)
			h := hubtest.Start(t, nil)
			addr, ok := map[string]string{"mqtt": h.MQTTAddr(), "amqp": h.AMQPAddr()}[tr.String()]
			if !ok { // a WebSocket
				addr = h.HTTPSAddr()
			}
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			o := &device.Options{TLSConfig: h.ClientTLS()}
			if o.Port, err = strconv.Atoi(port); err != nil {
				t.Fatal(err)
			}
			test(t, h, tr, o)
		})
	}
}

func TestOverRealSockets(t *testing.T) {
	overSockets(t, func(t *testing.T, h *hub.Hub, tr device.Transport, o *device.Options) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		o.MinBackoff, o.CloseTimeout = time.Millisecond, time.Minute
		c, err := device.Dial(ctx, hubtest.Device(t, h, "dev-1"), tr, o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ms := make([]*hubwire.Message, 500)
		for i := range ms {
			ms[i] = &hubwire.Message{Body: make([]byte, 1000), ID: strconv.Itoa(i)}
		}
		for range 3 {
			done := make(chan error)
			go func() { done <- c.SendAll(ctx, ms) }()
			h.Disconnect(dev)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Send(ctx, &hubwire.Message{Body: make([]byte, 260_000)}); err != nil { // many TLS records and frames
			t.Error(err)
		}
		events, err := h.Events(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for len(seen) < len(ms)+1 {
			ev, err := events.Next(ctx)
			if err != nil {
				t.Fatalf("%d messages arrived: %v", len(seen), err)
			}
			seen[ev.ID]++
		}
		if err := h.SendC2D(ctx, dev, &hubwire.Message{Body: make([]byte, 60_000)}); err != nil {
			t.Fatal(err)
		}
		m, err := c.Receive(ctx)
		if err != nil || len(m.Body) != 60_000 || m.Complete(ctx) != nil {
			t.Errorf("%v", err)
		}
		if _, err := c.Report(ctx, map[string]int{"a": 1}); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAListenerThatAnswersNothing(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.String(), func(t *testing.T) {
			testkit.LeakCheck(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				nc, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				cancel() // the client is now waiting for TLS
				io.Copy(io.Discard, nc)
				nc.Close()
			}()
			port := l.Addr().(*net.TCPAddr).Port
			_, err = device.Dial(ctx, "HostName=localhost;DeviceId=d;SharedAccessKey=AAAA", tr, &device.Options{Port: port, Dial: loopback})
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "d at localhost over "+tr.String()) {
				t.Errorf("%v", err)
			}
		})
	}
}

// loopback dials 127.0.0.1, whatever the host.
func loopback(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

func TestAGatewayIsDialledInThePlaceOfTheHub(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var dialled []string
		c := b.dial(b.device+";GatewayHostName=127.0.0.1", func(o *device.Options) {
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled = append(dialled, addr)
				return b.hub.Dial(ctx, network, addr)
			}
		})
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Error(err)
		}
		port := map[string]string{"mqtt": "8883", "mqtt-ws": "443", "amqp": "5671", "amqp-ws": "443"}[b.transport.String()]
		if diff := cmp.Diff([]string{"127.0.0.1:" + port}, dialled); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// symbols builds a program with that main function, and returns what is linked into it.
func symbols(t *testing.T, main string) []string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	text := "package main\n\nimport (\n\t\"context\"\n\n\t\"github.com/hubwire/hubwire/device\"\n)\n\nfunc main() { " + main + " }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("go", "tool", "nm", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(out), "\n")
}

func TestATransportThatNobodyNamesIsNotLinked(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds five programs")
	}
	// Functions, not the packages' variables, which are in the program anyway.
	webSockets, amqp := []string{"coder/websocket.Dial", "coder/websocket.dial"}, []string{"amqp/links.New", "amqpclient.Open"}
	for _, c := range []struct {
		transport     string
		tunnels, amqp bool
	}{
		{"MQTT", false, false},
		{"MQTTWebSocket", true, false},
		{"HTTPS", false, false},
		{"AMQP", false, true},
		{"AMQPWebSocket", true, true},
	} {
		t.Run(c.transport, func(t *testing.T) {
			all := symbols(t, `device.Dial(context.Background(), "", device.`+c.transport+`(nil), nil)`)
			linked := func(names []string) bool {
				return slices.ContainsFunc(all, func(s string) bool {
					return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(s, name) })
				})
			}
			if got := linked(webSockets); got != c.tunnels {
				t.Errorf("WebSockets are linked: %v, want %v", got, c.tunnels)
			}
			if got := linked(amqp); got != c.amqp {
				t.Errorf("package amqp/links is linked: %v, want %v", got, c.amqp)
			}
		})
	}
}
