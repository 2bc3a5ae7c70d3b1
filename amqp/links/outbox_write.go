package links

import (
	"context"
	"slices"
	"sync"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// kick sees to it that what is due is written.
func (b *outbox) kick() {
	if !b.writing && b.due() {
		b.writing = true
		go b.write()
	}
}

// due reports whether something is to be written, and moves next to it.
func (b *outbox) due() bool {
	if b.cause != nil || b.paused || b.now != nil && b.now.lost {
		return false
	}
	for b.next = max(b.next, b.head); b.next < b.tail; b.next++ {
		if b.isDue(b.next) {
			return true
		}
	}
	return false
}

func (b *outbox) isDue(seq uint64) bool {
	s := b.at(seq)
	return !s.free && !s.known && !s.held && s.round == nil
}

// write gives go-amqp what is due, one transfer after the other, for as long as there is anything.
// Then it waits for outcomes, unless another goroutine does.
func (b *outbox) write() {
	p := parcels.Get().(*parcel)
	b.mu.Lock()
	for b.due() {
		r := b.nowLocked()
		if r.link == nil {
			b.mu.Unlock()
			b.attach(r)
			b.mu.Lock()
			continue
		}
		first, ok := b.load(p, r)
		if !ok {
			continue
		}
		b.mu.Unlock()
		receipt, err := r.link.SendWithReceipt(handover{r.ctx}, &p.message, nil)
		if err != nil {
			b.lose(r, err, b.out.failed)
		}
		b.mu.Lock()
		if err == nil && first >= b.head && b.at(first).round == r {
			s := b.at(first)
			s.receipt, s.span = receipt, len(p.ends)
			if !b.settling && b.due() {
				b.settling = true
				go b.settle()
			}
		}
	}
	b.writing = false
	settle := !b.settling && b.settleable()
	b.settling = b.settling || settle
	b.hush()
	b.mu.Unlock()
	p.put()
	if settle {
		b.settle()
	}
}

// nowLocked returns the round, which it begins if there is none.
func (b *outbox) nowLocked() *round {
	if b.now == nil {
		r := new(round)
		r.ctx, r.cut = context.WithCancel(b.life)
		b.now = r
	}
	return b.now
}

// attach waits for the link of a round.
func (b *outbox) attach(r *round) {
	link, gen, err := b.out.link(r.ctx)
	if err != nil && r.ctx.Err() == nil {
		b.abort(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r != b.now:
	case err != nil: // it was cut
		b.now = nil
	default:
		r.link, r.gen = link, gen
	}
}

// maxTransfer is how many bytes messages that share a transfer may have together: those of IoT Hub's
// limit for a batch.
const maxTransfer = hubwire.MaxTelemetrySize

// load puts what is due into p: one message, or as many as may share a transfer, and from now on they are
// under way. A message that is larger than the link takes has its outcome; then there is no transfer.
func (b *outbox) load(p *parcel, r *round) (first uint64, ok bool) {
	first = b.next
	limit := r.link.MaxMessageSize()
	if limit == 0 {
		limit = 1 << 62
	}
	p.clear()
	s := b.at(first)
	if s.share { // with others: there is room for all of them at once
		p.buf = slices.Grow(p.buf, min(b.bytes, maxTransfer))
	}
	size := p.add(s.m)
	if uint64(size) > limit {
		s.known, s.err = true, tooLarge(size, limit)
		return first, false
	}
	b.give(first, r)
	for seq := first + 1; s.share && seq < b.tail && b.isDue(seq) && b.at(seq).share && len(p.ends) < amqp.MaxBatch; seq++ {
		size += p.add(b.at(seq).m)
		if uint64(size) > min(limit, maxTransfer) {
			p.drop()
			break
		}
		b.give(seq, r)
	}
	p.wrap()
	return first, true
}

// give marks a message as under way.
func (b *outbox) give(seq uint64, r *round) {
	s := b.at(seq)
	s.round, s.span = r, 0
	if b.under == 0 {
		b.since = time.Now()
		b.watch(b.o.ackTimeout)
	}
	b.under++
	b.next = seq + 1
}

// watch has check called in d, if it is not to be called anyway.
func (b *outbox) watch(d time.Duration) {
	switch {
	case b.o.ackTimeout <= 0 || b.timing || b.cause != nil:
		return
	case b.timer == nil:
		b.timer = time.AfterFunc(d, b.check)
	default:
		b.timer.Reset(d)
	}
	b.timing = true
}

// check looks whether the oldest message has waited too long for its outcome.
func (b *outbox) check() {
	b.mu.Lock()
	b.timing = false
	r := b.now
	waits := b.under > 0
	left := b.o.ackTimeout - time.Since(b.since)
	if waits && left > 0 {
		b.watch(left)
	}
	b.mu.Unlock()
	if waits && left <= 0 && r != nil {
		b.lose(r, errAckTimeout, b.out.stalled)
	}
}

// parcel is a transfer to be. Each data section is a message, as the C SDK sends also a single one: go-amqp, which
// would make maps of a message's properties, has none to encode.
type parcel struct {
	message goamqp.Message
	buf     []byte
	ends    []int // of the messages in buf
}

var parcels = sync.Pool{New: func() any { return &parcel{message: goamqp.Message{Format: amqp.BatchFormat}} }}

func (p *parcel) clear() { p.buf, p.ends = p.buf[:0], p.ends[:0] }

// add encodes one more message, and returns how much larger the transfer gets.
func (p *parcel) add(m *hubwire.Message) int {
	before := len(p.buf)
	p.buf = amqp.AppendTelemetry(p.buf, m)
	p.ends = append(p.ends, len(p.buf))
	return sectionHead + len(p.buf) - before
}

// sectionHead is the most that the head of a data section takes.
const sectionHead = 8

// drop takes the last message out, which is not the only one.
func (p *parcel) drop() {
	p.ends = p.ends[:len(p.ends)-1]
	p.buf = p.buf[:p.ends[len(p.ends)-1]]
}

// wrap makes the transfer of what was added.
func (p *parcel) wrap() {
	p.message.Data = p.message.Data[:0]
	at := 0
	for _, end := range p.ends {
		p.message.Data = append(p.message.Data, p.buf[at:end])
		at = end
	}
}

// put gives p back, unless it has grown by one that is seldom. The pool is emptied when nothing is sent.
func (p *parcel) put() {
	const kept = 2 * maxTransfer
	if cap(p.buf) <= kept && cap(p.ends) <= amqp.MaxBatch {
		clear(p.message.Data)
		parcels.Put(p)
	}
}
