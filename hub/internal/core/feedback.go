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

// The feedback queue imitates /messages/servicebound/feedback: records for
// senders that asked (ack positive, negative or full), read in batches under
// a lock. Records live one hour and are delivered at most 10 times. It is
// bounded where the service is not known to be: the oldest record makes room.
const (
	feedbackTTL        = time.Hour
	feedbackLock       = time.Minute
	feedbackDeliveries = 10
	maxFeedback        = 10_000
)

// FeedbackStatus says what became of a message.
type FeedbackStatus string

// The statuses.
const (
	StatusSuccess               FeedbackStatus = "Success"
	StatusExpired               FeedbackStatus = "Expired"
	StatusDeliveryCountExceeded FeedbackStatus = "DeliveryCountExceeded"
	StatusRejected              FeedbackStatus = "Rejected"
	StatusPurged                FeedbackStatus = "Purged"
)

// FeedbackRecord tells the sender of a cloud-to-device message what became of it.
type FeedbackRecord struct {
	OriginalMessageID string           `json:"id"`
	Status            FeedbackStatus   `json:"status"`
	Time              time.Time        `json:"time"` // when it became that
	Identity          hubwire.Identity `json:"identity"`
	GenerationID      string           `json:"generation"`
}

// FeedbackBatch is a batch of records under one lock, which lasts one minute.
type FeedbackBatch struct {
	LockToken     string
	EnqueuedTime  time.Time // of the oldest record
	DeliveryCount int       // how often the oldest record was delivered before
	Records       []FeedbackRecord
}

type feedbackQueue struct {
	core    *Core
	arrived notifier

	mu    sync.Mutex // a leaf: may be taken while an entity is locked
	items []*feedbackItem
	next  uint64
	due   time.Time // no lock ends before; zero when there is none
}

type feedbackItem struct {
	FeedbackRecord
	seq   uint64
	count int // deliveries before; not in the store
	lock  string
	until time.Time
}

// wanted reports whether a sender that asked for ack wants to hear of status.
func wanted(ack hubwire.Ack, status FeedbackStatus) bool {
	switch ack {
	case hubwire.AckFull:
		return true
	case hubwire.AckPositive:
		return status == StatusSuccess || status == StatusPurged
	case hubwire.AckNegative:
		return status != StatusSuccess
	}
	return false
}

