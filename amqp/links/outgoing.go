package links

import (
	"context"
	"errors"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// outgoing sends requests and answers, each on its own, on a link and on whatever it is attached
// anew. (Telemetry has an outbox.)
type outgoing struct {
	to    *sender
	node  amqp.Node
	limit time.Duration // for what becomes of one; 0: none
	turn  chan struct{} // whose holder may write; go-amqp has a mutex for that, whose wait has no end of its own
}

func (o *outgoing) init(to *sender, node amqp.Node, limit time.Duration) {
	o.to, o.node, o.limit, o.turn = to, node, limit, make(chan struct{}, 1)
}

// deliver sends m, and again as often as the link is lost before the peer has said what becomes of
// it; one that does not say it in time loses the session. It returns the attachment that m went by
// last. The error is a *hubwire.Error: m may have arrived when its outcome is Unknown.
func (o *outgoing) deliver(ctx context.Context, op string, m *goamqp.Message) (gen generation, err error) {
	for doubt := false; ; doubt = true {
		s, on, err := o.to.link(ctx)
		if err != nil {
			return gen, doubtful(unattached(op, o.to.core.e, err), doubt)
		}
		gen = on
		state, err := o.transfer(ctx, s, m)
		level, _ := ending(err)
		switch {
		case err == nil:
			return gen, outcomeOf(op, state)
		case errors.Is(err, errAckTimeout):
			o.to.stalled(gen, err)
		case level > levelRefusal:
			o.to.failed(gen, err)
		default:
			e := asError(op, o.node, err)
			if level == levelRefusal || errors.Is(err, errNoTurn) {
				e = notSent(ctx, e) // it is go-amqp's own, about a message that it did not send
			}
			return gen, doubtful(e, doubt)
		}
	}
}

var errNoTurn = errors.New("links: other messages are being written")

// transfer sends m on one attachment, and waits for what becomes of it.
func (o *outgoing) transfer(ctx context.Context, s *goamqp.Sender, m *goamqp.Message) (goamqp.DeliveryState, error) {
	if ctx.Err() != nil {
		return nil, errors.Join(errNoTurn, ctx.Err())
	}
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, errors.Join(errNoTurn, ctx.Err())
	}
	receipt, err := s.SendWithReceipt(ctx, m, nil)
	if level, _ := ending(err); err != nil && level == levelNone && ctx.Err() == nil {
		err = s.Send(ctx, m, nil) // the peer takes only what is settled, of which there is no receipt
		<-o.turn
		return &goamqp.StateAccepted{}, err
	}
	<-o.turn
	if err != nil {
		return nil, err
	}
	if o.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.limit, errAckTimeout)
		defer cancel()
	}
	state, err := receipt.Wait(ctx)
	if err != nil && context.Cause(ctx) == errAckTimeout {
		err = errAckTimeout
	}
	return state, err
}

// unattached is the error of an op that needs a link, when there is none because of err: as often as not, because
// the entity has ended.
func unattached(op string, e *entity, err error) *hubwire.Error {
	if e.life.Err() != nil {
		err = ended(op, context.Cause(e.life))
	}
	own := *asError(op, 0, err)
	own.Op = op
	return &own
}

// notSent is e of what never left.
func notSent(ctx context.Context, e *hubwire.Error) *hubwire.Error {
	if ctx.Err() != nil {
		e = &hubwire.Error{Op: e.Op, Retryable: true, Err: ctx.Err()}
	}
	e.Outcome = hubwire.NotSent
	return e
}

// doubtful is e, of what another attachment may have carried before.
func doubtful(e *hubwire.Error, doubt bool) *hubwire.Error {
	if doubt && e.Outcome == hubwire.NotSent {
		own := *e
		own.Outcome = hubwire.Unknown
		return &own
	}
	return e
}

// outcomeOf returns nil for what was accepted, and else what op failed with.
func outcomeOf(op string, state goamqp.DeliveryState) error {
	e := verdict(state)
	if e == nil {
		return nil
	}
	e.Op = op
	return e
}

// withOp is err as that of the call op, nil for nil.
func withOp(op string, err error) error {
	if err == nil {
		return nil
	}
	e := *asError(op, 0, err)
	e.Op = op
	return &e
}
