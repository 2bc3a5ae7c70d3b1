package mqtt

import (
	"sync"
	"time"
)

// outbox holds the publishes of a session, each as the packet that goes on the
// wire, from the moment one is accepted until it is acknowledged, across
// connections. What is written, and written again, are ranges of its chunks:
// the one copy of a message is the encoding itself.
//
// Slots are a ring in the order of acceptance. A publish has its packet
// identifier from its place in that order, so that an acknowledgement finds
// its slot by arithmetic, without a map.
type outbox struct {
	ring  []slot // a power of two long
	head  uint64 // the oldest slot; not free, unless it is next or tail
	next  uint64 // the first slot that this connection has not been given
	tail  uint64
	used  int    // slots that are not free: what the window counts
	bytes int    // the size of their packets
	sent  int    // QoS 1 slots that this connection was given and has not acknowledged
	cur   *chunk // where the next packet goes; nil when it needs a new one

	moved time.Duration // when the oldest was acknowledged last
}

// slot is one publish.
type slot struct {
	c      *chunk
	off, n int32
	op     completion
	sentAt time.Duration // when last given to a connection
	qos    QoS
	free   bool // acknowledged, or withdrawn: only its place in the ring is left
	sent   bool // given to a connection at least once
}

// completion is who wants to know what became of a publish; both may be nil.
type completion struct {
	wait *waiter
	done func(error)
}

// publishIDs is how many packet identifiers publishes take in turn, from 1;
// those above are for SUBSCRIBE and UNSUBSCRIBE.
const publishIDs = 0xefff

// maxSpan bounds the ring: slots, free or not, behind one that is never
// acknowledged. It is less than publishIDs, so that an identifier in use is not given out.
const maxSpan = 2 * maxWindow

func publishID(seq uint64) uint16 { return uint16(seq%publishIDs) + 1 }

func (o *outbox) at(seq uint64) *slot { return &o.ring[seq&uint64(len(o.ring)-1)] }

// full reports that the ring has no place, whatever the window says, when so many are promised.
func (o *outbox) full(promised int) bool { return o.tail-o.head+uint64(promised) >= maxSpan }

// add encodes p, which passed Check, as the newest publish.
func (o *outbox) add(p *Publish, op completion) (seq uint64) {
	if int(o.tail-o.head) == len(o.ring) {
		o.grow()
	}
	seq = o.tail
	o.tail++
	n := p.Size()
	if o.cur == nil || cap(o.cur.buf)-len(o.cur.buf) < n {
		o.dropSpare()
		o.cur = newChunk(n, o.bytes)
	}
	c, off := o.cur, len(o.cur.buf)
	p.ID = publishID(seq)
	c.buf = p.AppendTo(c.buf)
	c.refs++
	s := o.at(seq) // sent and sentAt are zero, as remove and grow leave them; a whole slot would be made on the stack first
	s.c, s.off, s.n, s.op, s.qos, s.free = c, int32(off), int32(n), op, p.QoS, false
	o.used++
	o.bytes += n
	return seq
}

func (o *outbox) grow() {
	old := o.ring
	o.ring = make([]slot, max(8, 2*len(old)))
	for i := o.head; i < o.tail; i++ {
		*o.at(i) = old[i&uint64(len(old)-1)]
	}
}

// maxWrite is the most that one write takes of small packets.
const maxWrite = largeChunk

// take gives the next packets that are to be written: b is a range of c, which
// the caller releases when it is written. loose says whether one of
// [from, to) has QoS 0. b is nil when there is nothing.
func (o *outbox) take(now time.Duration) (b []byte, c *chunk, from, to uint64, loose bool) {
	var off, end int32
	for o.next = max(o.next, o.head); o.next < o.tail; o.next++ {
		s := o.at(o.next)
		if s.free {
			continue
		}
		if c == nil {
			c, off, end, from = s.c, s.off, s.off, o.next
		}
		if s.c != c || s.off != end || int(end-off+s.n) > max(maxWrite, int(s.n)) {
			break
		}
		end += s.n
		s.sent, s.sentAt = true, now
		if s.qos == AtMostOnce {
			loose = true
		} else {
			o.sent++
		}
	}
	if c == nil {
		return nil, nil, 0, 0, false
	}
	c.refs++
	return c.buf[off:end:end], c, from, o.next, loose
}

