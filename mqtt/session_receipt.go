package mqtt

import (
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/loss"
)

// Delivery is an incoming message and the means to acknowledge it. The Publish
// is a view of the read buffer: it holds until OnDelivery returns. The Receipt
// can be kept.
type Delivery struct {
	Publish
	Receipt Receipt // acknowledges it, once
}

// Receipt acknowledges one message with QoS 1. The zero Receipt, which comes
// with QoS 0, has nothing to acknowledge. It is comparable: a message that the
// server sends again on the same connection, with DUP, before it has the PUBACK (IoT Hub's
// lock on it ran out) comes with the same Receipt, or not at all when that has been acknowledged.
type Receipt struct {
	s   *Session
	l   *link
	seq uint64
}

// Ack tells the server that the message is dealt with, from any goroutine, at
// any time, in any order. It does not block.
//
// A server wants its PUBACKs in the order of its deliveries, so one that comes early
// is held back until those before it are acknowledged too. nil means that the
// PUBACK is on its way, or held back so; as every acknowledgement it can still
// be lost with the connection, and the server then delivers again. A second
// Ack does nothing.
//
// Once the connection that brought the message has gone, the error is a
// *hubwire.Error with code [hubwire.MessageLockLost] that matches
// [net.ErrClosed]: the server delivers the message again. It does not allocate
// but for that error.
func (r Receipt) Ack() error {
	if r.s == nil {
		return nil
	}
	s := r.s
	s.mu.Lock()
	l := r.l
	if l != s.link || l.dead != nil {
		cause := l.dead
		s.mu.Unlock()
		return &hubwire.Error{
			Op: "acknowledge", Code: hubwire.MessageLockLost, Outcome: hubwire.NotSent,
			Message: "the connection that brought the message has gone", Err: &loss.Error{Text: "mqtt: connection lost", Err: cause},
		}
	}
	if l.inbox.ack(r.seq) {
		s.ctl = l.inbox.appendAcks(s.ctl)
	}
	s.kickUnlock(l, l.reading)
	return nil
}

// inbox is the QoS 1 messages of one connection that wait for their PUBACK, in
// the order of delivery.
type inbox struct {
	ring       []inboxSlot // a power of two long
	head, tail uint64
}

type inboxSlot struct {
	id    uint16
	acked bool
}

// maxInbox is all packet identifiers there are: a server that sends more
// without having an acknowledgement is using one twice.
const maxInbox = 65535

// add takes a delivery in, or reports that there are too many.
func (b *inbox) add(id uint16) (seq uint64, ok bool) {
	n := int(b.tail - b.head)
	if n == maxInbox {
		return 0, false
	}
	if n == len(b.ring) {
		ring := make([]inboxSlot, max(8, 2*n))
		for i := b.head; i < b.tail; i++ {
			ring[i&uint64(len(ring)-1)] = b.ring[i&uint64(n-1)]
		}
		b.ring = ring
	}
	seq = b.tail
	b.ring[seq&uint64(len(b.ring)-1)] = inboxSlot{id: id}
	b.tail++
	return seq, true
}

// find returns the place of an open delivery with that identifier, and whether
// it is acknowledged and held back.
func (b *inbox) find(id uint16) (seq uint64, acked, ok bool) {
	for i := b.head; i < b.tail; i++ {
		if slot := b.ring[i&uint64(len(b.ring)-1)]; slot.id == id {
			return i, slot.acked, true
		}
	}
	return 0, false, false
}

// ack marks a delivery and reports whether it is the one that others wait for.
func (b *inbox) ack(seq uint64) bool {
	if seq < b.head || seq >= b.tail {
		return false
	}
	b.ring[seq&uint64(len(b.ring)-1)].acked = true
	return seq == b.head
}

// appendAcks appends the PUBACKs that are due, and forgets their deliveries.
func (b *inbox) appendAcks(dst []byte) []byte {
	for b.head < b.tail {
		slot := b.ring[b.head&uint64(len(b.ring)-1)]
		if !slot.acked {
			break
		}
		dst = appendAck(dst, byte(TypePuback)<<4, slot.id)
		b.head++
	}
	return dst
}
