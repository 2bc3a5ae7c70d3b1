package links

import (
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// up is told by the link that it is attached.
func (b *outbox) up(gen generation, link *amqpclient.Sender) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause != nil || link.Err() != nil { // or down may have been told already
		return
	}
	b.rewind() // of another one, whose end is still to be told
	b.link, b.gen = link, gen
	b.flush()
}

// ready is told by the connection that it may take more.
func (b *outbox) ready() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = false
	b.flush()
}

// due reports whether something can be sent, and moves next to it.
func (b *outbox) due() bool {
	if b.link == nil || b.full || b.paused || b.cause != nil {
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
	return !s.free && !s.known && !s.held && !s.under
}

// flush gives the connection what is due, one transfer after the other, as far as it takes it.
func (b *outbox) flush() {
	if !b.due() {
		return
	}
	buf := transfers.Get().(*[]byte)
	defer putTransfer(buf)
	for b.due() {
		b.transfer(buf)
	}
	b.finish() // what is too large
}

// transfer gives the connection a transfer: one message, or as many as may share one.
func (b *outbox) transfer(buf *[]byte) {
	limit := b.link.MaxMessageSize()
	if limit == 0 {
		limit = 1 << 62
	}
	first, n := b.next, 1
	s := b.at(first)
	msg := amqp.AppendToBatch((*buf)[:0], s.m)
	if uint64(len(msg)) > limit {
		*buf = msg
		s.known, s.err = true, tooLarge(len(msg), limit)
		return
	}
	for seq := first + 1; s.share && seq < b.tail && n < amqp.MaxBatch && b.isDue(seq) && b.at(seq).share; seq++ {
		more := amqp.AppendToBatch(msg, b.at(seq).m)
		if uint64(len(more)) > min(limit, maxTransfer) {
			break
		}
		msg = more
		n++
	}
	*buf = msg
	ok, err := b.link.TrySend(msg, amqpclient.Outgoing{Format: amqp.BatchFormat, Token: first})
	if !ok || err != nil {
		b.full = true // until it says that it is ready, or has ended
		return
	}
	s.span = n
	for i := range uint64(n) {
		b.at(first + i).under = true
	}
	if b.under == 0 {
		b.since = time.Now()
		b.watch(b.o.ackTimeout)
	}
	b.under += n
	b.next = first + uint64(n)
}

// maxTransfer is how many bytes messages that share a transfer may have together: those of IoT Hub's
// limit for a batch.
const maxTransfer = hubwire.MaxTelemetrySize

// transfers are rooms in which transfers are made.
var transfers = sync.Pool{New: func() any { return new([]byte) }}

// putTransfer gives a room back, unless it has grown by one that is seldom. The pool is emptied when nothing is sent.
func putTransfer(buf *[]byte) {
	if cap(*buf) <= 2*maxTransfer {
		transfers.Put(buf)
	}
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
	gen, waits := b.gen, b.under > 0
	left := b.o.ackTimeout - time.Since(b.since)
	if waits && left > 0 {
		b.watch(left)
	}
	b.mu.Unlock()
	if waits && left <= 0 {
		b.o.stalled(gen, errAckTimeout)
	}
}
