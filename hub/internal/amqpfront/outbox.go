package amqpfront

import (
	"slices"
	"sync"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Bounds of what waits for a peer's credit on one link, in bytes.
const (
	// softLimit is where the link whose requests are answered here is held back.
	softLimit = 64 << 10
	// hardLimit is where the link is ended: as much as MQTT gives a peer that does not read.
	hardLimit = 8 << 20
	// allLimit is where a link is ended when all of its connection are meant: who may have one link may have many.
	allLimit = 4 * hardLimit
)

var errSlow = &amqp10.Error{Condition: amqp10.ResourceLimitExceeded, Description: "too much waits for credit"}

// parcel is a message that waits, as it is encoded.
type parcel struct {
	message []byte
	op      *core.Op // to show to the intercept function first; or nil
	cut     bool     // the connection is to be cut behind it
}

// outbox is a link that the hub sends on what it has at hand: answers, methods, notifications.
// Nobody is told what becomes of them. It is an [amqpserver.Sender] but for Detached, which must close it.
type outbox struct {
	conn *conn
	link *amqpserver.Link

	mu      sync.Mutex
	closed  bool
	waiting []parcel
	size    int
	held    []*amqpserver.Link // whose requests are answered here, and that are held back
	judging bool               // the first of waiting is being shown
	count   uint64
}

// push adds a message for whenever the peer has credit. It never waits.
func (o *outbox) push(p parcel) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.waiting = append(o.waiting, p)
	o.size += len(p.message)
	all := o.conn.waiting.Add(int64(len(p.message)))
	full := o.size > hardLimit || all > allLimit
	o.mu.Unlock()
	if full {
		o.link.Detach(errSlow)
		return
	}
	o.link.Wake()
}

// answer is push of an answer to what came by a link, which is held back while too much waits.
func (o *outbox) answer(from *amqpserver.Link, p parcel) {
	o.push(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size > softLimit && !slices.Contains(o.held, from) {
		o.held = append(o.held, from)
		from.Pause()
	}
}

// close drops what waits when the link is gone, and lets those go on that are held back: the peer may attach another
// link for the answers.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.conn.waiting.Add(-int64(o.size))
	o.waiting, o.size = nil, 0
	o.release()
}

// release lets those go on that are held back. The caller holds the lock.
func (o *outbox) release() {
	for _, l := range o.held {
		l.Resume()
	}
	o.held = nil
}

// Next implements [amqpserver.Sender].
func (o *outbox) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 || o.judging {
		return dst, amqpserver.Outgoing{}, false
	}
	p := o.waiting[0]
	if p.op != nil {
		o.judging = true
		o.conn.judge(o.show)
		return dst, amqpserver.Outgoing{}, false
	}
	o.drop()
	if p.cut {
		o.conn.line.last.Store(true)
	}
	o.count++
	return append(dst, p.message...), amqpserver.Outgoing{Token: o.count}, true
}

// drop takes the first one out. The caller holds the lock.
func (o *outbox) drop() {
	n := len(o.waiting[0].message)
	o.size -= n
	o.conn.waiting.Add(-int64(n))
	o.waiting[0] = parcel{}
	if o.waiting = o.waiting[1:]; len(o.waiting) == 0 {
		o.waiting = nil
	}
	if o.size <= softLimit/2 {
		o.release()
	}
}

// show shows the first one to the intercept function.
func (o *outbox) show() {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	op := o.waiting[0].op
	o.mu.Unlock()
	send, cut := o.conn.present(op)
	o.mu.Lock()
	switch {
	case o.closed:
	case send:
		o.waiting[0].op, o.waiting[0].cut = nil, cut
	default:
		o.drop()
	}
	o.judging = false
	o.mu.Unlock()
	o.link.Wake()
}

// Settled implements [amqpserver.Sender]: what becomes of these messages is the peer's business.
func (o *outbox) Settled(uint64, amqp10.State, bool) amqp10.State { return amqp10.Accepted() }
