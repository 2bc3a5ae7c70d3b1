package links

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/loss"
)

// settle tells the hub what becomes of d, and returns what it says to that: the link is in receiver
// settle mode second, in which .NET has it, so the hub answers whether the lock still held. (Inputs
// are in whatever mode the peer has them, and mode first has no answer.) A call has OperationTimeout when its
// context has no deadline. The calls come one at a time. One that has given up its wait may be made again, for the
// answer, which may have come meanwhile; for another disposition it is too late.
//
// A lock ends with its link. The error is then MessageLockLost and matches [net.ErrClosed], with
// outcome NotSent; or Unknown, when the link was lost before the hub had answered.
func (d *delivery) settle(ctx context.Context, how hubwire.Disposition) error {
	op := how.String()
	switch {
	case !d.s.in.core.stands(d.gen):
		return d.lost(op, hubwire.NotSent, nil)
	case ctx.Err() != nil:
		return &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Retryable: true, Err: ctx.Err()}
	case d.doubt && how != d.told:
		return &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Message: "the hub has been told to " + d.told.String() + " the message, and has not answered"}
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.s.in.core.e.c.o.OperationTimeout)
		defer cancel()
	}
	said, err := d.link.Settle(ctx, d.id, outcomeOf(how))
	switch {
	case err == nil:
		return d.judge(op, said)
	case hasEnded(err):
		return d.lost(op, hubwire.Unknown, err)
	case errors.Is(err, amqpclient.ErrNotUnsettled): // the hub has settled it, and not now
		return d.refused(op, &hubwire.Error{Op: op, Code: hubwire.MessageLockLost, Outcome: hubwire.Refused, Message: "the hub has settled the message", Err: err})
	}
	d.doubt, d.told = true, how
	return &hubwire.Error{Op: op, Outcome: hubwire.Unknown, Retryable: true, Message: "the hub has not answered", Err: err}
}

// outcomeOf is the delivery state that says how.
func outcomeOf(how hubwire.Disposition) amqp10.State {
	switch how {
	case hubwire.Complete:
		return amqp10.Accepted()
	case hubwire.Reject:
		return amqp10.Rejected(nil)
	}
	return amqp10.Released()
}

// judge is what the hub's answer means.
func (d *delivery) judge(op string, said amqp10.State) error {
	remote, _ := said.Error()
	if remote == nil {
		return nil
	}
	return d.refused(op, refusal(op, d.s.in.cfg.node, amqpclient.LevelAttach, amqp.FromWire(remote)))
}

// lost is the error of a settlement whose link is lost.
func (d *delivery) lost(op string, outcome hubwire.Outcome, err error) error {
	if d.doubt {
		outcome = hubwire.Unknown
	}
	return &hubwire.Error{
		Op: op, Code: hubwire.MessageLockLost, Outcome: outcome,
		Message: "the link that the message came by is lost, and its lock with it", Err: &loss.Error{Text: lostText(amqpclient.LevelLink), Err: err},
	}
}

// refused is the error of a settlement that the hub has refused. A lock that is not there, when an
// answer was lost before, may well have been ended by what that answer was to.
func (d *delivery) refused(op string, e *hubwire.Error) error {
	if e.Code == hubwire.DeviceNotFound { // which is the lock, and not the device
		e.Code = hubwire.MessageLockLost
	}
	if d.doubt && e.Code == hubwire.MessageLockLost {
		e.Outcome = hubwire.Unknown
	}
	return e
}
