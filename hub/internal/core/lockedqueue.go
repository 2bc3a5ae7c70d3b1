package core

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// A locked queue is one of the service's own: feedback.go and filenotification.go
// say what each imitates. Records are read under a lock, and then completed or
// abandoned; what is not settled in time can be read again. It is bounded where the
// service is not known to be: the oldest record makes room.

// lockedRecord is what such a queue holds. It goes to the store as JSON.
type lockedRecord interface {
	queuedAt() time.Time // never before that of the record before it
}

type lockedQueue[T lockedRecord] struct {
	core *Core
	lockedRules
	arrived notifier
	bell    bell

	mu    sync.Mutex // a leaf, but for the bell: may be taken while an entity is locked
	items []*lockedItem[T]
	next  uint64
	due   time.Time // no lock ends before; zero when there is none
	timer *timer    // for due
}

// lockedRules are what tells one queue from another. They do not change.
type lockedRules struct {
	what       string // for errors: "feedback"
	kind       store.Kind
	ttl        time.Duration
	lock       time.Duration
	deliveries int // abandoned so often, a record is dropped
	max        int // records
}

type lockedItem[T any] struct {
	record T
	seq    uint64
	count  int    // deliveries before; not in the store
	token  string // of the lock; empty for none
	until  time.Time
}

// Batch is what was read from a queue under one lock.
type Batch[T any] struct {
	LockToken     string
	EnqueuedTime  time.Time // of the oldest record
	DeliveryCount int       // how often the oldest record was delivered before
	Records       []T
}

// add queues a record. A store that fails costs it its durability only, and is
// logged: what the record tells of has happened already.
func (q *lockedQueue[T]) add(record T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sweep()
	if len(q.items) >= q.max {
		q.removeOldest()
	}
	q.next++
	it := &lockedItem[T]{record: record, seq: q.next}
	b, err := json.Marshal(record)
	if err == nil {
		_, err = q.core.store.Put(context.Background(), q.key(it), b, 0)
	}
	if err != nil {
		q.core.cfg.Log.Error(q.what+": a record was not stored", "error", err)
	}
	q.items = append(q.items, it)
	q.ready()
}

// ready tells who waits that there is something. The caller holds the lock.
func (q *lockedQueue[T]) ready() {
	q.arrived.broadcast()
	q.bell.ring()
}

// restore takes in a record of the store; they come in the order of their numbers.
func (q *lockedQueue[T]) restore(r store.Record) error {
	it := &lockedItem[T]{seq: r.Key.Seq}
	if err := json.Unmarshal(r.Value, &it.record); err != nil {
		return err
	}
	q.items = append(q.items, it)
	q.next = it.seq
	return nil
}

func (q *lockedQueue[T]) key(it *lockedItem[T]) store.Key {
	return store.Key{Kind: q.kind, Seq: it.seq}
}

// erase takes a record out of the store. The caller holds the lock.
func (q *lockedQueue[T]) erase(it *lockedItem[T]) {
	if err := q.core.store.Delete(context.Background(), q.key(it)); err != nil {
		q.core.cfg.Log.Error(q.what+": a record was not deleted", "error", err)
	}
}

// removeOldest drops the oldest record. The caller holds the lock.
func (q *lockedQueue[T]) removeOldest() {
	q.erase(q.items[0])
	q.items[0] = nil
	q.items = q.items[1:]
}

// removeIf drops the records that doomed picks. The caller holds the lock.
func (q *lockedQueue[T]) removeIf(doomed func(*lockedItem[T]) bool) {
	q.items = slices.DeleteFunc(q.items, func(it *lockedItem[T]) bool {
		if !doomed(it) {
			return false
		}
		q.erase(it)
		return true
	})
}

// sweep ends locks and lives whose time has come. The caller holds the lock.
func (q *lockedQueue[T]) sweep() {
	now := time.Now()
	if !q.due.IsZero() && !now.Before(q.due) {
		q.due = time.Time{}
		for _, it := range q.items {
			switch {
			case it.token == "":
			case !now.Before(it.until):
				it.token = ""
				q.ready()
			default:
				q.expect(it.until)
			}
		}
	}
	// Records are in the order of their time, so only the front can be too old.
	for len(q.items) > 0 && q.items[0].token == "" && now.Sub(q.items[0].record.queuedAt()) >= q.ttl {
		q.removeOldest()
	}
}

// expect sees to it that the end of a lock is not missed. The caller holds the lock of
// the queue.
func (q *lockedQueue[T]) expect(until time.Time) {
	if !q.due.IsZero() && !until.Before(q.due) {
		return
	}
	q.due = until
	q.timer.stop()
	q.timer = q.core.timers.after(time.Until(until), func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.sweep()
	})
}

// close ends the timer; the queue's core lets no other begin.
func (q *lockedQueue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer.stop()
}

// forget drops the records that doomed picks.
func (q *lockedQueue[T]) forget(doomed func(T) bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.removeIf(func(it *lockedItem[T]) bool { return doomed(it.record) })
}

// take locks up to max records, or returns nil when there are none.
func (q *lockedQueue[T]) take(max int) *Batch[T] {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sweep()
	var b Batch[T]
	for _, it := range q.items {
		if it.token != "" {
			continue
		}
		if len(b.Records) == max {
			break
		}
		if len(b.Records) == 0 {
			b = Batch[T]{LockToken: NewGUID(), EnqueuedTime: it.record.queuedAt(), DeliveryCount: it.count}
		}
		it.token, it.until = b.LockToken, time.Now().Add(q.lock)
		q.expect(it.until)
		b.Records = append(b.Records, it.record)
	}
	if len(b.Records) == 0 {
		return nil
	}
	return &b
}

// wait is take that waits for a record until ctx ends.
func (q *lockedQueue[T]) wait(ctx context.Context, max int) (*Batch[T], error) {
	op := "receive " + q.what
	for {
		if err := q.core.Open(op); err != nil {
			return nil, err
		}
		arrived := q.arrived.wait()
		if b := q.take(max); b != nil {
			return b, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Err: ctx.Err()}
		case <-q.core.life.Done():
			return nil, ended(op, errClosing)
		}
	}
}

// settle ends a batch: Complete and Reject remove its records, Abandon gives
// them back. The code is MessageLockLost when the lock is over.
func (q *lockedQueue[T]) settle(token string, d hubwire.Disposition) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sweep()
	mine := func(it *lockedItem[T]) bool { return it.token == token && token != "" }
	if !slices.ContainsFunc(q.items, mine) {
		return refuse("settle "+q.what, hubwire.MessageLockLost, "no %s is locked by the lock token %.36q", q.what, token)
	}
	if d != hubwire.Abandon {
		q.removeIf(mine)
		return nil
	}
	q.removeIf(func(it *lockedItem[T]) bool { return mine(it) && it.count+1 >= q.deliveries })
	for _, it := range q.items {
		if mine(it) {
			it.token = ""
			it.count++
		}
	}
	q.ready()
	return nil
}

// release gives back a batch whose reader is gone, with the delivery counts as they were.
func (q *lockedQueue[T]) release(token string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range q.items {
		if it.token == token && token != "" {
			it.token = ""
		}
	}
	q.sweep()
	q.ready()
}