// add queues a record when q's sender asked for it. The caller holds e's lock.
// A store that fails costs the record its durability only, and is logged: the
// message itself is settled already.
func (f *feedbackQueue) add(e *entity, q *queued, status FeedbackStatus) {
	if !wanted(q.msg.Ack, status) {
		return
	}
	it := &feedbackItem{FeedbackRecord: FeedbackRecord{
		OriginalMessageID: q.msg.ID, Status: status, Time: time.Now().UTC(),
		Identity: e.id, GenerationID: e.dev.GenerationID,
	}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep()
	if len(f.items) >= maxFeedback {
		f.removeOldest()
	}
	f.next++
	it.seq = f.next
	b, err := json.Marshal(it.FeedbackRecord)
	if err == nil {
		_, err = f.core.store.Put(context.Background(), feedbackKey(it.seq), b, 0)
	}
	if err != nil {
		f.core.cfg.Log.Error("feedback: a record was not stored", "error", err)
	}
	f.items = append(f.items, it)
	f.arrived.broadcast()
}

func feedbackKey(seq uint64) store.Key { return store.Key{Kind: store.Feedback, Seq: seq} }

// erase takes a record out of the store. The caller holds the lock.
func (f *feedbackQueue) erase(it *feedbackItem) {
	if err := f.core.store.Delete(context.Background(), feedbackKey(it.seq)); err != nil {
		f.core.cfg.Log.Error("feedback: a record was not deleted", "error", err)
	}
}

// removeOldest drops the oldest record. The caller holds the lock.
func (f *feedbackQueue) removeOldest() {
	f.erase(f.items[0])
	f.items[0] = nil
	f.items = f.items[1:]
}

// removeIf drops the records that doomed picks. The caller holds the lock.
func (f *feedbackQueue) removeIf(doomed func(*feedbackItem) bool) {
	f.items = slices.DeleteFunc(f.items, func(it *feedbackItem) bool {
		if !doomed(it) {
			return false
		}
		f.erase(it)
		return true
	})
}

// sweep ends locks and lives whose time has come. The caller holds the lock.
func (f *feedbackQueue) sweep() {
	now := time.Now()
	if !f.due.IsZero() && !now.Before(f.due) {
		f.due = time.Time{}
		for _, it := range f.items {
			switch {
			case it.lock == "":
			case !now.Before(it.until):
				it.lock = ""
			default:
				f.expect(it.until)
			}
		}
	}
	// Records are in the order of their time, so only the front can be too old.
	for len(f.items) > 0 && f.items[0].lock == "" && now.Sub(f.items[0].Time) >= feedbackTTL {
		f.removeOldest()
	}
}

// expect notes the end of a lock. The caller holds the lock of the queue.
func (f *feedbackQueue) expect(until time.Time) {
	if f.due.IsZero() || until.Before(f.due) {
		f.due = until
	}
}

// forget drops what a deleted identity has left.
func (f *feedbackQueue) forget(id hubwire.Identity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removeIf(func(it *feedbackItem) bool { return it.Identity == id })
}

// take locks up to max records. When there are none it returns nil, and when
// the next lock ends, if there is one.
func (f *feedbackQueue) take(max int) (*FeedbackBatch, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep()
	var b FeedbackBatch
	var unlocks time.Time
	for _, it := range f.items {
		if it.lock != "" {
			if unlocks.IsZero() || it.until.Before(unlocks) {
				unlocks = it.until
			}
			continue
		}
		if len(b.Records) == max {
			break
		}
		if len(b.Records) == 0 {
			b = FeedbackBatch{LockToken: newLockToken(), EnqueuedTime: it.Time, DeliveryCount: it.count}
		}
		it.lock, it.until = b.LockToken, time.Now().Add(feedbackLock)
		f.expect(it.until)
		b.Records = append(b.Records, it.FeedbackRecord)
	}
	if len(b.Records) == 0 {
		return nil, unlocks
	}
	return &b, unlocks
}

// Feedback locks up to max records that wait, oldest first, or returns nil
// when there are none now. Settle the batch with [Core.SettleFeedback].
func (c *Core) Feedback(max int) *FeedbackBatch {
	b, _ := c.feedback.take(max)
	return b
}

// WaitFeedback is [Core.Feedback] that waits for a record until ctx ends.
func (c *Core) WaitFeedback(ctx context.Context, max int) (*FeedbackBatch, error) {
	const op = "receive feedback"
	for {
		if err := c.Open(op); err != nil {
			return nil, err
		}
		arrived := c.feedback.arrived.wait()
		b, unlocks := c.feedback.take(max)
		if b != nil {
			return b, nil
		}
		var again <-chan time.Time
		var t *time.Timer
		if !unlocks.IsZero() {
			t = time.NewTimer(time.Until(unlocks))
			again = t.C
		}
		var err error
		select {
		case <-arrived:
		case <-again:
		case <-ctx.Done():
			err = &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Err: ctx.Err()}
		case <-c.closing:
			err = ended(op, errClosing)
		}
		if t != nil {
			t.Stop()
		}
		if err != nil {
			return nil, err
		}
	}
}

// SettleFeedback ends a batch: Complete and Reject remove its records,
// Abandon gives them back. The code is MessageLockLost when the lock is over.
func (c *Core) SettleFeedback(_ context.Context, lockToken string, d hubwire.Disposition) error {
	const op = "settle feedback"
	f := &c.feedback
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweep()
	mine := func(it *feedbackItem) bool { return it.lock == lockToken && lockToken != "" }
	if !slices.ContainsFunc(f.items, mine) {
		return refuse(op, hubwire.MessageLockLost, "no feedback is locked by the lock token %.36q", lockToken)
	}
	if d != hubwire.Abandon {
		f.removeIf(mine)
		return nil
	}
	f.removeIf(func(it *feedbackItem) bool { return mine(it) && it.count+1 >= feedbackDeliveries })
	for _, it := range f.items {
		if mine(it) {
			it.lock = ""
			it.count++
		}
	}
	f.arrived.broadcast()
	return nil
}
