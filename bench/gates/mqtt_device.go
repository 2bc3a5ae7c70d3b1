package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/internal/notls"
	"github.com/hubwire/hubwire/mqtt"
)

// telemetryMessage is the message of which the PUBLISH in all these rows is made.
var telemetryMessage = &hubwire.Message{Body: payload(256), ContentType: "application/json", ContentEncoding: "utf-8"}

// dialDevice connects a device client. Whoever uses one outside of this
// repository has TLS.
func (s setup) dialDevice() (*device.Client, error) {
	if got := mqtt.AppendTelemetryTopic(nil, identity, telemetryMessage); string(got) != publishTopic {
		return nil, fmt.Errorf("the device's topic is %s, want %s", got, publishTopic)
	}
	cfg, err := s.Door.clientTLS()
	if err != nil {
		return nil, err
	}
	cs := fmt.Sprintf("HostName=%s;DeviceId=%s;SharedAccessKey=%s", serverName, identity.DeviceID, sasKey)
	return device.Dial(context.Background(), cs, device.MQTT(nil), &device.Options{
		Dial: func(context.Context, string, string) (net.Conn, error) {
			nc, err := net.Dial("tcp", s.addr())
			if err != nil || s.TLS {
				return nc, err
			}
			return notls.Conn{Conn: nc}, nil
		},
		TLSConfig: cfg,
		Window:    window,
	})
}

// dialAs connects a device client to a hub. o is from deviceOptions.
func (s setup) dialAs(id hubwire.Identity, t device.Transport, o *device.Options) (*device.Client, error) {
	cs := fmt.Sprintf("HostName=%s;DeviceId=%s;SharedAccessKey=%s", s.host(), id.DeviceID, sasKey)
	return device.Dial(context.Background(), cs, t, o)
}

// deviceOptions lead to the one door that s knows, whatever the port of the protocol is.
func (s setup) deviceOptions() (*device.Options, error) {
	cfg, err := s.Door.clientTLS()
	return &device.Options{Dial: s.dialTCP, TLSConfig: cfg}, err
}

func (s setup) dialTCP(context.Context, string, string) (net.Conn, error) {
	return net.Dial("tcp", s.Door.TLS)
}

// deviceAsyncRole is one producer that does not wait for the acknowledgements.
func deviceAsyncRole(s setup) (*actor, error) { return async(s.dialDevice()) }

func async(c *device.Client, err error) (*actor, error) {
	ctx, t := context.Background(), newTally()
	return &actor{count: t.count, run: func(n int) error {
		return t.wait(n, func() error { return c.SendAsync(ctx, telemetryMessage, t.done) })
	}}, err
}

// senders is how many goroutines send, each waiting for its acknowledgement.
const senders = 1000

// deviceSendersRole is many producers that each wait for every acknowledgement.
func deviceSendersRole(s setup) (*actor, error) { return waiting(s.dialDevice()) }

func waiting(c *device.Client, err error) (*actor, error) {
	var acked atomic.Int64
	return &actor{count: acked.Load, run: func(n int) error {
		return together(senders, n, func() error {
			err := c.Send(context.Background(), telemetryMessage)
			if err == nil {
				acked.Add(1)
			}
			return err
		})
	}}, err
}

// together has some goroutines call f, n times in all, or until there is an
// error, which is the first.
func together(goroutines, n int, f func() error) error {
	var left atomic.Int64
	var running sync.WaitGroup
	var once sync.Once
	var failure error
	left.Store(int64(n))
	for range goroutines {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					once.Do(func() { failure = err })
					return
				}
			}
		})
	}
	running.Wait()
	return failure
}
