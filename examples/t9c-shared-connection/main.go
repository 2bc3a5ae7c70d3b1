// Command t9c-shared-connection is the sample iothub_client_shared_transport_sample: two devices on one connection, AMQP
// in a WebSocket, send by turns, and each hears for itself.
//
//	go run ./examples/t9c-shared-connection
//
// It prints the confirmations and messages of each device. Beside the sample, one of the devices leaves while the other goes on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
)

func main() { site.Main(play) }

// rounds is how many messages each device sends.
const rounds = 3

var deviceIDs = [...]string{"t9c-first", "t9c-second"}

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	o := s.Options()
	conn, err := device.NewAMQPConnection(s.Service.HostName(), device.AMQPWebSocket(nil), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var clients []*device.Client
	for _, id := range deviceIDs {
		connectionString, err2 := s.Device(ctx, id)
		if err2 != nil {
			return err2
		}
		defer s.Remove(ctx, id, &err)
		c, err2 := device.Dial(ctx, connectionString, conn.Transport(), o)
		if err2 != nil {
			return err2
		}
		clients = append(clients, c)
	}
	fmt.Fprintf(out, "%d devices share one connection over %v\n", len(clients), conn.Transport())
	if err := byTurns(ctx, out, clients); err != nil {
		return err
	}
	for _, c := range clients {
		if err := hear(ctx, out, s, c); err != nil {
			return err
		}
	}
	// What happens to one leaves the other untouched.
	if err := clients[0].Close(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s has left; the connection is %v\n", deviceIDs[0], conn.State())
	return hear(ctx, out, s, clients[1])
}

// byTurns has the devices send, one after the other, without waiting for what they have sent. Each gets
// the confirmations of its own messages.
func byTurns(ctx context.Context, out io.Writer, clients []*device.Client) error {
	confirmed := make([]chan error, len(clients))
	for i := range confirmed {
		confirmed[i] = make(chan error, rounds)
	}
	for n := range rounds {
		for i, c := range clients {
			m := &hubwire.Message{ID: fmt.Sprintf("message_%d", n), Body: fmt.Appendf(nil, `{"device":%d,"message":%d}`, i, n)}
			if err := c.SendAsync(ctx, m, func(err error) { confirmed[i] <- err }); err != nil {
				return err
			}
		}
	}
	for i, c := range clients {
		for n := range rounds {
			select {
			case err := <-confirmed[i]:
				if err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
			fmt.Fprintf(out, "%s: confirmation %d: OK\n", c.Identity(), n+1)
		}
	}
	return nil
}

// hear sends a message to a device, which prints and completes it.
func hear(ctx context.Context, out io.Writer, s *site.Site, c *device.Client) error {
	if err := s.ServiceWS.SendC2D(ctx, c.Identity(), &hubwire.Message{Body: []byte("for " + c.Identity().String())}); err != nil {
		return err
	}
	m, err := c.Receive(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: a message: %s\n", c.Identity(), m.Body)
	return m.Complete(ctx)
}
