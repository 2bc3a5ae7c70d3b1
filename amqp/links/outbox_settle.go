package links

import (
	"context"
	"runtime/debug"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/backoff"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// tale is an outcome for somebody.
type tale struct {
	done func(error)
	each func(i int, err error)
	i    int
	err  error
}

// settleable reports whether there is something for a goroutine that settles.
func (b *outbox) settleable() bool {
	if b.now != nil && b.now.lost {
		return true
	}
	return b.used > 0 && (b.cause != nil || b.at(b.head).known || b.at(b.head).span > 0)
}

// settle waits for the outcome of the oldest transfer, and tells it, for as long as one is on its way.
func (b *outbox) settle() {
	over := false
	defer func() {
		if !over { // a done function has ended the goroutine, not what others wait for
			b.caller.Store(0)
			go b.settle()
		}
	}()
	b.tell()
	for b.settleOldest() {
		b.tell()
	}
	over = true
}

// settleOldest waits for the outcome of the oldest transfer, or gives up the right to settle when that was not sent.
func (b *outbox) settleOldest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.settleable() {
		b.settling = false
		b.caller.Store(0)
		b.hush()
		return false
	}
	if b.used > 0 && b.cause == nil {
		if s := b.at(b.head); s.span > 0 && !s.round.lost {
			b.waitUnlocked(s.round, s.receipt, b.head, s.span)
		}
	}
	if r := b.now; r != nil && (r.lost || b.cause != nil) {
		b.rewind(r)
	}
	for b.used > 0 {
		s := b.at(b.head)
		if !s.known && b.cause != nil {
			s.known, s.err = true, endedBy(s.doubt, b.cause)
		}
		if !s.known {
			break
		}
		b.finish(b.head)
	}
	b.kick()
	return true
}

// waitUnlocked waits, without mu, for the outcome of the transfer of span messages that begin at seq.
func (b *outbox) waitUnlocked(r *round, receipt goamqp.SendReceipt, seq uint64, span int) {
	b.mu.Unlock()
	state, err := receipt.Wait(r.ctx)
	if err != nil {
		b.lose(r, err, b.out.failed)
	}
	b.mu.Lock()
	switch {
	case err != nil:
		b.at(seq).receipt = receipt // which may have an outcome all the same
	case givenBack(state):
		b.putOffUnlocked(r, seq, span)
	default:
		b.returns = 0
		b.judge(state, seq, span)
	}
}

// judge notes the outcome of a transfer. Of messages that were refused together each is to have an outcome
// of its own, unless the hub had no time for them.
func (b *outbox) judge(state goamqp.DeliveryState, seq uint64, span int) {
	err := verdict(state)
	for i := range uint64(span) {
		s := b.at(seq + i)
		b.landed(s)
		if e, ok := err.(*hubwire.Error); ok && span > 1 && e.Outcome == hubwire.Refused && !e.Retryable {
			s.share = false
			b.next = min(b.next, seq)
			continue
		}
		s.known, s.err = true, err
	}
}

// putOffUnlocked has a transfer sent again that the hub gave back, after a while, during which mu is not held.
func (b *outbox) putOffUnlocked(r *round, seq uint64, span int) {
	for i := range uint64(span) {
		s := b.at(seq + i)
		b.landed(s)
		if s.held = !s.dropped; s.dropped {
			b.remove(seq + i)
		}
	}
	ctx, cancel := context.WithTimeout(r.ctx, backoff.Wait(b.returns, b.o.minBackoff, b.o.maxBackoff))
	defer cancel()
	b.rouse = cancel
	b.returns++
	b.mu.Unlock()
	<-ctx.Done()
	b.mu.Lock()
	for i := max(seq, b.head); i < seq+uint64(span); i++ {
		b.at(i).held = false
	}
	b.next = max(b.head, min(b.next, seq))
}

// lose is called when a round has lost its link, or is to: tell is told of it, once.
func (b *outbox) lose(r *round, err error, tell func(generation, error)) {
	b.mu.Lock()
	if r != b.now || r.lost {
		b.mu.Unlock()
		return
	}
	r.lost = true
	r.cut()
	if !b.settling { // else who settles looks at it, having the receipt of the oldest
		b.settling = true
		go b.settle()
	}
	ended := b.cause != nil
	b.mu.Unlock()
	if !ended {
		tell(r.gen, err)
	}
}

// down is told by the link that it has lost an attachment.
func (b *outbox) down(g generation, err error) {
	b.mu.Lock()
	r := b.now
	stands := r != nil && r.link != nil && r.gen == g
	b.mu.Unlock()
	if stands {
		b.lose(r, err, func(generation, error) {})
	}
}

// rewind ends a round whose link is lost: what is under way is due again, but for outcomes that have come.
func (b *outbox) rewind(r *round) {
	come := true
	for seq := b.head; seq < b.tail; seq = max(seq+1, b.head) {
		s := b.at(seq)
		if !b.underWay(s) {
			continue
		}
		if come && s.span > 0 {
			var state goamqp.DeliveryState
			if state, come = outcome(r.ctx, &s.receipt); come && !givenBack(state) {
				b.judge(state, seq, s.span)
				continue
			}
		}
		b.landed(s)
		s.doubt = true
		if s.dropped {
			b.remove(seq)
		}
	}
	r.cut()
	b.now, b.next, b.under = nil, b.head, 0
}

// outcome returns the outcome that has come for a transfer whose round has ended: of that and the end go-amqp gives
// one by chance.
func outcome(ended context.Context, receipt *goamqp.SendReceipt) (goamqp.DeliveryState, bool) {
	for range 10 {
		if state, err := receipt.Wait(ended); err == nil {
			return state, true
		}
	}
	return nil, false
}

// finish frees the oldest slot, whose outcome is known.
func (b *outbox) finish(seq uint64) {
	s := b.at(seq)
	switch {
	case s.wait != nil:
		s.wait <- s.err
	case s.done != nil, s.each != nil:
		b.told = append(b.told, tale{s.done, s.each, s.i, s.err})
	}
	b.remove(seq)
}

// tell calls the done functions that are to be called, in order.
func (b *outbox) tell() {
	if len(b.told) == 0 {
		return
	}
	if b.caller.Load() == 0 {
		b.caller.Store(goroutine.ID())
	}
	for b.telling < len(b.told) {
		t := &b.told[b.telling]
		b.telling++
		b.call(t)
	}
	clear(b.told)
	b.told, b.telling = b.told[:0], 0
}

// call tells one outcome. A panic is contained.
func (b *outbox) call(t *tale) {
	defer func() {
		if v := recover(); v != nil && b.o.onPanic != nil {
			b.o.onPanic(v, debug.Stack())
		}
	}()
	if t.done != nil {
		t.done(t.err)
		return
	}
	t.each(t.i, t.err)
}
