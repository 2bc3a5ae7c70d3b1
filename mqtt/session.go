package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
)

// Session is an MQTT client that outlives its connections. It connects again
// when one is lost, sends again what was not acknowledged, in order and ahead
// of what is new, restores its subscriptions, and renews its login before it
// expires. Its methods may be called from any goroutine.
//
// It owns one goroutine, which connects, reads, and calls the functions in
// [SessionOptions] and the done functions of publishes; a second one runs while packets
// wait to be written, and one closes a connection that is lost. All have returned by the time Done is closed.
//
// # Delivery
//
// A publish with QoS 1 that was accepted is sent until it is acknowledged, or
// the session ends: at least once. One with QoS 0 is written once; if the
// connection is lost in that moment its outcome is unknown, and that is reported.
//
// # Callbacks
//
// A callback may call every method. One that would have to wait for the
// callback to return (a blocking Publish, a full window, a Subscribe) returns
// [ErrWouldDeadlock] at once. A panic in a callback is contained and reported to OnPanic. One that
// ends its goroutine ([runtime.Goexit], and so t.FailNow) may end the session, in good order.
type Session struct {
	dial  DialFunc
	login LoginFunc
	o     SessionOptions
	start time.Time // the clock counts from here

	started chan bool // gets true when first connected, or false; nil then. It is run's
	flush   func()    // s.runFlusher, made once: starting it allocates nothing
	waiters spareWaiters

	runner  atomic.Uint64 // the id of the goroutine of run and stay
	calling atomic.Int32  // callbacks under way

	mu       sync.Mutex
	changed  sync.Cond          // something that settle, endings and Close wait for
	failure  error              // why the last connection was lost, or the last attempt failed
	cause    error              // why the session ends; the first one stays
	cancel   context.CancelFunc // ends the context of dial or login, while there is one
	helpers  int32              // flusher, timer, closing and OnPanic goroutines that exist or will
	detached int32              // those of them that wait in Close themselves
	callers  []uint64           // the ids of flushers that call back, and of who calls OnPanic
	link     *link              // the connection, or nil
	out      outbox
	ctl      []byte    // packets to write that are not publishes
	queue    waitQueue // publishes that wait for the window
	requests []*request
	subs     []subscription
	lastReq  uint16
	owed     bool // the server may lack subs, whatever it says of its session
	state    SessionState
	closing  bool // Close was called: nothing new is accepted
	ended    bool // all goroutines have returned, or are about to
	timerOn  bool
	timerAt  time.Duration // when it fires, if timerOn
	timer    *time.Timer
	done     chan struct{} // closed when ended; nil if nobody has asked for it

	loose       []completed // scratch of who writes
	patience    patience    // of run and stay
	completions []completed // scratch of the read loop
	ackIDs      []uint16    // scratch of the read loop
}

// link is one connection of a session. It is guarded by Session.mu, but for
// what says otherwise.
type link struct {
	nc   net.Conn
	conn Conn
	by   time.Duration // when the CONNACK is overdue
	lone bool          // a publish may be written by its own caller, as there is a buffer; set before up is

	up      bool  // the server accepted the connection
	dead    error // why it was given up; the first reason stays
	writing bool  // somebody has the right to write, and may be doing so
	reading bool  // the read loop has more to do before it waits
	bye     bool  // a DISCONNECT is to be written, and then the end
	leaving leaving
	inbox   inbox

	lastRead   atomic.Int64 // a time.Duration, no later than the last bytes were dealt with; written by the read loop
	lastWrite  time.Duration
	writeSince time.Duration // of the write under way
	inWrite    bool
	pingAt     time.Duration // of the last PINGREQ
	loose      int           // bytes written that no acknowledgement has proved read
	renewAt    time.Time     // by the wall clock, which goes on while a computer sleeps; zero: never
	leaveBy    time.Duration // when leaving stops waiting for acknowledgements
}

// leaving is whether a connection is about to be left.
type leaving uint8

const (
	staying leaving = iota
	forRenewal
	forGood
)

// StartSession connects and returns when the server has accepted. Trouble that
// can pass is tried again until ctx ends; a refusal that cannot is returned at
// once, as a *hubwire.Error. The session does not keep ctx. A DialFunc or LoginFunc that
// does not heed the end of its context delays the return by CloseTimeout at most.
//
// The CONNACK codes mean: 3 is [hubwire.ServiceUnavailable] and tried again; 1
// is [hubwire.InvalidProtocolVersion], and 2, 4 and 5 are
// [hubwire.Unauthorized]: these end the session, with one exception. 4 or 5 after
// a connection that had been accepted, or with a login that has expired meanwhile, may
// only say that a token got too old on its way: one more attempt is made, after
// the back-off, with a fresh login, and its refusal is final, unless that has expired meanwhile too.
func StartSession(ctx context.Context, dial DialFunc, login LoginFunc, o *SessionOptions) (*Session, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	if dial == nil || login == nil || ctx == nil {
		return nil, badArgument("start", "no DialFunc, no LoginFunc or no context", nil)
	}
	if ctx.Err() != nil {
		return nil, gaveUp("connect", false, ctx.Err())
	}
	s := &Session{
		dial: dial, login: login, o: opts, start: time.Now(),
		patience: patience{prompt: true},
	}
	s.changed.L = &s.mu
	s.flush = s.runFlusher
	started := make(chan bool, 1)
	s.started = started
	go s.run()
	select {
	case ok := <-started:
		if ok {
			return s, nil
		}
	case <-ctx.Done():
		s.end(ctx.Err())
		s.awaitDone(s.o.CloseTimeout)
	}
	return nil, s.startError(ctx)
}

