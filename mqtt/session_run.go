package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/backoff"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// patience is how the session's goroutine remembers, over attempts and
// connections, how to go about the next one.
type patience struct {
	waits    int    // since a connection that stood for long enough
	clientID string // of the last CONNECT
	closed   int32  // connections in a row that the server closed before they had stood for long enough
	prompt   bool   // the next attempt is to be made at once: the first, or a planned one
	accepted bool   // the server took a login at some time
	spared   bool   // and then a refusal was not believed
}

// run connects, and hands over to stay. The two are one goroutine's work; but
// dialling, with its TLS handshake, leaves a large stack behind, and waiting
// needs a small one, so that a new goroutine is cheaper to keep.
func (s *Session) run() {
	s.runner.Store(goroutine.ID())
	ends := true
	defer func() {
		if ends {
			s.finish()
		}
	}()
	p := &s.patience
	for s.pause(s.wait()) {
		l, life, err := s.connect()
		if err == nil {
			p.accepted, p.spared = true, false
			ends = false
			go s.stay(l)
			return
		}
		switch over := life.over(); {
		case over && !life.stillborn:
			spare(err) // by how long the way was, and so may the next be
		case over || p.accepted:
			p.spared = p.spared || spare(err)
		}
		if !s.mended(err) {
			return
		}
	}
}

// stay reads from one connection until it ends, and then sees to the next one.
func (s *Session) stay(l *link) {
	s.runner.Store(goroutine.ID())
	ends := true
	defer func() {
		if ends {
			s.finish()
		}
	}()
	since := s.now()
	planned, err := s.lose(l, s.readLoop(l)) // which has its small stack to itself as long as nothing comes
	p := &s.patience
	if planned || s.now()-since >= s.o.StableAfter {
		p.waits, p.closed = 0, 0
	} else {
		p.suspect(err)
	}
	p.prompt = planned
	if planned && s.alive() {
		s.setState(Renewing, ErrRenewal)
	} else if !s.mended(err) {
		return
	}
	ends = false
	s.run()
}

// suspect says of a connection that the server closed, as it did with the one
// before, and soon, what that is most likely to mean.
func (p *patience) suspect(err error) {
	e, ok := errors.AsType[*hubwire.Error](err)
	if !ok || !errors.Is(e, ErrServerClosed) {
		p.closed = 0
		return
	}
	if p.closed++; p.closed > 1 {
		e.Message = fmt.Sprintf("%d times in a row, soon after it was accepted; has another client the same id?", p.closed)
	}
}

// mended reports whether the session goes on after err, and tells of it.
func (s *Session) mended(err error) bool {
	switch {
	case !s.alive():
		return false
	case fatal(err):
		s.end(err)
		return false
	}
	s.setState(Connecting, err)
	return true
}

// spare marks the refusal of a login that may only have been too old as one that
// can be mended, and reports whether err is one.
func spare(err error) bool {
	e, ok := errors.AsType[*hubwire.Error](err)
	if !ok || !errors.Is(e, BadCredentials) && !errors.Is(e, NotAuthorized) {
		return false
	}
	e.Retryable = true
	return true
}

// alive reports whether the session is to go on. A Close ends it here, when
// its connection has gone.
func (s *Session) alive() bool {
	s.mu.Lock()
	closing := s.closing
	alive := s.cause == nil && !closing
	s.mu.Unlock()
	if closing {
		s.end(ErrSessionClosed)
	}
	return alive
}

// pause waits before an attempt to connect, and reports whether to make it.
func (s *Session) pause(d time.Duration) bool {
	if d > 0 {
		ctx, cancel := s.bounded(d)
		<-ctx.Done()
		cancel()
	}
	return s.alive()
}

// bounded returns a context that ends after d, or with the session. There is one at a time, and
// none while a connection stands.
func (s *Session) bounded(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancel = cancel
	if s.cause != nil {
		cancel()
	}
	return ctx, func() {
		cancel()
		s.mu.Lock()
		s.cancel = nil
		s.mu.Unlock()
	}
}

