package core

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// This is the queue behind cloud-to-device messages; see c2d.go for what it
// imitates. A queue is short, so everything is a walk over it. It has one
// timer, for the first lock or life that ends; what is settled before its time
// leaves the timer alone, which then fires for nothing.

type queue struct {
	items []*queued // in order of seq, which is the order of delivery
	next  uint64    // last sequence number given
	due   time.Time // no lock or life ends before; zero when there is none to end
	timer *timer    // for due
	room  notifier  // a message left

	// lost counts the deliveries that ended otherwise than by a settlement of the
	// session that had them. It may be read without the lock.
	lost atomic.Uint64
}

// queued is a message in a queue.
type queued struct {
	seq      uint64
	version  uint64
	msg      hubwire.Message // never changed
	input    string
	enqueued time.Time
	expires  time.Time
	count    int // deliveries before, as far as they count

	lock      string // token; empty when visible
	until     time.Time
	holder    *Session // that locked it; nil for a lock without a session
	delivered bool     // before, whether it counted or not
}

func (q *queued) feature() Feature {
	if q.input != "" {
		return FeatureInputs
	}
	return FeatureC2D
}

func (e *entity) queueKey(seq uint64) store.Key {
	return store.Key{Kind: store.Queue, ID: e.id, Seq: seq}
}

// ready tells the link that q, or something behind it, can be had. The caller holds the lock.
func (e *entity) ready(q *queued) {
	if s := e.session; s != nil && s.features().has(q.feature()) {
		e.post(s.ready)
	}
}

// sweep makes locks end and messages expire whose time has come, and returns
// the time. The link hears of both: what has expired may have stood in the way
// of others. The caller holds the lock.
func (e *entity) sweep() time.Time {
	now := time.Now()
	if e.queue.due.IsZero() || now.Before(e.queue.due) {
		return now
	}
	for _, q := range slices.Clone(e.queue.items) {
		if q.lock != "" && !now.Before(q.until) {
			q.release()
			e.queue.lost.Add(1)
			e.ready(q)
		}
		if q.lock == "" && !now.Before(q.expires) {
			e.drop(q, StatusExpired)
			e.ready(q)
		}
	}
	e.queue.due = time.Time{}
	for _, q := range e.queue.items {
		e.expect(q)
	}
	return now
}

// expect sees to it that the end of q's lock, or else of its life, is not
// missed. The caller holds the lock.
func (e *entity) expect(q *queued) {
	at := q.expires
	if q.lock != "" {
		at = q.until
	}
	if !e.queue.due.IsZero() && !at.Before(e.queue.due) {
		return
	}
	e.queue.due = at
	e.queue.timer.stop()
	e.queue.timer = e.core.timers.after(time.Until(at), func() {
		e.mu.Lock()
		defer e.unlock()
		e.sweep()
	})
}

func (q *queued) release() { q.lock, q.holder = "", nil }

// drop takes q out of the queue and tells its sender. The caller holds the lock.
func (e *entity) drop(q *queued, status FeedbackStatus) {
	if err := e.dequeue(context.Background(), q); err != nil {
		// It is gone for this process; after a restart it will expire again.
		e.post(func() { e.core.cfg.Log.Error("c2d: a record was not deleted", "device", e.id, "error", err) })
		e.forget(q)
	}
	e.queue.lost.Add(1)
	e.tell(q, status)
}

// dequeue removes q, also from the store. The caller holds the lock.
func (e *entity) dequeue(ctx context.Context, q *queued) error {
	if err := e.core.store.Delete(ctx, e.queueKey(q.seq)); err != nil {
		return err
	}
	e.forget(q)
	return nil
}

func (e *entity) forget(q *queued) {
	if i := slices.Index(e.queue.items, q); i >= 0 {
		e.queue.items = slices.Delete(e.queue.items, i, i+1)
	}
	e.queue.room.broadcast()
}

