package links

import (
	"context"
	"runtime/debug"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
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

// awaited returns the oldest transfer that is under way, and has been written.
func (b *outbox) awaited() (seq uint64, ok bool) {
	for seq = b.head; seq < b.tail; seq++ {
		s := b.at(seq)
		switch {
		case s.span > 0:
			return seq, true
		case !s.free && !s.known && !s.held:
			return 0, false // what is behind it is not written either, or not of this round
		}
	}
	return 0, false
}

// settleable reports whether there is something for a goroutine that settles.
func (b *outbox) settleable() bool {
	if b.now != nil && b.now.lost {
		return true
	}
	_, ok := b.awaited()
	return ok || b.used > 0 && (b.cause != nil || b.at(b.head).known)
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
	if seq, ok := b.awaited(); ok && b.cause == nil && !b.now.lost {
		b.waitUnlocked(b.now, seq)
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

// waitUnlocked waits, without mu, for the outcome of the transfer that begins at seq.
func (b *outbox) waitUnlocked(r *round, seq uint64) {
	receipt, span := b.at(seq).receipt, b.at(seq).span
	b.mu.Unlock()
	state, err := receipt.Wait(r.ctx)
	if err != nil {
		b.lose(r, err, b.out.failed)
	}
	b.mu.Lock()
	if err != nil {
		return // there may be an outcome all the same, which rewind looks for
	}
	b.judge(state, seq, span)
}

// judge notes the outcome of a transfer. What the hub may take later is put off. Of messages that were refused
// together each is to have an outcome of its own, unless the hub has no room for any.
func (b *outbox) judge(state goamqp.DeliveryState, seq uint64, span int) {
	err := verdict("send", amqp.Telemetry, state)
	again := err != nil && passing(err)
	single := err != nil && !again && span > 1 && err.Outcome == hubwire.Refused && !err.Retryable
	for i := range uint64(span) {
		s := b.at(seq + i)
		b.landed(s)
		switch {
		case again && s.dropped:
			s.known = true // to nobody
		case again:
			s.held, s.err = true, err
		case single:
			s.share = false
			b.next = min(b.next, seq)
		case err != nil:
			s.known, s.err = true, err
		default:
			s.known, s.err = true, nil
		}
	}
	switch {
	case again:
		b.putOff()
	case err == nil:
		b.returns = 0
	}
}

// putOff sees to it that what is held is sent again in a while.
func (b *outbox) putOff() {
	if b.holding || b.cause != nil {
		return
	}
	b.holding = true
	d := backoff.Wait(b.returns, b.o.minBackoff, b.o.maxBackoff)
	b.returns++
	if b.release == nil {
		b.release = time.AfterFunc(d, b.resume)
	} else {
		b.release.Reset(d)
	}
}

// resume sends what is held.
func (b *outbox) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holding = false
	for seq := b.head; seq < b.tail; seq++ {
		b.at(seq).held = false
	}
	b.next = b.head
	b.kick()
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
			if state, come = outcome(r.ctx, &s.receipt); come {
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
	b.touchDown()
}

// outcome returns the outcome that has come for a transfer whose round has ended: of that and the end go-amqp gives
// one by chance.
func outcome(ended context.Context, receipt *goamqp.SendReceipt) (goamqp.DeliveryState, bool) {
	for range 64 { // a choice of three, of which one is right
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
