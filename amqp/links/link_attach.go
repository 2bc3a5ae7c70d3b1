package links

import (
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// maxMute is how many attaches in a row a session may leave without an answer.
const maxMute = 3

// freshToken is how long a refusal is not put down to the age of the token.
const freshToken = 10 * time.Second

// agedLocked reports whether a refusal can be put down to the age of the token. One of a short life may be over, or about to be
// replaced, within freshToken.
func (e *entity) agedLocked() bool {
	if e.tokenOn == nil {
		return false
	}
	return e.due || time.Since(e.putAt) > freshToken || passed(e.expires)
}

// attachTo makes one attempt to attach l.
func (l *link) attachTo(n *network, session *amqpclient.Session) {
	e := l.e
	ctx, cancel := e.asking()
	defer cancel()
	e.c.mu.Lock()
	l.gen++
	at := &attachment{l: l, net: n, session: session, gen: l.gen}
	e.c.mu.Unlock()
	if err := l.kind.attach(ctx, at); l.attachedTo(ctx, at, err) {
		l.kind.stands(at)
	}
}

// attachedTo notes what became of an attempt, and reports whether at stands.
func (l *link) attachedTo(ctx context.Context, at *attachment, err error) bool {
	e, n := l.e, at.net
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && (e.life.Err() != nil || n.dead != nil):
	case err != nil && ctx.Err() != nil:
		l.muteLocked(n, at.session)
	case err != nil:
		l.notAttachedLocked(n, at.session, err)
	case at.handle().Err() != nil: // in that moment
		l.triedLocked(asError("connection", l.cfg.node, at.handle().Err()))
	case l.closed || e.life.Err() != nil || e.session != at.session || n.dead != nil:
		_ = at.handle().Detach(noWait, nil)
	default:
		e.mute = 0
		l.failure, l.attached = nil, true
		l.patience.mended()
		l.live.Store(at)
		l.tellLocked()
		if f := l.cfg.up; f != nil {
			c.tellLocked(&e.tellers, func() { f(at.gen) })
		}
		e.refreshLocked(nil)
		return true
	}
	return false
}

// noWait is a context that has ended: of what is not waited for.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// ended is told by amqpclient.
func (at *attachment) ended(reason error) {
	at.l.e.c.linkEnded(at, reason)
	if f := at.l.cfg.ended; f != nil {
		f(at.gen, reason)
	}
}

// muteLocked notes that the peer did not answer the attach. After some of them there is another session.
func (l *link) muteLocked(n *network, session *amqpclient.Session) {
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
func (l *link) notAttachedLocked(n *network, session *amqpclient.Session, err error) {
	e := l.e
	level, remote := ending(err)
	refusal := passing504(asError("attach", l.cfg.node, err))
	switch level {
	case amqpclient.LevelConn:
		n.failLocked(err)
		return
	case amqpclient.LevelSession:
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
	case refusal.Code == hubwire.Unauthorized && e.agedLocked():
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
		l.wanted = l.cfg.keen && l.attached
		l.refused++
		l.failure = refusal
		l.patience.failed(&e.c.o) // for who asks at once again
		l.tellLocked()
		if f := l.cfg.refused; f != nil {
			f(refusal)
		}
	}
}

// triedLocked notes an attempt that failed, and will be made again.
func (l *link) triedLocked(reason error) {
	l.failure = reason
	l.patience.failed(&l.e.c.o)
	l.e.tellConnectingLocked(Connecting, reason)
}
