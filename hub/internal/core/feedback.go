package core

import (
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// The feedback queue imitates /messages/servicebound/feedback: records for
// senders that asked (ack positive, negative or full), read in batches under
// a lock. Records live one hour and are delivered at most 10 times.
var feedbackRules = lockedRules{
	what: "feedback", kind: store.Feedback,
	ttl: time.Hour, lock: time.Minute, deliveries: 10, max: 10_000,
}

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

func (r FeedbackRecord) queuedAt() time.Time { return r.Time }

// FeedbackBatch is a batch of records under one lock, which lasts one minute.
type FeedbackBatch = Batch[FeedbackRecord]

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

// tell queues a record when q's sender asked for it. The caller holds e's lock.
func (e *entity) tell(q *queued, status FeedbackStatus) {
	if wanted(q.msg.Ack, status) {
		e.core.feedback.add(FeedbackRecord{
			OriginalMessageID: q.msg.ID, Status: status, Time: time.Now().UTC(),
			Identity: e.id, GenerationID: e.dev.GenerationID,
		})
	}
}

// Feedback locks up to max records that wait, oldest first, or returns nil
// when there are none now. Settle the batch with [Core.SettleFeedback].
func (c *Core) Feedback(max int) *FeedbackBatch {
	return c.feedback.take(max)
}

// WatchFeedback returns a Watch for who found no [Core.Feedback].
func (c *Core) WatchFeedback(wake func()) *Watch { return c.feedback.bell.watch(wake) }

// WaitFeedback is [Core.Feedback] that waits for a record until ctx ends.
func (c *Core) WaitFeedback(ctx context.Context, max int) (*FeedbackBatch, error) {
	return c.feedback.wait(ctx, max)
}

// SettleFeedback ends a batch: Complete and Reject remove its records,
// Abandon gives them back. The code is MessageLockLost when the lock is over.
func (c *Core) SettleFeedback(_ context.Context, lockToken string, d hubwire.Disposition) error {
	return c.feedback.settle(lockToken, d)
}

// ReleaseFeedback gives back a batch whose reader is gone: it counts as never delivered.
func (c *Core) ReleaseFeedback(lockToken string) { c.feedback.release(lockToken) }