// wait is how long to wait before the attempt that is about to be made.
func (s *Session) wait() time.Duration {
	p := &s.patience
	if p.prompt {
		p.prompt = false
		return 0
	}
	p.waits++
	return backoff.Wait(p.waits-1, s.o.MinBackoff, s.o.MaxBackoff)
}

// finish is the end of run: everybody gets an answer, and the goroutines go.
func (s *Session) finish() {
	defer s.over()
	defer s.failAll()       // whatever a done function of leave does
	s.end(ErrSessionClosed) // there is a cause already, unless a callback ended the goroutine
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l != nil {
		s.leave(l)
	}
}

// failAll waits for the other goroutines, and tells of all that is left that the session has ended.
func (s *Session) failAll() {
	s.mu.Lock()
	s.stopTimer()
	for s.helpers > s.detached {
		s.changed.Wait()
	}
	var ops []completed
	for i := s.out.head; i < s.out.tail; i++ {
		if slot := s.out.at(i); !slot.free {
			sent := slot.sent
			ops = append(ops, s.out.remove(i).outcome(failed("publish", sent, s.cause)))
		}
	}
	s.out.trim() // and no more: a Publish whose context ends now may still look its place up
	s.ctl, s.subs = nil, nil
	reason := s.cause
	s.mu.Unlock()
	if errors.Is(reason, ErrSessionClosed) {
		reason = nil
	}
	defer s.setState(Closed, reason) // also when a done function ends the goroutine
	s.call(ops)
}