// startError is why StartSession failed.
func (s *Session) startError(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil || !errors.Is(s.cause, ctx.Err()) {
		return s.cause
	}
	err := s.cause
	if s.failure != nil {
		err = fmt.Errorf("%w; the last attempt: %w", err, s.failure)
	}
	return &hubwire.Error{Op: "connect", Outcome: hubwire.NotSent, Retryable: true, Err: err}
}

// now is the time since the session began.
func (s *Session) now() time.Duration { return time.Since(s.start) }

// usable reports whether s is from StartSession, and ctx there.
func (s *Session) usable(ctx context.Context) bool { return s.begun() && ctx != nil }

// begun reports whether s is from StartSession.
func (s *Session) begun() bool { return s != nil && s.dial != nil }

// unusable is what a call that is not usable returns.
func (s *Session) unusable(ctx context.Context, op string) error {
	if ctx == nil {
		return badArgument(op, "the context is nil", nil)
	}
	return badArgument(op, "a Session comes from StartSession", nil)
}

// State returns the state of the connection.
func (s *Session) State() SessionState {
	if !s.begun() {
		return Closed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Done is closed when the session has ended and its goroutines have returned.
// It is nil for a Session that is not from StartSession.
func (s *Session) Done() <-chan struct{} {
	if !s.begun() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
		if s.ended {
			close(s.done)
		}
	}
	return s.done
}

// Err returns nil while the session lives, and then the first cause of its
// end: [ErrSessionClosed] after Close, else a *hubwire.Error.
func (s *Session) Err() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// end records why the session ends, if nothing did before, and lets everybody
// who waits go. The done functions are called by run, on its way out.
func (s *Session) end(cause error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = cause
		s.failWaitersLocked()
	}
	l, why, cancel := s.link, s.cause, s.cancel
	s.changed.Broadcast()
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	if l != nil {
		s.kill(l, why)
	}
}

// Close ends the session. It gives publishes that wait for their
// acknowledgement half of [SessionOptions].CloseTimeout, says DISCONNECT, fails
// what is left with [ErrSessionClosed], and returns when all goroutines are
// gone and every done function has been called. It may be called at any time,
// more than once, and from a callback, whose own goroutine it does not wait for
// (nor for acknowledgements, which that goroutine would read).
//
// The error is nil, or, when a callback, a DialFunc or a LoginFunc has not returned in
// time, one that matches [context.DeadlineExceeded]; the session ends all the same.
func (s *Session) Close() error {
	if !s.begun() {
		return nil // not from StartSession
	}
	limit := s.now() + s.o.CloseTimeout
	switch s.ownGoroutine() {
	case 0: // the usual case
	case s.runner.Load():
		return s.closeInside(limit)
	default: // a flusher's: run must not wait for it
		s.mu.Lock()
		s.detached++
		s.mu.Unlock()
		defer func() { s.mu.Lock(); s.detached--; s.mu.Unlock() }()
	}
	s.mu.Lock()
	s.closing = true
	if l := s.link; l != nil && l.up && s.cause == nil {
		l.leaving = forGood
		l.leaveBy = limit - s.o.CloseTimeout/2
		s.leaveLocked(l)
		s.kickLocked(l)
		if !s.await(l.leaveBy, func() bool { return s.link != l || l.dead != nil }) {
			l.bye = true
			s.kickLocked(l)
			s.await(limit-s.o.CloseTimeout/4, func() bool { return s.link != l || l.dead != nil })
		}
	}
	s.mu.Unlock()
	s.end(ErrSessionClosed)
	if !s.awaitDone(limit - s.now()) {
		return s.stuck()
	}
	return nil
}

// awaitDone waits for the end of the session's goroutines, for at most d, and
// reports whether it came.
func (s *Session) awaitDone(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.Done():
	case <-timer.C: // perhaps long ago, on a computer that is busy
	}
	select {
	case <-s.Done():
		return true
	default:
		return false
	}
}

// closeInside is Close in a callback on run's goroutine, which ends when the
// callback has returned.
func (s *Session) closeInside(limit time.Duration) error {
	s.mu.Lock()
	s.closing = true
	if l := s.link; l != nil && l.up && s.cause == nil {
		l.bye = true
		s.kickLocked(l)
		s.await(limit-s.o.CloseTimeout/2, func() bool { return l.dead != nil })
	}
	s.mu.Unlock()
	s.end(ErrSessionClosed)
	s.mu.Lock()
	s.stopTimer()
	gone := s.await(limit, func() bool { return s.helpers == s.detached })
	s.mu.Unlock()
	if !gone {
		return s.stuck()
	}
	return nil
}

func (s *Session) stuck() error {
	return &hubwire.Error{
		Op: "close", Outcome: hubwire.Unknown, Err: context.DeadlineExceeded,
		Message: "a callback, a DialFunc, a LoginFunc or a Close of the net.Conn has not returned after " + s.o.CloseTimeout.String(),
	}
}

// await waits with mu held until ok, or until the time is limit, and returns ok().
func (s *Session) await(limit time.Duration, ok func() bool) bool {
	late := false
	timer := time.AfterFunc(limit-s.now(), func() {
		s.mu.Lock()
		late = true
		s.changed.Broadcast()
		s.mu.Unlock()
	})
	defer timer.Stop()
	for !ok() && !late {
		s.changed.Wait()
	}
	return ok()
}