// next locks the first visible message that the features allow, or returns
// nil. The caller holds the lock.
func (e *entity) next(f Feature, holder *Session, lock time.Duration) *hubwire.Received {
	now := e.sweep()
	for _, q := range e.queue.items {
		if q.visibleTo(f) {
			r := new(hubwire.Received)
			e.deliver(q, holder, now.Add(lock), r)
			return r
		}
	}
	return nil
}

func (q *queued) visibleTo(f Feature) bool { return q.lock == "" && f.has(q.feature()) }

// deliver locks q, which is visible, and sets r, which is zero, to it. The caller holds the lock.
func (e *entity) deliver(q *queued, holder *Session, until time.Time, r *hubwire.Received) {
	q.lock, q.holder, q.until = NewGUID(), holder, until
	e.expect(q)
	r.Message, r.Input = q.msg, q.input
	r.SequenceNumber, r.EnqueuedTime, r.DeliveryCount = int64(q.seq), q.enqueued, q.count
	r.LockToken, r.Redelivered = q.lock, q.delivered
	q.delivered = true
}

// settle ends a delivery. The caller holds the lock, and has swept.
func (e *entity) settle(ctx context.Context, op, token string, d hubwire.Disposition) error {
	i := slices.IndexFunc(e.queue.items, func(q *queued) bool { return q.lock == token && token != "" })
	if i < 0 {
		return refuse(op, hubwire.MessageLockLost, "no message is locked by the lock token %.36q", token)
	}
	q := e.queue.items[i]
	switch d {
	case hubwire.Complete, hubwire.Reject:
		if err := e.dequeue(ctx, q); err != nil {
			return broken(op, err)
		}
		if q.holder == nil {
			e.queue.lost.Add(1)
		}
		status := StatusSuccess
		if d == hubwire.Reject {
			status = StatusRejected
		}
		e.tell(q, status)
		return nil
	case hubwire.Abandon:
		return e.abandon(ctx, op, q)
	}
	return refuse(op, hubwire.ArgumentInvalid, "disposition %d is unknown", d)
}

func (e *entity) abandon(ctx context.Context, op string, q *queued) error {
	if q.count+1 >= e.core.cfg.MaxDeliveryCount {
		if err := e.dequeue(ctx, q); err != nil {
			return broken(op, err)
		}
		e.queue.lost.Add(1)
		e.tell(q, StatusDeliveryCountExceeded)
		return nil
	}
	q.count++
	v, err := e.core.store.Put(ctx, e.queueKey(q.seq), q.encode(), q.version)
	if err != nil {
		q.count--
		return broken(op, err)
	}
	q.version = v
	q.release()
	e.expect(q)
	e.sweep() // it may have expired while it was locked
	if slices.Contains(e.queue.items, q) {
		e.ready(q)
	}
	return nil
}

// release gives back what s holds for one of these features. The caller holds the lock.
func (e *entity) release(s *Session, f Feature) {
	for _, q := range e.queue.items {
		if q.lock != "" && q.holder == s && f.has(q.feature()) {
			q.release()
			e.expect(q)
			e.ready(q)
		}
	}
	e.sweep()
}

// NewGUID returns a random GUID: a lock token, or the id of a request.
func NewGUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562 version 4
	text := make([]byte, 0, 36)
	for i, part := range [...][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}

func (q *queued) encode() []byte {
	b := make([]byte, 0, 128+q.msg.Size()+len(q.msg.To)+4*len(q.msg.Properties)) // mostly enough
	b = appendTime(appendTime(append(b, recordFormat), q.enqueued), q.expires)
	b = binary.AppendUvarint(b, uint64(q.count))
	return appendMessage(appendString(b, q.input), &q.msg)
}

func decodeQueued(rec store.Record) (*queued, error) {
	if len(rec.Value) == 0 || rec.Value[0] != recordFormat {
		return nil, errRecord
	}
	r := recordReader{b: rec.Value[1:]}
	q := &queued{seq: rec.Key.Seq, version: rec.Version}
	q.enqueued, q.expires = r.time(), r.time()
	q.count = int(r.uvarint())
	q.input = r.string()
	r.message(&q.msg)
	q.delivered = q.count > 0
	return q, r.err
}