// acked returns the place of the QoS 1 publish that id acknowledges, if this
// connection was given one.
func (o *outbox) acked(id uint16) (seq uint64, ok bool) {
	if id-1 >= publishIDs || o.head == o.tail {
		return 0, false
	}
	ahead := (uint64(id) + publishIDs - uint64(publishID(o.head))) % publishIDs
	seq = o.head + ahead
	if seq >= o.next {
		return 0, false
	}
	s := o.at(seq)
	return seq, !s.free && s.qos != AtMostOnce
}

// remove frees a slot and returns who wants to know.
func (o *outbox) remove(seq uint64) completion {
	s := o.at(seq)
	op := s.op
	o.used--
	o.bytes -= int(s.n)
	if seq < o.next && s.qos != AtMostOnce {
		o.sent--
	}
	o.release(s.c)
	*s = slot{free: true}
	for o.head < o.tail && o.at(o.head).free {
		o.head++
	}
	o.next = max(o.next, o.head)
	return op
}

// release gives a reference to c up, and c itself with the last.
func (o *outbox) release(c *chunk) {
	c.refs--
	switch {
	case c.refs > 0:
	case c != o.cur:
		c.recycle()
	case cap(c.buf) == smallChunk:
		c.buf = c.buf[:0] // kept for who sends one at a time, until trim
	default:
		o.cur = nil
		c.recycle()
	}
}

// oldest returns since when an acknowledgement is waited for: that of the oldest
// publish that this connection was given, if there is one, once those before it are acknowledged.
// So a slow link that carries a long window is not taken for a dead one.
func (o *outbox) oldest() (at time.Duration, ok bool) {
	for i := o.head; i < o.next; i++ {
		if s := o.at(i); !s.free && s.qos != AtMostOnce {
			return max(s.sentAt, o.moved), true
		}
	}
	return 0, false
}

// rewind makes everything due again, on a new connection: what was sent before
// gets the DUP flag [MQTT-3.3.1-1] and comes first, since it is older.
func (o *outbox) rewind() {
	for i := o.head; i < o.next; i++ {
		if s := o.at(i); !s.free {
			Packet(s.c.buf[s.off : s.off+s.n]).SetDup()
		}
	}
	o.next, o.sent = o.head, 0
}

// trim gives memory up that an idle session does not need.
func (o *outbox) trim() {
	if o.used == 0 {
		o.ring = nil // head is at tail: nothing is looked up
		o.dropSpare()
	}
}

// dropSpare gives the current chunk up if it is empty and no write has it.
func (o *outbox) dropSpare() {
	if o.cur != nil && o.cur.refs == 0 {
		o.cur.recycle()
		o.cur = nil
	}
}

// chunk is memory for packets. It lives until the last of them is acknowledged
// and no write uses it.
type chunk struct {
	buf  []byte
	refs int // packets and writes
}

// Chunk sizes: the first message of an idle session should not tie up what a
// burst needs, nor a burst be cut into many writes.
const (
	smallChunk  = 2 << 10
	middleChunk = 16 << 10
	largeChunk  = 64 << 10
)

var smallChunks, middleChunks, largeChunks sync.Pool

func poolOf(size int) *sync.Pool {
	switch size {
	case smallChunk:
		return &smallChunks
	case middleChunk:
		return &middleChunks
	case largeChunk:
		return &largeChunks
	}
	return nil
}

// newChunk returns an empty chunk with room for n, in an outbox that holds
// that many bytes already.
func newChunk(n, held int) *chunk {
	size := largeChunk
	switch total := held + n; {
	case n > largeChunk:
		size = n
	case total <= smallChunk:
		size = smallChunk
	case total <= middleChunk:
		size = middleChunk
	}
	if p := poolOf(size); p != nil {
		if c, ok := p.Get().(*chunk); ok {
			return c
		}
	}
	return &chunk{buf: make([]byte, 0, size)}
}

func (c *chunk) recycle() {
	if p := poolOf(cap(c.buf)); p != nil {
		c.buf = c.buf[:0]
		p.Put(c)
	}
}
