package device

import (
	"context"
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// poller is who asks the hub for messages: one call of Receive at a time.
type poller struct {
	lock chan struct{} // whose holder may ask; waiting for it can end
	next time.Time     // when to ask again; the lock's
}

func (p *poller) init() { p.lock = make(chan struct{}, 1) }

func (l *httpsLink) receive(ctx context.Context) (*hubwire.Received, error) {
	if ctx.Err() != nil || l.cfg.life.Err() != nil {
		return nil, ended(ctx, l.cfg.life)
	}
	select {
	case l.in.lock <- struct{}{}:
		defer func() { <-l.in.lock }()
	case <-ctx.Done():
		return nil, ended(ctx, l.cfg.life)
	case <-l.cfg.life.Done():
		return nil, ended(ctx, l.cfg.life)
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.cfg.life, cancel)()
	for {
		if d := time.Until(l.in.next); d > 0 && !l.wait(asking, d) {
			return nil, ended(ctx, l.cfg.life)
		}
		m, err := l.ask(asking, &l.poll)
		switch {
		case ctx.Err() != nil || l.cfg.life.Err() != nil:
			return nil, ended(ctx, l.cfg.life)
		case err != nil:
			return nil, err
		case m.status == http.StatusNoContent:
			l.in.next = time.Now().Add(l.o.PollInterval)
			continue
		}
		r, err := l.received(m)
		if err != nil {
			l.in.next = time.Now().Add(l.cfg.MaxBackoff) // the hub's fault, and soon again the same
		}
		return r, err
	}
}

// received is the message of an answer.
func (l *httpsLink) received(a *reply) (*hubwire.Received, error) {
	r, err := httpsx.ParseReceived(a.header, a.body)
	if err != nil {
		return nil, &hubwire.Error{Outcome: hubwire.Unknown, Retryable: true, Err: err}
	}
	r.Redelivered = r.DeliveryCount > 0
	token := r.LockToken
	r.OnSettle(func(ctx context.Context, how hubwire.Disposition) error {
		return withOp(how.String(), l.settle(ctx, token, how))
	})
	return r, nil
}

// settle asks the hub to do with a message what how says. When the answer to an attempt was
// lost, and the lock is by the next, that attempt may well have been what ended it: the
// outcome is then Unknown.
func (l *httpsLink) settle(ctx context.Context, lockToken string, how hubwire.Disposition) error {
	op := httpsx.CompleteC2D
	switch how {
	case hubwire.Reject:
		op = httpsx.RejectC2D
	case hubwire.Abandon:
		op = httpsx.AbandonC2D
	}
	x, err := l.exchange(op, lockToken)
	if err != nil {
		return err
	}
	if l.over.Err() != nil {
		return ended(ctx, l.over)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.cfg.OperationTimeout)
		defer cancel()
	}
	l.busy.begin()
	defer l.busy.end()
	_, err = l.ask(ctx, &x)
	if e, ok := err.(*hubwire.Error); ok && e.Code.Status() == http.StatusPreconditionFailed {
		e.Code = hubwire.MessageLockLost
	}
	return err
}
