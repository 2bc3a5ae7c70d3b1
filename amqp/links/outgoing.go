package links

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// outgoing sends requests and answers, each on its own, on a link and on whatever it is attached
// anew. (Telemetry has an outbox.)
type outgoing struct {
	to    *sender
	limit time.Duration // for what becomes of one that was sent; 0: none

	mu      sync.Mutex
	token   uint64 // of the last
	waiting map[uint64]parcel
}

// parcel is a message that was sent by some attachment, and whose fate is not known.
type parcel struct {
	op   string
	gen  generation
	fate chan fate   // has room for one
	late *time.Timer // nil before it is sent, and without a limit
}

// fate is what became of a parcel. A lost one was so before the peer had said anything about it.
type fate struct {
	err  *hubwire.Error // nil: it was accepted
	lost bool
}

func (o *outgoing) init(e *entity, cfg linkConfig, limit time.Duration) {
	o.limit, o.waiting = limit, make(map[uint64]parcel)
	cfg.ended = o.ended
	o.to = e.sender(senderConfig{linkConfig: cfg, settled: o.settled})
}

// deliver sends m, and again as often as the link is lost before the peer has said what becomes of
// it; one that does not say it in time loses the session. It returns the attachment that m went by
// last, and whether one before may have carried it too. The error is a *hubwire.Error: m may have
// arrived when its outcome is Unknown.
func (o *outgoing) deliver(ctx context.Context, op string, m []byte) (gen generation, again bool, err error) {
	for ; ; again = true {
		var f fate
		gen, f = o.once(ctx, op, m, gen)
		switch {
		case f.err == nil:
			return gen, again, nil
		case !f.lost:
			return gen, again, doubtful(f.err, again)
		}
	}
}

// once sends m by one attachment, later than after, and returns what becomes of it.
func (o *outgoing) once(ctx context.Context, op string, m []byte, after generation) (gen generation, f fate) {
	for {
		if err := ctx.Err(); err != nil {
			return after, fate{err: &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Retryable: true, Err: err}}
		}
		link, gen, err := o.to.link(ctx, after)
		if err != nil {
			return after, fate{err: unattached(op, o.to.core.e, err)}
		}
		token, p := o.begin(op, gen)
		err = link.Send(ctx, m, amqpclient.Outgoing{Token: token})
		switch {
		case err == nil && link.SendMode() == amqp10.SendSettled:
			o.take(token)
			return gen, fate{}
		case err == nil:
			return gen, o.await(ctx, token, p)
		}
		o.take(token)
		if !hasEnded(err) {
			return gen, fate{err: o.notSent(op, link, m, err)}
		}
		after = gen // which has not had it
	}
}

// errAnswered is why the sending of a request ends whose answer is there.
var errAnswered = errors.New("links: it is answered")

// await waits for the fate of a parcel. With a limit, who gives up leaves the parcel open: it is by
// what is never answered that a peer is found dead, however short the patience of the calls.
func (o *outgoing) await(ctx context.Context, token uint64, p parcel) fate {
	o.watch(token)
	select {
	case f := <-p.fate:
		return f
	case <-ctx.Done():
		if o.limit == 0 || context.Cause(ctx) == errAnswered {
			o.take(token)
		}
		return fate{err: asError(p.op, o.to.cfg.node, ctx.Err())}
	}
}

// watch begins the time that the peer has for a parcel.
func (o *outgoing) watch(token uint64) {
	if o.limit == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p, ok := o.waiting[token]; ok {
		p.late = time.AfterFunc(o.limit, func() { o.overdue(token) })
		o.waiting[token] = p
	}
}

// overdue loses the session by which a parcel went, if the peer has said nothing about it.
func (o *outgoing) overdue(token uint64) {
	if p, ok := o.take(token); ok {
		o.to.stalled(p.gen, errAckTimeout)
		p.fate <- fate{asError(p.op, o.to.cfg.node, errAckTimeout), true}
	}
}

// begin opens a parcel.
func (o *outgoing) begin(op string, gen generation) (token uint64, p parcel) {
	p = parcel{op: op, gen: gen, fate: make(chan fate, 1)}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.token++
	o.waiting[o.token] = p
	return o.token, p
}

// take closes a parcel, if it is open.
func (o *outgoing) take(token uint64) (p parcel, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok = o.waiting[token]
	if ok {
		o.closeLocked(token, p)
	}
	return p, ok
}

func (o *outgoing) closeLocked(token uint64, p parcel) {
	delete(o.waiting, token)
	if p.late != nil {
		p.late.Stop()
	}
}

// settled is told what becomes of messages.
func (o *outgoing) settled(_ generation, first, last uint64, state amqp10.State) {
	for token := first; token <= last; token++ {
		if p, ok := o.take(token); ok {
			p.fate <- fate{err: verdict(p.op, o.to.cfg.node, state)}
		}
	}
}

// ended is told that an attachment has ended, with what was on it.
func (o *outgoing) ended(gen generation, reason error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for token, p := range o.waiting {
		if p.gen == gen {
			o.closeLocked(token, p)
			p.fate <- fate{o.lost(p.op, reason), true}
		}
	}
}

// lost is the error of an op whose message was lost with its link.
func (o *outgoing) lost(op string, reason error) *hubwire.Error {
	e := asError(op, o.to.cfg.node, reason)
	if life := o.to.core.e.life; life.Err() != nil {
		own := *ended(op, context.Cause(life)).(*hubwire.Error)
		e = &own
	}
	e.Outcome = hubwire.Unknown
	return e
}

// notSent is the error of an op whose message was not sent.
func (o *outgoing) notSent(op string, link *amqpclient.Sender, m []byte, err error) *hubwire.Error {
	e := asError(op, o.to.cfg.node, err)
	if errors.Is(err, amqpclient.ErrMessageSize) {
		e = tooLarge(len(m), link.MaxMessageSize())
	}
	e.Op, e.Outcome = op, hubwire.NotSent
	return e
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
