package mqtt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"github.com/hubwire/hubwire/internal/goroutine"
)

// completed is a publish whose outcome is known.
type completed struct {
	completion
	err error
}

// outcome is what became of c. A wait has it from then on, however long call takes to come to it. mu is held.
func (c completion) outcome(err error) completed {
	if c.wait != nil {
		c.wait.err = err
	}
	return completed{c, err}
}

// call runs the done functions and wakes the waiters of ops, in order. mu is not held.
func (s *Session) call(ops []completed) {
	inside := false
	defer func() {
		if inside {
			s.calling.Add(-1)
		}
		if len(ops) > 0 {
			s.call(ops) // a done function has ended the goroutine (runtime.Goexit), not what the others wait for
		}
	}()
	for len(ops) > 0 {
		op := &ops[0]
		ops = ops[1:]
		if op.wait != nil {
			op.wait.wake()
		} else if op.done != nil {
			if !inside {
				inside = true
				s.calling.Add(1)
			}
			s.callDone(op.done, op.err)
		}
	}
}

func (s *Session) callDone(done func(error), err error) {
	defer s.contain()
	if err == nil || s.o.PublishError == nil {
		done(err)
		return
	}
	defer func() { done(err) }() // whatever PublishError does
	err = cmp.Or(s.o.PublishError(err), err)
}

// contain keeps a panic of a callback from the session.
func (s *Session) contain() {
	if v := recover(); v != nil {
		s.reportPanic(v)
	}
}

// containBeside is contain under a read or a write.
func (s *Session) containBeside() {
	if v := recover(); v != nil {
		s.reportBeside(v)
	}
}

func (s *Session) reportPanic(v any) {
	if s.o.OnPanic != nil {
		s.callOnPanic(v, debug.Stack())
	}
}

// reportBeside is reportPanic on a goroutine of its own. Who reads or writes must go on: a Close in OnPanic waits for it,
// and it may be a goroutine of the caller's, in Publish.
func (s *Session) reportBeside(v any) {
	if s.o.OnPanic == nil {
		return
	}
	stack := debug.Stack()
	s.mu.Lock()
	s.helpers++
	s.mu.Unlock()
	go func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.helpers--
			s.changed.Broadcast()
		}()
		s.callOnPanic(v, stack)
	}()
}

func (s *Session) callOnPanic(v any, stack []byte) {
	defer func() { _ = recover() }() // a hook that panics has nobody left to tell
	s.calling.Add(1)
	defer s.calling.Add(-1)
	if s.ownGoroutine() == 0 {
		defer s.callsBack()()
	}
	s.o.OnPanic(v, stack)
}

func (s *Session) deliver(d Delivery) {
	s.calling.Add(1)
	defer s.calling.Add(-1)
	defer s.contain()
	s.o.OnDelivery(d)
}

// trace is the caller's Trace, with its panics contained.
func (s *Session) trace() *Trace {
	t := s.o.Trace
	if t == nil {
		return nil
	}
	see := func(f func(Packet)) func(Packet) {
		if f == nil {
			return nil
		}
		return func(p Packet) { defer s.containBeside(); f(p) }
	}
	return &Trace{Received: see(t.Received), Sent: see(t.Sent)}
}

// callLogin calls the LoginFunc. Its error is looked through in here, since the
// error's methods are the caller's too.
func (s *Session) callLogin(ctx context.Context) (l Login, err error) {
	s.calling.Add(1)
	defer s.calling.Add(-1)
	defer func() {
		if v := recover(); v != nil {
			s.reportPanic(v)
			err = attemptFailed(fmt.Errorf("mqtt: LoginFunc panicked: %v", v))
		}
	}()
	if l, err = s.login(ctx); err != nil {
		err = attemptFailed(fmt.Errorf("mqtt: login: %w", err))
	}
	return l, err
}

// callDial calls the DialFunc, as callLogin does the LoginFunc.
func (s *Session) callDial(ctx context.Context) (nc net.Conn, err error) {
	s.calling.Add(1)
	defer s.calling.Add(-1)
	defer func() {
		if v := recover(); v != nil {
			s.reportPanic(v)
			err = attemptFailed(fmt.Errorf("mqtt: DialFunc panicked: %v", v))
		}
	}()
	nc, err = s.dial(ctx)
	if err == nil && nc == nil {
		err = errors.New("neither a connection nor an error")
	}
	if err != nil {
		err = attemptFailed(fmt.Errorf("mqtt: dial: %w", err))
	}
	return nc, err
}

// callDialExpires calls DialExpires, if there is one.
func (s *Session) callDialExpires() (at time.Time) {
	if s.o.DialExpires == nil {
		return at
	}
	s.calling.Add(1)
	defer s.calling.Add(-1)
	defer s.contain()
	return s.o.DialExpires()
}

// setState records a state and tells of it. It is called by run only, so that
// the calls are one at a time and in order.
func (s *Session) setState(state SessionState, reason error) {
	s.mu.Lock()
	s.state = state
	if state == Connecting {
		s.failure = reason
	}
	s.mu.Unlock()
	if s.o.OnState == nil {
		return
	}
	s.calling.Add(1)
	defer s.calling.Add(-1)
	defer s.contain()
	s.o.OnState(state, reason)
}

// callsBack makes the calling goroutine one of those that are inside a callback, until the result is called.
func (s *Session) callsBack() (end func()) {
	id := goroutine.ID()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callers = append(s.callers, id)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calledLocked(id)
	}
}

// calledLocked takes a goroutine off those that are inside a callback.
func (s *Session) calledLocked(id uint64) {
	s.callers = slices.DeleteFunc(s.callers, func(c uint64) bool { return c == id })
}

// InCallback reports whether the calling goroutine is inside one of s's
// callbacks, where it must not wait for what only the session can bring about.
func (s *Session) InCallback() bool { return s.ownGoroutine() != 0 }

// ownGoroutine returns the id of the calling goroutine when it is one of the
// session's own, inside a callback, and else 0.
func (s *Session) ownGoroutine() uint64 {
	if s == nil || s.calling.Load() == 0 {
		return 0 // the usual case, without the cost of looking
	}
	id := goroutine.ID()
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == s.runner.Load() || slices.Contains(s.callers, id) {
		return id
	}
	return 0
}
