package links

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/dialled"
)

// wakeLocked sees to it that what e lacks is brought back.
func (e *entity) wakeLocked() {
	switch {
	case e.c.net == nil || !e.opened || e.life.Err() != nil:
	case !e.busy:
		e.busy = true
		e.c.startLocked(e.restore)
	default:
		select {
		case e.kick <- struct{}{}:
		default:
		}
	}
}

// restore brings back what e lacks, and ends when it lacks nothing, or the connection is lost.
// It asks the peer for one thing at a time; whatever it waits for ends with e.
func (e *entity) restore() {
	finished := false
	defer func() {
		if !finished { // the token source has ended the goroutine
			e.c.mu.Lock()
			defer e.c.mu.Unlock()
			e.busy = false
			e.endLocked(ErrClosed)
		}
	}()
	for {
		job, wait := e.next()
		switch {
		case job != nil:
			release, ok := e.c.slot(e.life)
			if ok {
				job()
				release()
			}
		case wait > 0:
			sleep(e.life, wait, e.kick)
		default:
			finished = true
			return
		}
	}
}

// slot waits for the right to ask the peer for something. It ends with release, or by itself
// after a moment, so that who gets no answer does not keep the others waiting.
func (c *Conn) slot(ctx context.Context) (release func(), ok bool) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	free := sync.OnceFunc(func() { <-c.slots })
	timer := time.AfterFunc(slotTime, free)
	return func() { timer.Stop(); free() }, true
}

// slotTime is how long a question may keep its slot.
const slotTime = 2 * time.Second

// next returns what is to be done now, or how long to wait for that; neither when e lacks nothing.
func (e *entity) next() (job func(), wait time.Duration) {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.net
	if n == nil || n.dead != nil || e.life.Err() != nil {
		return nil, e.idleLocked()
	}
	own := e.patience.wait()
	without := e.cfg.tokens != nil && e.tokenOn != n
	renew := e.cfg.tokens != nil && e.due
	switch {
	case (without || renew) && own == 0:
		return func() { e.putToken(n) }, 0
	case without:
		return nil, own
	case e.session == nil && own == 0:
		return func() { e.begin(n) }, 0
	case e.session == nil || renew:
		wait = own
	}
	if session := e.session; session != nil {
		for _, l := range e.links {
			if !l.wanted || l.live.Load() != nil {
				continue
			}
			d := l.patience.wait()
			if d == 0 {
				return func() { l.attachTo(n, session) }, 0
			}
			if wait == 0 || d < wait {
				wait = d
			}
			if l.cfg.eager {
				break // it is what tells whether e is let in: no other is asked for before
			}
		}
	}
	if wait == 0 {
		return nil, e.idleLocked()
	}
	return nil, wait
}

// idleLocked notes that restore ends: from here on wakeLocked starts another one.
func (e *entity) idleLocked() time.Duration {
	e.busy = false
	e.leaveLocked()
	return 0
}

// asking returns the context of one question to the peer.
func (e *entity) asking() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.life, e.c.o.OperationTimeout)
}

// putToken gets a token and shows it to the peer.
func (e *entity) putToken(n *network) {
	ctx, cancel := e.asking()
	defer cancel()
	token, expires, err := e.token(ctx)
	outcome := hubwire.NotSent
	if err == nil {
		outcome, err = hubwire.Unknown, n.cbs.put(ctx, e.cfg.audience, token)
	}
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.life.Err() != nil || n.dead != nil:
	case err != nil:
		refusal := passing504(tokenError(err, outcome))
		if outcome != hubwire.NotSent {
			refusal = lateOnItsWay(refusal, expires)
		}
		e.refusedLocked(refusal, &e.spared.token)
	default:
		e.tokenOn, e.putAt, e.expires, e.due = n, time.Now(), expires, false
		e.spared.token = false // that it is let in is for the links to prove
		e.patience.mended()
		if e.renewal != nil {
			e.renewal.Stop()
		}
		if d := renewal(expires); d > 0 {
			e.renewal = time.AfterFunc(d, e.renew)
		}
		e.refreshLocked(nil)
	}
}

// renew is called when the token is to be put again.
func (e *entity) renew() {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	e.due = true
	e.wakeLocked()
}

