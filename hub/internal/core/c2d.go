package core

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/hubwire/hubwire"
)

// Cloud-to-device queues imitate the developer guide's "Send cloud-to-device
// messages": at most 50 messages, each enqueued, invisible (locked) or gone;
// feedback to the sender; expiry. As of today's documentation only an abandon
// raises the delivery count; the end of a lock, or of the connection that
// held it, does not. Messages to a module's inputs take the same way, where
// IoT Edge has a larger queue of its own. Locks are not in the store: they end
// with the process.

// roomPatience is how long a sender waits for a device that takes its messages to
// make room for one more. So one that sends as fast as it can goes at the
// device's pace, instead of keeping it from running by asking over and over.
const roomPatience = time.Millisecond

// maxC2DTTL bounds a message's life, whatever expiry it names.
const maxC2DTTL = 48 * time.Hour

// SendC2D queues a message for a device or module, and keeps nothing of m.
// A message without an expiry lives for Config.DefaultTTL, none longer than
// two days. When the queue is full it waits a moment, roomPatience, if the
// device is there to take messages. Codes: QueueDepthExceeded for the 51st, MessageTooLarge,
// ArgumentInvalid, DeviceNotFound, ModuleNotFound.
func (c *Core) SendC2D(ctx context.Context, to hubwire.Identity, m *hubwire.Message) error {
	return c.enqueue(ctx, "send c2d", to, "", m, roomPatience)
}

// SendInput queues a message for an input of a module, as IoT Edge does for a
// route. It is as [Core.SendC2D], and shares the module's queue.
func (c *Core) SendInput(ctx context.Context, to hubwire.Identity, input string, m *hubwire.Message) error {
	const op = "send input"
	if !to.IsModule() || input == "" {
		return refuse(op, hubwire.ArgumentInvalid, "an input has a name and belongs to a module; this is %q of %q", input, to)
	}
	return c.enqueue(ctx, op, to, input, m, 0)
}

func (c *Core) enqueue(ctx context.Context, op string, to hubwire.Identity, input string, m *hubwire.Message, patience time.Duration) error {
	if err := m.CheckC2D(); err != nil {
		return refused(op, err)
	}
	e, err := c.lock(op, to)
	if err != nil {
		return err
	}
	defer e.unlock()
	now := e.sweep()
	if e.full() && patience > 0 && e.session != nil && e.session.features().has(FeatureC2D) {
		if now, err = e.awaitRoom(ctx, op, patience); err != nil {
			return err
		}
	}
	if e.full() {
		return queueFull(op, to)
	}
	now = now.UTC()
	q := &queued{seq: e.queue.next + 1, msg: cloneMessage(m), input: input, enqueued: now, expires: m.Expiry}
	if q.expires.IsZero() {
		q.expires = now.Add(c.cfg.DefaultTTL)
	}
	if last := now.Add(maxC2DTTL); q.expires.After(last) {
		q.expires = last
	}
	if q.msg.To == "" && input == "" {
		q.msg.To = c2dAddress(to)
	}
	if q.version, err = c.store.Put(ctx, e.queueKey(q.seq), q.encode(), 0); err != nil {
		return broken(op, err)
	}
	e.queue.next++
	e.queue.items = append(e.queue.items, q)
	e.expect(q)
	e.ready(q)
	if e.session != nil {
		return e.session.purgeUnwanted(ctx, op)
	}
	return nil
}

func (e *entity) full() bool { return len(e.queue.items) >= hubwire.MaxC2DQueue }

// awaitRoom waits for room in a full queue, and returns the time. The caller
// holds the lock, which is released meanwhile.
func (e *entity) awaitRoom(ctx context.Context, op string, patience time.Duration) (now time.Time, err error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	for waits := true; waits; {
		room := e.queue.room.wait()
		e.unlock()
		select {
		case <-room:
		case <-t.C:
			waits = false
		case <-ctx.Done():
			waits = false
		}
		e.mu.Lock()
		if e.deleted {
			return now, notFound(op, e.id)
		}
		now = e.sweep()
		waits = waits && e.full()
	}
	return now, nil
}

// queueFull is the refusal that a sender who is quicker than the device gets over
// and over: it is made without fmt.
func queueFull(op string, to hubwire.Identity) *hubwire.Error {
	e := refuse(op, hubwire.QueueDepthExceeded, "")
	e.Message = strconv.Itoa(hubwire.MaxC2DQueue) + " messages wait for " + strconv.Quote(to.String()) + ", which is the limit"
	return e
}

func c2dAddress(id hubwire.Identity) string {
	if id.IsModule() {
		return "/devices/" + id.DeviceID + "/modules/" + id.ModuleID + "/messages/devicebound"
	}
	return "/devices/" + id.DeviceID + "/messages/devicebound"
}

// NextOf locks the first visible message for one of these features that the session
// has, and returns it, or nil when there is none now. The lock ends after
// Config.LockTimeout, and with the session; then the message is visible
// again. Call it until it returns nil after Connect, after Subscribe, and
// when the link gets C2DReady. What the message points to must not be changed.
func (s *Session) NextOf(f Feature) *hubwire.Received {
	e, err := s.lock("receive c2d")
	if err != nil {
		return nil
	}
	defer e.unlock()
	return e.next(s.features()&f, s, e.core.cfg.LockTimeout)
}

