package service_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/service"
)

// oddConn is a net.Conn with ways of its own; nil: as ever.
type oddConn struct {
	net.Conn
	read  func(b []byte) (int, error)
	write func(b []byte) (int, error)
	close func(nc net.Conn) error
}

func (c *oddConn) Read(b []byte) (int, error) {
	if c.read != nil {
		return c.read(b)
	}
	return c.Conn.Read(b)
}

func (c *oddConn) Write(b []byte) (int, error) {
	if c.write != nil {
		return c.write(b)
	}
	return c.Conn.Write(b)
}

func (c *oddConn) Close() error {
	if c.close != nil {
		return c.close(c.Conn)
	}
	return c.Conn.Close()
}

func TestConnectionsWithWaysOfTheirOwn(t *testing.T) {
	nilError := error((*net.OpError)(nil)) // its Unwrap panics
	for name, odd := range map[string]oddConn{
		"an error of Read that panics":      {read: func([]byte) (int, error) { return 0, nilError }},
		"a Read that panics":                {read: func([]byte) (int, error) { panic("odd") }},
		"a Read of more than there is room": {read: func(b []byte) (int, error) { return len(b) + 1, nil }},
		"a Read of nothing":                 {read: func([]byte) (int, error) { return 0, nil }},
		"an error of Write that panics":     {write: func([]byte) (int, error) { return 0, nilError }},
		"a Write that panics":               {write: func([]byte) (int, error) { panic("odd") }},
		"a Close that panics": {
			read:  func([]byte) (int, error) { return 0, net.ErrClosed },
			close: func(nc net.Conn) error { nc.Close(); panic("odd") },
		},
		"a Close that waits": {
			read:  func([]byte) (int, error) { return 0, net.ErrClosed },
			close: func(nc net.Conn) error { time.Sleep(time.Hour); return nc.Close() },
		},
	} {
		for way, web := range map[string]bool{"amqp": false, "amqp-ws": true} {
			t.Run(name+", "+way+" and https", func(t *testing.T) {
				onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
					hubtest.Device(t, h, dev.DeviceID)
					cs, err := h.PolicyConnectionString("iothubowner")
					if err != nil {
						t.Fatal(err)
					}
					oddNext := true
					c, err := service.New(cs, &service.Options{
						TLSConfig: h.ClientTLS(), AMQPWebSocket: web,
						Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
							nc, err := h.Dial(ctx, network, addr)
							if err != nil || !oddNext {
								return nc, err
							}
							oddNext = false
							made := odd
							made.Conn = nc
							return &made, nil
						},
					})
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					if _, err := c.Twin(ctx, dev); err != nil {
						t.Errorf("Twin: %v", err)
					}
					oddNext = true
					if err := c.SendC2D(ctx, dev, &hubwire.Message{Body: []byte("one")}); err != nil {
						t.Errorf("SendC2D: %v", err)
					}
					begin := time.Now()
					if err := c.Close(); err != nil && !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 2*time.Second {
						t.Errorf("Close: %v after %v", err, time.Since(begin))
					}
					time.Sleep(2 * time.Hour)
					synctest.Wait()
				})
			})
		}
	}
}
