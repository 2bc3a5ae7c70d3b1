package links

import (
	"runtime/debug"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/backoff"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// settled is told by the connection what became of the transfers whose first messages are at first to last.
func (b *outbox) settled(gen generation, first, last uint64, state amqp10.State) {
	err := verdict("send", amqp.Telemetry, state)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gen != gen {
		return
	}
	for seq := first; seq <= last; {
		span := uint64(b.at(seq).span)
		b.judge(err, seq, span)
		seq += span
	}
	b.since = time.Now()
	b.finish()
	b.flush()
}

// judge notes the outcome of a transfer. What the hub may take later is put off. Of messages that were refused
// together each is to have an outcome of its own, unless the hub has no room for any.
func (b *outbox) judge(err *hubwire.Error, seq, span uint64) {
	again := err != nil && passing(err)
	single := err != nil && !again && span > 1 && err.Outcome == hubwire.Refused && !err.Retryable
	for i := range span {
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
	b.flush()
}

// down is told by the link that an attachment has ended, when all of its outcomes have been told.
func (b *outbox) down(gen generation, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gen == gen {
		b.rewind()
		b.finish()
	}
}

// rewind leaves a link that is lost: what was under way on it is due again.
func (b *outbox) rewind() {
	b.link, b.gen, b.full, b.next = nil, 0, false, b.head
	for seq := b.head; seq < b.tail; seq = max(seq+1, b.head) {
		s := b.at(seq)
		if !s.under {
			continue
		}
		b.landed(s)
		s.doubt = true
		if s.dropped {
			b.remove(seq)
		}
	}
}

// finish frees the oldest slots, whose outcomes are known, as far as nobody has to be called. Then it sees to it that somebody is.
func (b *outbox) finish() {
	for s := b.oldest(); s != nil; s = b.oldest() {
		if !s.calls() {
			b.free(s)
			continue
		}
		if !b.telling {
			b.telling = true
			go b.tell(nil, 0)
		}
		return
	}
	b.hush()
}

// oldest returns the oldest slot if its outcome is known, as that of all is when the outbox has ended.
func (b *outbox) oldest() *slot {
	if b.used == 0 {
		return nil
	}
	s := b.at(b.head)
	if !s.known && b.cause != nil {
		s.known, s.err = true, endedBy(s.doubt || s.under, b.cause)
	}
	if !s.known {
		return nil
	}
	return s
}

// free frees the oldest slot.
func (b *outbox) free(s *slot) {
	if s.wait != nil {
		s.wait <- s.err
	}
	b.remove(b.head)
}

// calls reports whether a done function is to be called with the outcome.
func (o *order) calls() bool { return o.done != nil || o.each != nil }

// tale is an outcome for a done function.
type tale struct {
	done func(error)
	each func(i int, err error)
	i    int
	err  error
}

// tell calls the done functions that are to be called, in order, those of batch from the i-th on first, for as long as there
// are any. Meanwhile what else has an outcome keeps its place in the window: a function that takes its time holds up who sends.
func (b *outbox) tell(batch []tale, i int) {
	over := false
	defer func() {
		if !over { // a done function has ended the goroutine, not what others wait for
			go b.tell(batch, i)
		}
	}()
	b.caller.Store(goroutine.ID())
	for !over {
		for i < len(batch) {
			i++
			b.call(&batch[i-1])
		}
		clear(batch)
		b.mu.Lock()
		batch, i = b.harvest(batch[:0]), 0
		if over = len(batch) == 0; over {
			b.telling = false
			b.caller.Store(0)
			b.hush()
		}
		b.mu.Unlock()
	}
}

// harvest frees the oldest slots, whose outcomes are known, and adds to batch who is to be called.
func (b *outbox) harvest(batch []tale) []tale {
	for s := b.oldest(); s != nil; s = b.oldest() {
		if s.calls() {
			batch = append(batch, tale{s.done, s.each, s.i, s.err})
		}
		b.free(s)
	}
	return batch
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
