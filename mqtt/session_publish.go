package mqtt

import (
	"context"
	"fmt"
	"sync"

	"github.com/hubwire/hubwire"
)

// Publish sends p and returns when the server has acknowledged it, or with QoS
// 0 when it is written. p.ID and p.Dup are the session's; p and what it refers to are
// not used after the return. While there is no connection it waits for one.
//
// When ctx ends first the error matches ctx's and says whether p never left
// ([hubwire.NotSent]; it is withdrawn) or its outcome is [hubwire.Unknown]; then it is still
// sent again on the next connection if need be, because only its
// acknowledgement frees its packet identifier. The error is a *hubwire.Error;
// one that matches [net.ErrClosed] says that the session has ended. It does
// not allocate in the steady state.
func (s *Session) Publish(ctx context.Context, p *Publish) error {
	return s.PublishReleasing(ctx, p, nil)
}

// PublishReleasing is [Session.Publish] for a p whose memory is wanted again: release, which may be nil, is called
// once, whatever is returned, and when p has a place in the window, before the wait for its
// acknowledgement. From then on p and what it refers to are not used. So a thousand
// calls that wait hold no more memory of their callers than one that does not.
func (s *Session) PublishReleasing(ctx context.Context, p *Publish, release func()) error {
	w, seq, err := s.begin(ctx, p)
	if release != nil {
		release()
	}
	if err != nil {
		return err
	}
	if ended := ctx.Done(); ended == nil {
		err = w.wait() // which is cheaper than a select
	} else {
		select {
		case <-w.ch:
			err = w.err
		case <-ended:
			return s.withdraw(ctx, seq, w)
		}
	}
	s.waiters.put(w)
	return err
}

// begin has p accepted, for a call that waits with w for what becomes of it.
func (s *Session) begin(ctx context.Context, p *Publish) (w *waiter, seq uint64, err error) {
	switch {
	case !s.usable(ctx):
		return nil, 0, s.unusable(ctx, "publish")
	case s.ownGoroutine() != 0:
		return nil, 0, gaveUp("publish", false, ErrWouldDeadlock)
	}
	w = s.waiters.get()
	if seq, err = s.accept(ctx, p, completion{wait: w}); err != nil {
		s.waiters.put(w)
	}
	return w, seq, err
}

// PublishAsync sends p and returns when it has a place in the window; ctx
// bounds that wait only. p and what it refers to are not used after the return.
//
// done, which may be nil, is called exactly once when PublishAsync returns nil,
// and never when it does not: with nil when the server has acknowledged p (with QoS 0, when it is
// written), else with an error as [Session.Publish] returns it. It
// runs on a goroutine of the session, never inside PublishAsync, so it must not block. Publishes are sent
// in the order of their PublishAsync calls. It does not allocate in the steady state.
func (s *Session) PublishAsync(ctx context.Context, p *Publish, done func(error)) error {
	_, err := s.accept(ctx, p, completion{done: done})
	return err
}

// accept puts p into the outbox when the window has room, and sees to its being written.
func (s *Session) accept(ctx context.Context, p *Publish, op completion) (seq uint64, err error) {
	if !s.usable(ctx) {
		return 0, s.unusable(ctx, "publish")
	}
	if p == nil {
		return 0, badArgument("publish", "the Publish is nil", nil)
	}
	q := *p // p is the caller's
	q.Dup, q.ID = false, 1
	if err := s.check(&q); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, gaveUp("publish", false, err)
	}
	n := q.Size()
	s.mu.Lock()
	switch {
	case s.cause != nil || s.closing:
		err := s.endedLocked()
		s.mu.Unlock()
		return 0, failed("publish", false, err)
	case !s.queue.empty() || !s.fits(n):
		if err := s.waitForRoom(ctx, n); err != nil { // gives mu up, and has it again on success
			return 0, err
		}
	}
	seq = s.out.add(&q, op)
	s.commitUnlock(n, q.QoS != AtMostOnce || op.done == nil)
	return seq, nil
}

// check refuses what cannot be sent, or what would cost the connection.
func (s *Session) check(p *Publish) error {
	if p.QoS == ExactlyOnce {
		return badArgument("publish", "IoT Hub closes the connection on QoS 2", refuse(TypePublish, partHeader, faultPublishQoS, 0, int(AtLeastOnce)))
	}
	if err := p.Check(); err != nil {
		return badArgument("publish", "", err)
	}
	if n := p.Size(); n > s.o.MaxPacket {
		return &hubwire.Error{
			Op: "publish", Code: hubwire.MessageTooLarge, Outcome: hubwire.NotSent,
			Message: fmt.Sprintf("the packet has %d bytes, the limit is %d", n, s.o.MaxPacket),
			Err:     refuse(TypePublish, partLength, faultTooLarge, 1, s.o.MaxPacket),
		}
	}
	return nil
}

// endedLocked is why nothing new is accepted.
func (s *Session) endedLocked() error {
	if s.cause != nil {
		return s.cause
	}
	return ErrSessionClosed
}