// Outgoing is a message for the peer, and the QoS of the subscription that it goes out by.
type Outgoing struct {
	hubwire.Received
	QoS byte
}

// NextC2D is [Session.NextOf] for all features and as many messages as there is room for in
// batch, whose elements are zero. It returns how many it has set; when that is not all, there are no more now.
func (s *Session) NextC2D(batch []Outgoing) (n int) {
	e, err := s.lock("receive c2d")
	if err != nil {
		return 0
	}
	defer e.unlock()
	until := e.sweep().Add(e.core.cfg.LockTimeout)
	for _, q := range e.queue.items {
		if n == len(batch) {
			break
		}
		if q.visibleTo(s.features()) {
			e.deliver(q, s, until, &batch[n].Received)
			batch[n].QoS = s.qos(q.feature())
			n++
		}
	}
	return n
}

// Release gives back the messages for one of these features that the session has locked, as its
// end does: their delivery counts stay as they are.
func (s *Session) Release(f Feature) {
	e, err := s.lock("release c2d")
	if err != nil {
		return // all was given back
	}
	defer e.unlock()
	e.release(s, f)
}

// Settle ends a delivery of this identity: Complete and Reject remove the
// message, Abandon makes it visible again with a higher delivery count, or
// removes it when it was delivered Config.MaxDeliveryCount times. The code is
// MessageLockLost when the lock is over, or the message was settled before.
func (s *Session) Settle(ctx context.Context, lockToken string, d hubwire.Disposition) error {
	const op = "settle"
	e, err := s.lock(op)
	if err != nil {
		return err
	}
	defer e.unlock()
	e.sweep()
	return e.settle(ctx, op, lockToken, d)
}

// Complete completes several deliveries at once, as [Session.Settle] does one. The error joins those of the
// deliveries that it did not end.
func (s *Session) Complete(ctx context.Context, lockTokens []string) error {
	const op = "settle"
	e, err := s.lock(op)
	if err != nil {
		return err
	}
	defer e.unlock()
	e.sweep()
	var failed []error
	for _, token := range lockTokens {
		if err := e.settle(ctx, op, token, hubwire.Complete); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// ReceiveC2D is [Session.NextOf] without a session, as HTTPS does it; it
// gives no input messages. lock is how long the message stays locked; 0 means
// Config.LockTimeout. nil without an error means that there is none now.
func (c *Core) ReceiveC2D(_ context.Context, id hubwire.Identity, lock time.Duration) (*hubwire.Received, error) {
	e, err := c.lock("receive c2d", id)
	if err != nil {
		return nil, err
	}
	defer e.unlock()
	if lock <= 0 {
		lock = c.cfg.LockTimeout
	}
	e.touch()
	return e.next(FeatureC2D, nil, lock), nil
}

// SettleC2D is [Session.Settle] without a session.
func (c *Core) SettleC2D(ctx context.Context, id hubwire.Identity, lockToken string, d hubwire.Disposition) error {
	const op = "settle"
	e, err := c.lock(op, id)
	if err != nil {
		return err
	}
	defer e.unlock()
	e.touch()
	e.sweep()
	return e.settle(ctx, op, lockToken, d)
}

// Purge removes all messages that wait for an identity, also locked ones, and
// returns how many. Each that asked for any feedback gives a Purged record.
func (c *Core) Purge(ctx context.Context, id hubwire.Identity) (int, error) {
	const op = "purge"
	e, err := c.lock(op, id)
	if err != nil {
		return 0, err
	}
	defer e.unlock()
	return e.purge(ctx, op, FeatureC2D|FeatureInputs)
}

// purgeUnwanted is [Core.Purge] of the messages that the session has no feature
// for, when it is one that wants that. What feedback the service gives for them is not
// documented, some report Success: here it is Purged. The caller holds the lock.
func (s *Session) purgeUnwanted(ctx context.Context, op string) error {
	if !s.opts.Purge {
		return nil
	}
	_, err := s.entity.purge(ctx, op, ^s.features())
	return err
}

// purge removes the messages for one of these features. The caller holds the lock.
func (e *entity) purge(ctx context.Context, op string, f Feature) (n int, err error) {
	e.sweep()
	for _, q := range slices.Clone(e.queue.items) {
		if !f.has(q.feature()) {
			continue
		}
		if err := e.dequeue(ctx, q); err != nil {
			return n, broken(op, err)
		}
		e.queue.lost.Add(1)
		e.tell(q, StatusPurged)
		e.ready(q)
		n++
	}
	return n, nil
}

// Waits reports whether a message still waits, delivered or not, and whether it is locked by a
// delivery: one whose lock has run out is to be delivered again.
func (s *Session) Waits(sequence int64) (waits, locked bool) {
	s.entity.mu.Lock()
	defer s.entity.unlock()
	for _, q := range s.entity.queue.items {
		if q.seq == uint64(sequence) {
			return true, q.lock != ""
		}
	}
	return false, false
}

// Lost counts the deliveries to this identity that ended otherwise than by the
// session's settlement: by a lock that ran out, or with a message that left the queue. As
// long as it stays the same, what the session has and did not settle is locked for it.
func (s *Session) Lost() uint64 { return s.entity.queue.lost.Load() }