// over is the last that a session does.
func (s *Session) over() {
	s.tellStart(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.done != nil {
		close(s.done)
	}
}

// tellStart lets StartSession return, the first time.
func (s *Session) tellStart(connected bool) {
	if s.started != nil {
		s.started <- connected // has room
		s.started = nil
	}
}

// failWaitersLocked lets all blocked calls go. They run no code of the
// caller's, so this need not wait for run, which may be in a callback.
func (s *Session) failWaitersLocked() {
	for i := s.out.head; i < s.out.tail; i++ {
		slot := s.out.at(i)
		if w := slot.op.wait; w != nil {
			slot.op.wait = nil
			w.tell(failed("publish", slot.sent, s.cause))
		}
	}
	for w := s.queue.first; w != nil; w = s.queue.first {
		s.queue.remove(w)
		w.tell(failed("publish", false, s.cause))
	}
	for _, r := range s.requests {
		r.answer(failed(r.op(), r.tries > 0, s.cause))
	}
	s.requests = nil
}

// connect makes one attempt: login, dial, CONNECT, CONNACK. life is that of
// the login, for who wants to judge a refusal.
func (s *Session) connect() (l *link, life lifetime, err error) {
	loginCtx, cancel := s.bounded(s.o.ConnectTimeout)
	login, err := s.callLogin(loginCtx)
	cancel()
	if err != nil {
		return nil, life, err
	}
	life.end = login.Expires
	life.stillborn = life.over()
	packet, err := s.hello(&login)
	if err != nil {
		return nil, life, badArgument("connect", "the Login", err)
	}
	defer clear(packet) // it holds the password
	if login.ClientID != s.patience.clientID {
		s.patience.clientID = login.ClientID
		s.mu.Lock()
		s.owed = true // a session that the server has by this name is another one
		s.mu.Unlock()
	}
	by := s.connectLimit()
	dialCtx, cancel := s.bounded(s.o.ConnectTimeout)
	defer cancel()
	nc, err := s.callDial(dialCtx)
	if err != nil {
		return nil, life, err
	}
	l = &link{nc: nc, by: by}
	l.conn.init(nc, &ConnOptions{MaxPacket: s.o.MaxPacket, Trace: s.trace()})
	s.mu.Lock()
	s.link = l // so that Close can reach it
	s.wakeAt(by)
	cause := s.cause
	s.mu.Unlock()
	if cause != nil { // a CONNECT would still take the place of whoever has come after
		s.kill(l, cause)
		s.leave(l)
		return nil, life, attemptFailed(cause)
	}
	ack, err := s.handshake(l, packet)
	if err != nil {
		if _, refused := err.(*hubwire.Error); !refused {
			s.mu.Lock()
			s.owed = true // the server may have begun a session for this CONNECT, and have it by the next
			s.mu.Unlock()
		}
		s.kill(l, err)
		s.leave(l)
		return nil, life, attemptFailed(l.dead)
	}
	s.establish(l, ack.SessionPresent, s.expiry(&login))
	return l, life, nil
}

// hello builds the CONNECT.
func (s *Session) hello(login *Login) ([]byte, error) {
	c := Connect{
		ClientID: []byte(login.ClientID), CleanSession: s.o.CleanSession,
		KeepAlive: uint16(s.o.KeepAlive / time.Second), Will: s.o.Will, Password: login.Password,
	}
	if login.UserName != "" {
		c.UserName = []byte(login.UserName)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	packet := c.AppendTo(nil)
	if n := len(packet); n > s.o.MaxPacket {
		clear(packet) // it holds the password
		return nil, fmt.Errorf("with the Will it makes a CONNECT of %d bytes, the limit is %d: %w", n, s.o.MaxPacket, ErrTooLarge)
	}
	return packet, nil
}

// handshake sends the CONNECT and waits for the CONNACK. What bounds it is the
// session's timer, since not every tunnel has deadlines.
func (s *Session) handshake(l *link, packet []byte) (_ Connack, err error) {
	defer s.connPanicked(&err)
	l.lone = buffered(l.nc)
	if err := l.conn.Write(packet); err != nil {
		return Connack{}, fmt.Errorf("mqtt: write CONNECT: %w", look(err))
	}
	p, err := l.conn.ReadPacket()
	if errors.Is(look(err), ErrLength) {
		return Connack{}, protocolError("%w", err)
	}
	if err != nil {
		return Connack{}, fmt.Errorf("mqtt: wait for CONNACK: %w", err)
	}
	if p.Type() != TypeConnack {
		return Connack{}, protocolError("%v instead of CONNACK", p.Type())
	}
	ack, err := ParseConnack(p)
	if err != nil {
		return Connack{}, protocolError("%w", err)
	}
	if ack.Code != Accepted {
		return Connack{}, refusedBy(ack.Code)
	}
	return ack, nil
}

// establish opens an accepted connection for traffic: subscriptions first,
// then what was sent before, then what is new.
func (s *Session) establish(l *link, present bool, expires time.Time) {
	s.mu.Lock()
	if l.dead != nil {
		s.mu.Unlock()
		return // stay will say so
	}
	now := s.now()
	l.up = true
	l.lastRead.Store(int64(now))
	l.lastWrite = now
	l.renewAt = s.renewal(expires)
	s.out.rewind()
	s.restore(now, present)
	s.stopTimer() // of connect
	s.schedule(l)
	s.kickLocked(l)
	s.mu.Unlock()
	s.setState(Connected, nil)
	s.tellStart(true)
}

// lose ends a connection that nothing can be read from any more, and says
// whether that was planned and else why.
func (s *Session) lose(l *link, err error) (planned bool, why error) {
	s.kill(l, err)
	s.leave(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.leaving == forRenewal, lost(l.dead)
}

// leave takes a dead connection out of the session, when nobody writes to it
// any more, and settles what can not outlive it.
func (s *Session) leave(l *link) {
	s.mu.Lock()
	for l.writing {
		s.changed.Wait()
	}
	s.link = nil
	s.ctl = nil
	var ops []completed
	for i := s.out.head; i < s.out.next; i++ {
		if slot := s.out.at(i); !slot.free && slot.qos == AtMostOnce {
			ops = append(ops, s.out.remove(i).outcome(failed("publish", true, lost(l.dead))))
		}
	}
	s.dropRequests(lost(l.dead))
	s.makeRoom()
	s.changed.Broadcast()
	s.mu.Unlock()
	s.call(ops)
}
