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
	desk  desk
}

func (o *outgoing) init(to *sender, node amqp.Node, limit time.Duration) {
	o.to, o.node, o.limit, o.desk = to, node, limit, newDesk(to.core.e.c)
}

// deliver sends m, and again as often as the link is lost before the peer has said what becomes of
// it; one that does not say it in time loses the session. It returns the attachment that m went by
// last. The error is a *hubwire.Error: m may have arrived when its outcome is Unknown.
func (o *outgoing) deliver(ctx context.Context, op string, m *goamqp.Message) (gen generation, err error) {
	for doubt := false; ; doubt = true {
		gen, lost, err := o.once(ctx, op, m)
		switch {
		case err == nil:
			return gen, nil
		case !lost:
			return gen, doubtful(err, doubt)
		}
	}
}

// once sends m on one attachment, and returns what becomes of it. lost says that the attachment was lost before
// the peer has said so.
func (o *outgoing) once(ctx context.Context, op string, m *goamqp.Message) (gen generation, lost bool, _ *hubwire.Error) {
	at, err := o.to.core.await(ctx)
	if err != nil {
		return 0, false, unattached(op, o.to.core.e, err)
	}
	gen = at.gen
	state, err := o.transfer(ctx, at.handle.(*goamqp.Sender), m)
	if err == nil {
		return gen, false, verdict(op, o.node, state)
	}
	level, _ := ending(err)
	e := asError(op, o.node, err)
	if known := at.why(err); known != err {
		own := *asError(op, o.node, known) // which others have, too
		own.Op, own.Outcome = op, hubwire.Unknown
		e = &own
	}
	switch {
	case errors.Is(err, errAckTimeout):
		o.to.stalled(gen, err)
		return gen, true, e
	case level > levelRefusal:
		o.to.failed(gen, err)
		return gen, true, e
	case errors.Is(err, errNotWritten):
		e = notSent(ctx, e)
	}
	return gen, false, e
}

// transfer sends m on one attachment, and waits for what becomes of it.
func (o *outgoing) transfer(ctx context.Context, s *goamqp.Sender, m *goamqp.Message) (goamqp.DeliveryState, error) {
	receipt, err := o.desk.send(ctx, s, m)
	if err != nil {
		return nil, err
	}
	if receipt == nil {
		return &goamqp.StateAccepted{}, nil
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

// withOp is err as that of the call op, nil for nil.
func withOp(op string, err error) error {
	if err == nil {
		return nil
	}
	e := *asError(op, 0, err)
	e.Op = op
	return &e
}