// token asks the source.
func (e *entity) token(ctx context.Context) (token string, expires time.Time, err error) {
	panicked := true
	e.c.call(func() {
		token, expires, err = e.cfg.tokens.Token(ctx, e.cfg.audience)
		panicked = false
	})
	switch {
	case panicked:
		return "", expires, errors.New("links: the token source panicked")
	case err == nil && token == "":
		return "", expires, invalid("token", "the source gave none")
	case err == nil && passed(expires):
		return "", expires, &hubwire.Error{
			Op: "token", Code: hubwire.Unauthorized, Outcome: hubwire.NotSent,
			Message: "it expired at " + expires.UTC().Format(time.RFC3339), Err: ErrExpiredToken,
		}
	}
	return token, expires, dialled.Sound(err)
}

// tokenError is why no token was put, with that outcome if it has none of its own.
func tokenError(err error, outcome hubwire.Outcome) *hubwire.Error {
	if e, ok := errors.AsType[*hubwire.Error](err); ok {
		if e == err {
			return e
		}
		own := *e
		own.Message, own.Err = "", err // which has it
		return &own
	}
	e := asError("put-token", 0, err)
	e.Outcome, e.Retryable = outcome, true
	return e
}

// passed reports whether the time of a token is over; zero is never.
func passed(expires time.Time) bool { return !expires.IsZero() && !time.Now().Before(expires) }

// lateOnItsWay is a refusal of a token, which can pass when the token's time was over by then: the next may be quicker.
func lateOnItsWay(err *hubwire.Error, expires time.Time) *hubwire.Error {
	if err.Code != hubwire.Unauthorized || !passed(expires) {
		return err
	}
	own := *err
	own.Retryable = true
	return &own
}

// passing504 is a refusal of a token or a link, which can pass when it is a time-out of the hub's: unlike
// that of a method, nothing has run that could run twice.
func passing504(err *hubwire.Error) *hubwire.Error {
	if err.Code != hubwire.GatewayTimeout {
		return err
	}
	own := *err
	own.Retryable = true
	return &own
}

// refusedLocked notes that token, session or an eager link was not to be had. It ends e when
// waiting cannot mend that; but who had been let in before gets one more chance, which spared
// notes, since a token can get too old on its way, and a certificate may have been replaced since.
func (e *entity) refusedLocked(err *hubwire.Error, spared *bool) {
	if !err.Retryable && (!e.admitted || *spared) {
		e.endLocked(err)
		return
	}
	if !err.Retryable {
		*spared = true
		if n := e.c.net; n != nil && e.c.o.Certificate {
			n.failLocked(err) // the next connection shows the certificate of that moment
		}
	}
	e.patience.failed(&e.c.o)
	e.tellConnectingLocked(Connecting, err)
}

// answering returns the context of a good-bye, which outlasts who it is for.
func (c *Conn) answering() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), min(c.o.OperationTimeout, c.o.CloseTimeout))
}

// begin begins the session.
func (e *entity) begin(n *network) {
	ctx, cancel := e.asking()
	defer cancel()
	session, err := n.conn.Begin(ctx, &amqpclient.SessionOptions{OnEnd: e.sessionEnded})
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = session.Err() // it may have ended in that moment
	}
	switch {
	case err == nil && (e.life.Err() != nil || c.net != n):
		c.closeLocked(n, session, nil)
	case err == nil:
		e.session, e.mute = session, 0
		e.patience.mended()
		e.refreshLocked(nil)
	case n.dead != nil || e.life.Err() != nil:
	default:
		if ctx.Err() != nil {
			n.unansweredLocked()
		}
		if level, _ := ending(err); level == amqpclient.LevelConn {
			n.failLocked(err)
		}
		refusal := asError("begin", 0, err)
		refusal.Outcome, refusal.Retryable = hubwire.NotSent, true
		e.refusedLocked(refusal, &e.spared.link)
	}
}

// closeLocked ends a session that nobody wants any more, and then calls done, if there is
// one, with the lock held.
func (c *Conn) closeLocked(n *network, session *amqpclient.Session, done func()) {
	c.startLocked(func() {
		ctx, cancel := c.answering()
		defer cancel()
		err := session.End(ctx, nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			n.unansweredLocked()
		}
		if done != nil {
			done()
		}
	})
}
