// Command t2-cloud-to-device is the tutorial "Send cloud-to-device messages", both sides, over AMQP and over AMQP in
// a WebSocket: the back end sends messages to a device, and is told what became of them.
//
//	go run ./examples/t2-cloud-to-device
//
// It prints each message with the result of sending it, the message as the device gets it and what the device
// does with it, and the feedback that comes of that.
//
// The tutorial promised feedback and never asked for any, and its result said that the message had been handed
// over, not that the hub had taken it. Here each kind of acknowledgement is asked for, the feedback is read, and
// a message that the hub does not take is an error that says why.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

func play(ctx context.Context, out io.Writer, s *site.Site) error {
	for _, p := range []struct {
		name, deviceID string
		transport      device.Transport
		service        *service.Client
	}{
		{"AMQP", "t2-device", device.AMQP(nil), s.Service},
		{"AMQP over WebSockets", "t2-device-ws", device.AMQPWebSocket(nil), s.ServiceWS},
	} {
		fmt.Fprintf(out, "over %s\n", p.name)
		t := &tutorial{out, p.service, hubwire.Identity{DeviceID: p.deviceID}}
		if err := t.play(ctx, s, p.transport); err != nil {
			return err
		}
	}
	return nil
}

// tutorial is both sides, over one protocol.
type tutorial struct {
	out     io.Writer
	service *service.Client
	id      hubwire.Identity
}

func (t *tutorial) play(ctx context.Context, s *site.Site, transport device.Transport) (err error) {
	connectionString, err := s.Device(ctx, t.id.DeviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, t.id.DeviceID, &err)
	c, err := device.Dial(ctx, connectionString, transport, s.Options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := t.exchange(ctx, c, hubwire.Complete, "message_1 Success", "message_3 Success"); err != nil {
		return err
	}
	if err := t.exchange(ctx, c, hubwire.Reject, "message_2 Rejected", "message_3 Rejected"); err != nil {
		return err
	}
	return t.sendToNobody(ctx)
}

// exchange sends a message with each kind of acknowledgement, has the device settle them all, and reads
// the feedback that was asked for.
func (t *tutorial) exchange(ctx context.Context, c *device.Client, how hubwire.Disposition, feedback ...string) error {
	for i, ack := range []hubwire.Ack{hubwire.AckNone, hubwire.AckPositive, hubwire.AckNegative, hubwire.AckFull} {
		m := &hubwire.Message{
			Body: fmt.Appendf(nil, `{"service client sent a message": %d}`, i),
			ID:   fmt.Sprint("message_", i), CorrelationID: fmt.Sprint("correlation_", i), Ack: ack,
			Properties: []hubwire.Property{{Name: "Property", Value: fmt.Sprint("PropMsg_", i)}},
		}
		if err := t.service.SendC2D(ctx, t.id, m); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "service: %s with ack %s: messagingResult : OK\n", m.ID, m.Ack)
	}
	for n := 1; n <= 4; n++ {
		m, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "device: message %d: %s, %d bytes, %v, %s\n", n, m.Body, len(m.Body), m.Properties, m.CorrelationID)
		if err := m.Settle(ctx, how); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "device: %v %s\n", how, m.ID)
	}
	for len(feedback) > 0 {
		records, err := t.feedback(ctx)
		if err != nil {
			return err
		}
		for _, r := range records {
			got := fmt.Sprintf("%s %s", r.OriginalMessageID, r.Status)
			if len(feedback) == 0 || got != feedback[0] {
				return fmt.Errorf("feedback that was not to be expected: %s", got)
			}
			feedback = feedback[1:]
			fmt.Fprintf(t.out, "service: feedback: %s\n", got)
		}
	}
	return nil
}

// feedback takes the next records off the hub's queue, and returns those of the device.
func (t *tutorial) feedback(ctx context.Context) ([]service.FeedbackRecord, error) {
	batch, err := t.service.ReceiveFeedback(ctx)
	if err != nil {
		return nil, err
	}
	var own []service.FeedbackRecord
	for _, r := range batch.Records {
		if r.DeviceID == t.id.DeviceID {
			own = append(own, r)
		}
	}
	return own, batch.Complete(ctx)
}

// sendToNobody sends a message that the hub does not take.
func (t *tutorial) sendToNobody(ctx context.Context) error {
	err := t.service.SendC2D(ctx, hubwire.Identity{DeviceID: "t2-nobody"}, &hubwire.Message{Body: []byte("hello?")})
	refusal, ok := errors.AsType[*hubwire.Error](err)
	if !ok || refusal.Code != hubwire.DeviceNotFound {
		return fmt.Errorf("a message to a device that is not there ended with %v", err)
	}
	fmt.Fprintf(t.out, "service: to nobody: messagingResult : %s, %v\n", refusal.Code.Name(), refusal.Outcome)
	return nil
}
