package links

import (
	"context"
	"errors"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// SendC2D sends m to the device or module to, and returns when the hub has it in the queue. It
// may be called from any number of goroutines, whose messages share one link and do not wait for
// each other's outcomes.
//
// A message is sent once. The error says what the hub said: QueueDepthExceeded, DeviceNotFound,
// MessageTooLarge, ArgumentInvalid. While there is no link nothing is sent, and it is waited for
// until ctx ends; when the link is lost with the message, the outcome is Unknown. m must have
// passed [hubwire.Message.CheckC2D], and is not kept.
//
// Source: spec/amqp.md 5.1.
func (s *Service) SendC2D(ctx context.Context, to hubwire.Identity, m *hubwire.Message) error {
	const op = "send c2d"
	if err := s.ready(ctx, op); err != nil {
		return err
	}
	msg, err := encode(amqp.AppendSend(nil, to, m))
	if err != nil {
		return withOp(op, err)
	}
	link, gen, err := s.c2d.link(ctx)
	if err != nil {
		return withOp(op, err)
	}
	receipt, err := link.SendWithReceipt(handover{ctx}, msg, nil)
	if err != nil {
		s.c2d.failed(gen, err)
		return unsent(ctx, op, err)
	}
	state, err := receipt.Wait(ctx)
	if err != nil {
		s.c2d.failed(gen, err)
		return asError(op, amqp.C2DSend, err)
	}
	return outcomeAt(op, amqp.C2DSend, state)
}

// unsent is the error of a message that go-amqp did not get out. What ended a link may have done so
// behind the message; all else came before a byte was written.
func unsent(ctx context.Context, op string, err error) error {
	e := asError(op, amqp.C2DSend, err)
	if level, _ := ending(err); level > levelRefusal {
		return e
	}
	e.Outcome = hubwire.NotSent
	if ctx.Err() != nil { // go-amqp says that there was no credit
		e.Code, e.Retryable, e.Err = 0, true, ctx.Err()
	}
	return e
}

// errGivenBack is why a message was not sent that the peer released.
var errGivenBack = errors.New("links: the peer gave the message back")

// outcomeAt returns what a state that the peer has put a message into means for op.
func outcomeAt(op string, at amqp.Node, state goamqp.DeliveryState) error {
	switch state := state.(type) {
	case *goamqp.StateAccepted:
		return nil
	case *goamqp.StateRejected:
		if state.Error == nil {
			return &hubwire.Error{Op: op, Outcome: hubwire.Refused, Message: "rejected without a reason"}
		}
		return asError(op, at, state.Error)
	}
	return &hubwire.Error{Op: op, Outcome: hubwire.Refused, Retryable: true, Err: errGivenBack} // released, modified
}
