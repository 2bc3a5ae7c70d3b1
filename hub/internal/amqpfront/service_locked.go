package amqpfront

import (
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Feedback and file notifications imitate /messages/serviceBound/feedback and
// /messages/serviceBound/filenotifications. Each message is under a lock, whose token is its
// delivery-tag: 16 bytes in the order of a .NET Guid. Accepted and rejected take it off the queue, released and
// modified put it back, and so does the end of the link, at which it counts as never delivered. A link whose
// messages go out settled takes them off the queue at once. Several links share a queue: each message goes to one.
// Left out: that the service collects records of feedback for up to 15 s. They go out when there is credit, as many
// as wait.

// maxFeedback is how many records a message of feedback has at most.
const maxFeedback = 64

// locked is the node of either.
type locked struct {
	serving
	queue lockedQueue
	watch *core.Watch
	once  bool // messages go out settled
	tag   [16]byte

	mu     sync.Mutex
	tokens map[uint64]string // locks that are not settled, by the number of their delivery
	count  uint64
	gone   bool
}

// lockedQueue is what the two have of their own.
type lockedQueue interface {
	// take appends the next message to dst, or returns no token when there is none.
	take(dst []byte) (msg []byte, token string)
	watch(wake func()) *core.Watch
	settle(token string, d hubwire.Disposition) error
	release(token string)
}

func (c *conn) attachFeedback(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	return c.attachLocked(a, to, "/messages/serviceBound/feedback", feedback{c})
}

func (c *conn) attachFileNotifications(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	return c.attachLocked(a, to, "/messages/serviceBound/filenotifications", fileNotifications{c})
}

func (c *conn) attachLocked(a *amqpserver.Attach, to *amqp.Address, path string, q lockedQueue) (amqpserver.Sender, error) {
	s, err := c.serve(a, to, path)
	if err != nil {
		return nil, err
	}
	n := &locked{serving: s, queue: q, once: a.Reply.SendMode.Or(amqp10.SendMixed) == amqp10.SendSettled}
	n.watch = q.watch(a.Link.Wake)
	return n, nil
}

// Next implements [amqpserver.Sender].
func (n *locked) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	msg, token := n.queue.take(dst)
	if token == "" {
		n.watch.Arm()
		if msg, token = n.queue.take(dst); token == "" {
			return dst, amqpserver.Outgoing{}, false
		}
	}
	if n.once {
		_ = n.queue.settle(token, hubwire.Complete) // it was locked just now
		return msg, amqpserver.Outgoing{Tag: n.tagOf(token), Settled: true}, true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		n.queue.release(token)
		return dst, amqpserver.Outgoing{}, false
	}
	if n.tokens == nil {
		n.tokens = map[uint64]string{}
	}
	n.count++
	n.tokens[n.count] = token
	return msg, amqpserver.Outgoing{Tag: n.tagOf(token), Token: n.count}, true
}

// tagOf returns the delivery-tag of a lock token. It holds until the next call.
func (n *locked) tagOf(token string) []byte {
	id, _ := amqp.ParseUUID(token) // it is one
	return id.AppendTag(n.tag[:0])
}

// Settled implements [amqpserver.Sender].
func (n *locked) Settled(delivery uint64, state amqp10.State, settled bool) amqp10.State {
	n.mu.Lock()
	token := n.tokens[delivery]
	delete(n.tokens, delivery)
	n.mu.Unlock()
	v, err := n.conn.intercept(&core.Op{Kind: core.OpAck, Name: token})
	if err == nil {
		err = n.queue.settle(token, dispositionOf(state))
	}
	if v.DropAfter {
		n.conn.cut()
	}
	if err != nil {
		return amqp10.Rejected(failure(err))
	}
	return amqp10.Accepted()
}

// Detached implements [amqpserver.Node].
func (n *locked) Detached(error) {
	n.watch.Stop()
	n.mu.Lock()
	n.gone = true
	tokens := n.tokens
	n.tokens = nil
	n.mu.Unlock()
	for _, token := range tokens {
		n.queue.release(token)
	}
	n.leave()
}

// feedback is the queue of records about messages that were sent.
type feedback struct{ *conn }

func (q feedback) watch(wake func()) *core.Watch { return q.server.core.WatchFeedback(wake) }

func (q feedback) take(dst []byte) ([]byte, string) {
	b := q.server.core.Feedback(maxFeedback)
	if b == nil {
		return dst, ""
	}
	records := make([]httpsx.FeedbackRecord, len(b.Records))
	for i, r := range b.Records {
		records[i] = httpsx.FeedbackRecord{
			OriginalMessageID: r.OriginalMessageID, Enqueued: httpsx.NewTime(r.Time),
			Status: httpsx.FeedbackStatus(r.Status), Description: string(r.Status),
			DeviceID: r.Identity.DeviceID, DeviceGenerationID: r.GenerationID,
		}
	}
	return q.notify(dst, amqp.FeedbackType, b.EnqueuedTime, records), b.LockToken
}

func (q feedback) settle(token string, d hubwire.Disposition) error {
	return q.server.core.SettleFeedback(q.ctx, token, d)
}

func (q feedback) release(token string) { q.server.core.ReleaseFeedback(token) }

// fileNotifications is the queue of notifications of files that devices have uploaded.
type fileNotifications struct{ *conn }

func (q fileNotifications) watch(wake func()) *core.Watch {
	return q.server.core.WatchFileNotifications(wake)
}

func (q fileNotifications) take(dst []byte) ([]byte, string) {
	n := q.server.core.FileNotification()
	if n == nil {
		return dst, ""
	}
	return q.notify(dst, amqp.FileNotificationType, n.EnqueuedTime, n.FileNotification), n.LockToken
}

func (q fileNotifications) settle(token string, d hubwire.Disposition) error {
	return q.server.core.SettleFileNotification(q.ctx, token, d)
}

func (q fileNotifications) release(token string) { q.server.core.ReleaseFileNotification(token) }

// notify appends the message that has the JSON of v.
func (c *conn) notify(dst []byte, contentType string, enqueued time.Time, v any) []byte {
	body, err := httpsx.Marshal(v)
	if err != nil {
		c.server.opt.Log.Error("amqp: a notification has no JSON", "error", err) // there is none like that
	}
	return amqp.AppendNotification(dst, &amqp.Notification{
		ContentType: contentType, Hub: c.server.eventHub(), EnqueuedTime: enqueued, Body: body,
	})
}
