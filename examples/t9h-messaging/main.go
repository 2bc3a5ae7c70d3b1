// Command t9h-messaging is the sample "iothub_messaging_sample", both sides: the back end sends ten messages to a
// device and prints the feedback records that come of them.
//
//	go run ./examples/t9h-messaging
//	go run ./examples/t9h-messaging -p amqp_ws
//
// The device completes most of them, rejects one, and never sees another, which has expired by then. Each message
// is printed as it is sent, as it is received, and with what became of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() {
	protocol := flag.String("p", "amqp", "the protocol of both sides: amqp or amqp_ws")
	site.Main(func(ctx context.Context, out io.Writer, s *site.Site) error { return play(ctx, out, s, *protocol) })
}

const (
	deviceID     = "t9h-device"
	messageCount = 10
	rejected     = "message_3"
	expired      = "message_7"
)

func play(ctx context.Context, out io.Writer, s *site.Site, protocol string) (err error) {
	transport, client := device.AMQP(nil), s.Service
	switch protocol {
	case "amqp":
	case "amqp_ws":
		transport, client = device.AMQPWebSocket(nil), s.ServiceWS
	default:
		return fmt.Errorf("-p %q is neither amqp nor amqp_ws", protocol)
	}
	connectionString, err := s.Device(ctx, deviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, deviceID, &err)
	if err := send(ctx, out, client); err != nil {
		return err
	}
	// What has expired is told first, while the device is still away.
	if err := printFeedback(ctx, out, client, 1); err != nil {
		return err
	}
	if err := receive(ctx, out, connectionString, transport, s.Options()); err != nil {
		return err
	}
	return printFeedback(ctx, out, client, messageCount-1)
}

func send(ctx context.Context, out io.Writer, c *service.Client) error {
	for i := range messageCount {
		m := &hubwire.Message{
			Body: fmt.Appendf(nil, `{"service client sent a message": %d}`, i),
			ID:   fmt.Sprint("message_", i), CorrelationID: fmt.Sprint("correlation_", i), Ack: hubwire.AckFull,
			Properties: []hubwire.Property{{Name: "Property", Value: fmt.Sprint("PropMsg_", i)}},
		}
		if m.ID == expired {
			m.Expiry = time.Now().Add(time.Second)
		}
		if err := c.SendC2D(ctx, hubwire.Identity{DeviceID: deviceID}, m); err != nil {
			return err
		}
		fmt.Fprintf(out, "service: sent %s\n", m.ID)
	}
	return nil
}

func receive(ctx context.Context, out io.Writer, connectionString string, t device.Transport, o *device.Options) (err error) {
	c, err := device.Dial(ctx, connectionString, t, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for range messageCount - 1 {
		m, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		how := hubwire.Complete
		if m.ID == rejected {
			how = hubwire.Reject
		}
		if err := m.Settle(ctx, how); err != nil {
			return err
		}
		fmt.Fprintf(out, "device: %s, %v: %v\n", m.ID, m.Properties, how)
	}
	return nil
}

// printFeedback prints n records of the device.
func printFeedback(ctx context.Context, out io.Writer, c *service.Client, n int) error {
	for n > 0 {
		batch, err := c.ReceiveFeedback(ctx)
		if err != nil {
			return err
		}
		for _, r := range batch.Records {
			if r.DeviceID != deviceID { // the queue is one for all devices
				continue
			}
			fmt.Fprintf(out, "service: feedback: message id %s, status %s, description %s, device %s\n",
				r.OriginalMessageID, r.Status, r.Description, r.DeviceID)
			n--
		}
		if err := batch.Complete(ctx); err != nil {
			return err
		}
	}
	return nil
}