// withdraw ends a wait for an acknowledgement because ctx ended, and gives w back.
func (s *Session) withdraw(ctx context.Context, seq uint64, w *waiter) error {
	s.mu.Lock()
	if seq < s.out.head || s.out.at(seq).free || s.out.at(seq).op.wait != w {
		err := w.err // its outcome is known
		s.mu.Unlock()
		select {
		case <-w.ch:
			s.waiters.put(w)
		default: // it is yet to be woken, behind done functions that may take their time
		}
		return err
	}
	slot := s.out.at(seq)
	slot.op = completion{}
	sent := slot.sent
	if !sent {
		s.out.remove(seq)
		s.makeRoom()
		if l := s.link; l != nil {
			s.leaveLocked(l)
		}
	}
	s.mu.Unlock()
	s.waiters.put(w)
	return gaveUp("publish", sent, ctx.Err())
}

// waiter is a blocked call. Its channel says only that the outcome is there, which
// is cheaper than to hand it over; it has room, since it is sent to once.
type waiter struct {
	ch   chan struct{}
	err  error   // the outcome
	size int     // of the packet that waits for the window
	next *waiter // in the waitQueue, or in spareWaiters
}

func newWaiter() *waiter { return &waiter{ch: make(chan struct{}, 1)} }

// tell ends the wait. It does not block.
func (w *waiter) tell(err error) {
	w.err = err
	w.wake()
}

// wake is tell where the outcome is in w already.
func (w *waiter) wake() { w.ch <- struct{}{} }

func (w *waiter) wait() error {
	<-w.ch
	return w.err
}

// spareWaiters keeps waiters for the next calls. It is the session's own, because a channel
// belongs to its test bubble, and no sync.Pool, which takes memory for each processor.
type spareWaiters struct {
	mu    sync.Mutex
	first *waiter
}

func (p *spareWaiters) get() *waiter {
	p.mu.Lock()
	w := p.first
	if w != nil {
		p.first, w.next, w.err = w.next, nil, nil
	}
	p.mu.Unlock()
	if w == nil {
		w = newWaiter()
	}
	return w
}

func (p *spareWaiters) put(w *waiter) {
	p.mu.Lock()
	w.next, p.first = p.first, w
	p.mu.Unlock()
}

// trim gives memory up that an idle session does not need.
func (p *spareWaiters) trim() {
	p.mu.Lock()
	p.first = nil
	p.mu.Unlock()
}

// fits reports whether the window has room for n bytes more.
func (s *Session) fits(n int) bool {
	used, bytes := s.out.used+s.queue.granted, s.out.bytes+s.queue.grantedBytes
	if used == 0 {
		return true // a packet larger than the window passes alone
	}
	return used < s.o.Window && bytes+n <= s.o.WindowBytes && !s.out.full(s.queue.granted)
}

// waitForRoom waits, first come first served, until the window has room for n.
// It is called with mu held, and returns nil with mu held, else without.
func (s *Session) waitForRoom(ctx context.Context, n int) error {
	s.mu.Unlock()
	if s.ownGoroutine() != 0 {
		return gaveUp("publish", false, ErrWouldDeadlock)
	}
	w := s.waiters.get()
	w.size = n
	s.mu.Lock()
	if s.cause != nil || s.closing {
		err := s.endedLocked()
		s.mu.Unlock()
		return failed("publish", false, err)
	}
	s.queue.push(w)
	s.makeRoom() // there may be some by now
	s.mu.Unlock()
	var err error
	select {
	case <-w.ch:
		err = w.err
		s.mu.Lock()
	case <-ctx.Done():
		why := ctx.Err() // the context is the caller's: no lock is held
		s.mu.Lock()
		if s.queue.remove(w) {
			s.makeRoom() // for a smaller one behind it
			err = gaveUp("publish", false, why)
		} else {
			err = w.wait() // has been decided meanwhile
		}
	}
	s.waiters.put(w)
	if err == nil {
		s.queue.granted--
		s.queue.grantedBytes -= n
		if s.cause != nil {
			err = failed("publish", false, s.cause)
		}
	}
	if err != nil {
		s.mu.Unlock()
	}
	return err
}

// makeRoom lets publishes in that wait for the window.
func (s *Session) makeRoom() {
	for w := s.queue.first; w != nil && s.fits(w.size); w = s.queue.first {
		s.queue.remove(w)
		s.queue.granted++
		s.queue.grantedBytes += w.size
		w.tell(nil)
	}
}

// waitQueue is the publishes that wait for the window, in order, and how much
// of it is promised to those that were let in and have not come yet.
type waitQueue struct {
	first, last  *waiter
	granted      int
	grantedBytes int
}

func (q *waitQueue) empty() bool { return q.first == nil }

func (q *waitQueue) push(w *waiter) {
	w.next = nil
	if q.first == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
}

// remove takes w out and reports whether it was in.
func (q *waitQueue) remove(w *waiter) bool {
	var before *waiter
	for v := q.first; v != nil; before, v = v, v.next {
		if v != w {
			continue
		}
		if before == nil {
			q.first = v.next
		} else {
			before.next = v.next
		}
		if q.last == v {
			q.last = before
		}
		v.next = nil
		return true
	}
	return false
}
