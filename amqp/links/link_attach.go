package links

import (
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// maxMute is how many attaches in a row a session may leave without an answer.
const maxMute = 3

// freshToken is how long a refusal is not put down to the age of the token.
const freshToken = 10 * time.Second

// attachTo makes one attempt to attach l.
func (l *link) attachTo(n *network, session *goamqp.Session) {
	e := l.e
	ctx, cancel := e.asking()
	defer cancel()
	at := n.attachment(l, session)
	h, err := l.attach(ctx, session, at.name)
	n.tap.forget(at)
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && (e.life.Err() != nil || n.dead != nil):
	case err != nil && ctx.Err() != nil:
		l.muteLocked(n, session)
	case err != nil:
		l.notAttachedLocked(n, session, err)
	case at.over: // in that moment
		l.triedLocked(at.reason)
	case l.closed || e.life.Err() != nil || e.session != session:
		c.startLocked(func() {
			ctx, cancel := c.answering()
			defer cancel()
			_ = h.Close(ctx)
		})
	default:
		e.mute = 0
		l.gen++
		at.handle, at.gen = h, l.gen
		l.failure = nil
		l.patience.mended()
		l.live.Store(at)
		l.tellLocked()
		if f := l.cfg.up; f != nil {
			gen := at.gen
			c.tellLocked(&e.tellers, func() { f(gen) })
		}
		e.refreshLocked(nil)
	}
}

// muteLocked notes that the peer did not answer the attach. go-amqp detaches it with the next
// one. After some of them there is another session.
func (l *link) muteLocked(n *network, session *goamqp.Session) {
	e := l.e
	l.triedLocked(&hubwire.Error{Op: "attach", Outcome: hubwire.Unknown, Retryable: true, Err: ErrStalled})
	if e.session != session {
		return
	}
	if e.mute++; e.mute >= maxMute {
		e.c.closeLocked(n, session, nil)
		e.sessionLostLocked(ErrStalled)
		e.refreshLocked(ErrStalled)
	}
}

// notAttachedLocked notes why the peer did not attach.
func (l *link) notAttachedLocked(n *network, session *goamqp.Session, err error) {
	e := l.e
	lv, remote := ending(err)
	refusal := passing504(asError("attach", l.cfg.node, err))
	switch lv {
	case levelConn:
		n.failLocked(err)
		return
	case levelSession:
		if e.session == session {
			e.sessionLostLocked(refusal)
		}
		l.triedLocked(refusal)
		e.refreshLocked(refusal)
		return
	}
	refusal.Outcome = hubwire.Refused
	if remote != nil && remote.Condition == amqp.LinkRedirect {
		refusal.Retryable = false // here
	}
	switch {
	case remote == nil || refusal.Retryable && !l.cfg.frank:
		l.triedLocked(refusal)
	case refusal.Code == hubwire.Unauthorized && e.tokenOn != nil && time.Since(e.putAt) > freshToken:
		if !e.due { // or the source has its own pace
			e.due, e.patience.at = true, time.Time{}
		}
		l.failure = refusal
		l.patience.failed(&e.c.o) // and then once more
	case l.cfg.eager:
		e.refusedLocked(refusal, &e.spared.link)
		if e.life.Err() == nil {
			e.due = e.tokenOn != nil
			l.patience.failed(&e.c.o)
		}
	default:
		l.wanted = false
		l.refused++
		l.failure = refusal
		l.patience.failed(&e.c.o) // for who asks at once again
		l.tellLocked()
	}
}

// triedLocked notes an attempt that failed, and will be made again.
func (l *link) triedLocked(reason error) {
	l.failure = reason
	l.patience.failed(&l.e.c.o)
	l.e.tellConnectingLocked(Connecting, reason)
}

// partLocked has go-amqp let go of an attachment that the peer has ended, before there is another. Its handle
// is free already, while its answer is still to be written: that must not meet the next attach. And who sends on it
// may wait for the window of the session, in which go-amqp does not see the end.
func (l *link) partLocked(at *attachment) {
	c := l.e.c
	l.parting = true
	c.startLocked(func() {
		ctx, cancel := c.answering()
		defer cancel()
		_ = at.handle.Close(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		l.parting = false
		l.e.wakeLocked()
	})
}
