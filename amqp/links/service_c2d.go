package links

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// SendC2D sends m to the device or module to, and returns when the hub has it in the queue. It
// may be called from any number of goroutines, whose messages share one link and do not wait for
// each other's outcomes.
//
// A message is sent once. The error says what the hub said: QueueDepthExceeded, DeviceNotFound,
// MessageTooLarge, ArgumentInvalid. While there is no link nothing is sent, and it is waited for
// until ctx ends; when the link is lost with the message, or the hub says nothing about it for
// OperationTimeout, which loses the session, and with it the locks of the Service's feedback and
// notifications, the outcome is Unknown. m must have
// passed [hubwire.Message.CheckC2D], and is not kept.
//
// Source: spec/amqp.md 5.1.
func (s *Service) SendC2D(ctx context.Context, to hubwire.Identity, m *hubwire.Message) error {
	const op = "send c2d"
	if err := s.ready(ctx, op); err != nil {
		return err
	}
	if _, f := s.c2d.once(ctx, op, amqp.AppendSend(nil, to, m), 0); f.err != nil {
		return f.err
	}
	return nil
}
