package links

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hubwire/hubwire/internal/amqpclient"
)

// upLocked reports whether e has all that it must have.
func (e *entity) upLocked() bool {
	if e.c.net == nil || e.session == nil || e.cfg.tokens != nil && e.tokenOn != e.c.net {
		return false
	}
	for _, l := range e.links {
		if l.cfg.eager && l.live.Load() == nil {
			return false
		}
	}
	return true
}

// refreshLocked tells of the state when e has got what it must have, or lost it, for that reason.
func (e *entity) refreshLocked(reason error) {
	switch up := e.upLocked(); {
	case e.life.Err() != nil || up == (e.state == Connected):
	case up:
		e.admitted, e.spared = true, refusals{}
		e.failure = nil
		e.stateLocked(Connected, nil)
	default:
		e.tellConnectingLocked(Connecting, reason)
	}
}

// tellConnectingLocked tells of what failed or was lost, unless e is up all the same.
func (e *entity) tellConnectingLocked(s State, reason error) {
	if e.life.Err() == nil && e.opened && !e.upLocked() {
		e.failure = reason
		e.stateLocked(s, reason)
	}
}

func (e *entity) stateLocked(s State, reason error) {
	e.state = s
	close(e.changed)
	e.changed = make(chan struct{})
	if f := e.cfg.onState; f != nil {
		e.c.tellLocked(&e.tellers, func() { f(s, reason) })
	}
}

// disconnectedLocked takes from e what it had on a connection.
func (e *entity) disconnectedLocked(s State, reason error) {
	e.session, e.tokenOn, e.due, e.mute = nil, nil, false, 0
	if e.renewal != nil {
		e.renewal.Stop()
	}
	for _, l := range e.links {
		if at := l.live.Load(); at != nil {
			l.loseLocked(at, reason)
		}
	}
	e.tellConnectingLocked(s, reason)
}

// linkEnded is told by amqpclient that an attachment has ended, and perhaps its session.
func (c *Conn) linkEnded(at *attachment, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := at.l.e
	reason := asError("connection", at.l.cfg.node, err)
	level, _ := ending(err)
	if level == amqpclient.LevelConn {
		at.net.deadLocked(err)
		return
	}
	at.l.loseLocked(at, reason)
	if level == amqpclient.LevelSession && e.session == at.session {
		e.sessionLostLocked(reason)
	}
	e.refreshLocked(reason)
	e.wakeLocked()
}

// sessionEnded is told by amqpclient that a session has ended, which is e's unless that knows already.
func (e *entity) sessionEnded(err error) {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	level, _ := ending(err)
	if level != amqpclient.LevelSession || e.session == nil || e.session.Err() == nil {
		return
	}
	reason := asError("connection", 0, err)
	e.sessionLostLocked(reason)
	e.refreshLocked(reason)
	e.wakeLocked()
}

// sessionLostLocked notes that the session has ended, and its links with it.
func (e *entity) sessionLostLocked(reason error) {
	e.session, e.mute = nil, 0
	e.patience.lost(&e.c.o)
	for _, l := range e.links {
		if at := l.live.Load(); at != nil {
			l.loseLocked(at, reason)
			l.patience.at = time.Time{} // the session has waited for it
		}
	}
}

// endLocked ends e, if it has not ended yet.
func (e *entity) endLocked(cause error) {
	if e.life.Err() != nil {
		return
	}
	e.cancel(cause)
	if e.renewal != nil {
		e.renewal.Stop()
	}
	for _, l := range e.links {
		if at := l.live.Load(); at != nil {
			l.loseLocked(at, ended("connection", cause))
		}
		l.tellLocked()
	}
	if e.session != nil && e.c.net != nil && e.c.cause == nil {
		e.sayGoodbyeLocked()
	}
	e.session = nil
	e.state = Closed
	close(e.changed)
	e.changed = make(chan struct{})
	e.leaveLocked()
}

// sayGoodbyeLocked ends the session.
func (e *entity) sayGoodbyeLocked() {
	said := func() {
		e.ending = false
		e.leaveLocked()
	}
	c := e.c
	enough := time.AfterFunc(cmp.Or(e.cfg.goodbye, c.o.CloseTimeout), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		said()
	})
	e.ending = true
	c.closeLocked(c.net, e.session, func() { enough.Stop(); said() })
}

// leaveLocked is the last of e, once it has ended and restore has.
func (e *entity) leaveLocked() {
	if e.life.Err() == nil || e.busy || e.ending || e.left {
		return
	}
	e.left = true
	c := e.c
	delete(c.entities, e.cfg.name)
	if f := e.cfg.onState; f != nil {
		reason := context.Cause(e.life)
		if errors.Is(reason, ErrClosed) {
			reason = nil
		}
		c.tellLocked(&e.tellers, func() { f(Closed, reason) })
	}
	e.goneLocked()
}
