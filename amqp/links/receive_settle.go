package links

import (
	"context"

	"github.com/hubwire/hubwire"
)

// settle tells the hub what becomes of d, and returns what it says to that: the link is in receiver
// settle mode second, in which .NET has it, so the hub answers whether the lock still held. (Inputs
// are in whatever mode the peer has them, and mode first has no answer.) A call has OperationTimeout when its
// context has no deadline. The calls come one at a time.
//
// A lock ends with its link. The error is then MessageLockLost and matches [net.ErrClosed], with
// outcome NotSent; or Unknown, when the link was lost before the hub had answered.
func (d *delivery) settle(ctx context.Context, how hubwire.Disposition) error {
	op := how.String()
	switch {
	case !d.s.in.stands(d.gen):
		return d.lost(op, hubwire.NotSent, nil)
	case ctx.Err() != nil:
		return &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Retryable: true, Err: ctx.Err()}
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.s.in.core.e.c.o.OperationTimeout)
		defer cancel()
	}
	err := d.dispose(ctx, how)
	if err == nil {
		return nil
	}
	switch level, _ := ending(err); {
	case level > levelRefusal:
		d.s.in.failed(d.gen, err)
		return d.lost(op, hubwire.Unknown, err)
	case level == levelRefusal:
		return d.refused(op, err)
	}
	d.doubt = true
	return &hubwire.Error{Op: op, Outcome: hubwire.Unknown, Retryable: true, Message: "the hub has not answered", Err: err}
}

// dispose has go-amqp do it, whose calls may outlast ctx: it writes to the message even after that, so
// it gets one of its own.
func (d *delivery) dispose(ctx context.Context, how hubwire.Disposition) error {
	m, done := d.handle, make(chan error, 1)
	go func() {
		switch how {
		case hubwire.Complete:
			done <- d.link.AcceptMessage(ctx, &m)
		case hubwire.Reject:
			done <- d.link.RejectMessage(ctx, &m, nil)
		default:
			done <- d.link.ReleaseMessage(ctx, &m)
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lost is the error of a settlement whose link is lost.
func (d *delivery) lost(op string, outcome hubwire.Outcome, err error) error {
	if d.doubt {
		outcome = hubwire.Unknown
	}
	return &hubwire.Error{
		Op: op, Code: hubwire.MessageLockLost, Outcome: outcome,
		Message: "the link that the message came by is lost, and its lock with it", Err: &lossError{text: levelLink.lost(), err: err},
	}
}

// refused is the error of a settlement that the hub has refused. A lock that is not there, when an
// answer was lost before, may well have been ended by what that answer was to.
func (d *delivery) refused(op string, err error) error {
	e := asError(op, d.s.in.core.cfg.node, err)
	if e.Code == hubwire.DeviceNotFound { // which is the lock, and not the device
		e.Code = hubwire.MessageLockLost
	}
	if d.doubt && e.Code == hubwire.MessageLockLost {
		e.Outcome = hubwire.Unknown
	}
	return e
}

// stands reports whether that attachment has not been lost.
func (r *receiver) stands(gen generation) bool {
	at := r.core.live.Load()
	return at != nil && at.gen == gen
}
