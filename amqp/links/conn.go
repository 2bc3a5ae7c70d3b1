package links

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// Conn is one AMQP connection, across the network connections that it is made of. It connects
// when its first entity opens, and again when the connection is lost, as long as there are
// entities. Its methods may be called from any goroutine, and from its callbacks.
//
// It owns one goroutine (run) from then on, one more that reads while there is a connection, and others for as
// long as something is to be written, brought back, told or closed. All have returned by the time Done is closed.
type Conn struct {
	o     Options
	life  context.Context // ends with the Conn; its cause is why
	stop  context.CancelCauseFunc
	done  chan struct{}
	wake  chan struct{} // tells run that somebody wants a connection
	slots chan struct{} // whose holders may ask the peer for something

	mu       sync.Mutex
	changed  sync.Cond // a goroutine has ended
	entities map[string]*entity
	net      *network // the connection, once it is open, until it is lost
	state    State
	failure  error // why the last connection was lost, or the last attempt failed
	cause    error // why the Conn ended; the first one stays
	tellers  notifier
	running  int             // goroutines of the Conn
	detached int             // those of them that wait in Close themselves
	callers  map[uint64]bool // the ids of those that call the caller's functions
	started  bool            // run does
	over     bool            // done is closed
}

// atOnce is how many questions may be with the peer at a time, tokens and attaches together.
const atOnce = 30

// New makes a Conn, which does nothing before an entity opens. o is copied.
func New(o *Options) (*Conn, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		o: opts, done: make(chan struct{}), wake: make(chan struct{}, 1), slots: make(chan struct{}, atOnce),
		entities: make(map[string]*entity), callers: make(map[uint64]bool),
	}
	c.life, c.stop = context.WithCancelCause(context.Background())
	c.changed.L = &c.mu
	return c, nil
}

// begun reports whether c is from New.
func (c *Conn) begun() bool { return c != nil && c.done != nil }

// State returns the state of the network connection. A Conn that is not from New is Closed.
func (c *Conn) State() State {
	if !c.begun() {
		return Closed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Done is closed when the Conn has ended and its goroutines have returned. It is nil for a
// Conn that is not from New.
func (c *Conn) Done() <-chan struct{} {
	if !c.begun() {
		return nil
	}
	return c.done
}

// Err returns nil while the Conn lives, and then why it ended: [ErrClosed] after Close, else a
// *hubwire.Error.
func (c *Conn) Err() error {
	if !c.begun() {
		return nil
	}
	return context.Cause(c.life)
}

// Close ends the Conn and all its entities, and returns when all goroutines are gone, within
// CloseTimeout: a peer that does not read or answer is cut off. It may be called more than
// once, at any time, and from a callback or a done function, whose own goroutine it does not wait for.
//
// The error is nil or, when a function of the caller's has not returned in time, one that
// matches [context.DeadlineExceeded]; the Conn has ended all the same.
func (c *Conn) Close() error {
	if !c.begun() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entities {
		if f := e.cfg.closing; f != nil {
			f()
		}
	}
	c.endLocked(ErrClosed)
	if c.insideLocked() {
		c.detached++
		defer func() { c.detached--; c.changed.Broadcast() }()
	}
	late := false
	timer := time.AfterFunc(c.o.CloseTimeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.changed.Broadcast()
	})
	defer timer.Stop()
	for c.running > c.detached && !late {
		c.changed.Wait()
	}
	if c.running > c.detached {
		for _, e := range c.entities { // those that a function of the caller's keeps from their end
			if f := e.cfg.late; f != nil {
				f(c.cause)
			}
		}
		return &hubwire.Error{
			Op: "close", Outcome: hubwire.Unknown, Err: context.DeadlineExceeded,
			Message: "a callback, Dial, a token source or a Close of the net.Conn has not returned after " + c.o.CloseTimeout.String(),
		}
	}
	return nil
}

func (c *Conn) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(cause)
}

// endLocked ends c, and with it its entities, if it has not ended yet.
func (c *Conn) endLocked(cause error) {
	if c.cause != nil {
		return
	}
	c.cause = cause
	c.stop(cause)
	for _, e := range c.entities {
		e.endLocked(cause)
	}
	reason := cause
	if cause == ErrClosed {
		reason = nil
	}
	c.stateLocked(Closed, reason)
	c.overLocked()
}

// stateLocked sets the state, and tells of it.
func (c *Conn) stateLocked(s State, reason error) {
	c.state = s
	if f := c.o.OnState; f != nil {
		c.tellLocked(&c.tellers, func() { f(s, reason) })
	}
}

// startLocked runs f on a goroutine of c's.
func (c *Conn) startLocked(f func()) {
	c.running++
	go func() {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.running--
			c.changed.Broadcast()
			c.overLocked()
		}()
		f()
	}()
}

// overLocked is the last that c does, once nothing of it runs any more.
func (c *Conn) overLocked() {
	if c.cause != nil && c.running == 0 && !c.over {
		c.over = true
		close(c.done)
	}
}

// notifier tells somebody of things, one at a time, in order.
type notifier struct {
	queue []func()
	busy  bool
}

// tellLocked has f called, behind what n has been given before, on a goroutine that is gone
// when there is nothing left to tell.
func (c *Conn) tellLocked(n *notifier, f func()) {
	n.queue = append(n.queue, f)
	if !n.busy {
		n.busy = true
		c.startLocked(func() { c.tell(n) })
	}
}

func (c *Conn) tell(n *notifier) {
	finished := false
	defer func() {
		if !finished { // the callback has ended the goroutine (runtime.Goexit), not what others wait for
			c.mu.Lock()
			defer c.mu.Unlock()
			c.startLocked(func() { c.tell(n) })
		}
	}()
	c.mu.Lock()
	for len(n.queue) > 0 {
		f := n.queue[0]
		n.queue = n.queue[1:]
		c.mu.Unlock()
		c.call(f)
		c.mu.Lock()
	}
	n.queue, n.busy, finished = nil, false, true
	c.mu.Unlock()
}

// call calls a function of the caller's. A panic in it is contained.
func (c *Conn) call(f func()) {
	defer c.contain()
	id := goroutine.ID()
	c.mu.Lock()
	nested := c.callers[id]
	c.callers[id] = true
	c.mu.Unlock()
	if !nested {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.callers, id)
		}()
	}
	f()
}

// inside reports whether a callback calls, on a goroutine that c would have to wait for.
func (c *Conn) inside() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.insideLocked()
}

func (c *Conn) insideLocked() bool {
	return len(c.callers) > 0 && c.callers[goroutine.ID()]
}

// contain keeps a panic of the caller's functions from c. It is to be deferred.
func (c *Conn) contain() {
	if v := recover(); v != nil {
		c.panicked(v)
	}
}

func (c *Conn) panicked(v any) {
	if c.o.OnPanic == nil {
		return
	}
	defer func() { _ = recover() }() // a hook that panics has nobody left to tell
	c.o.OnPanic(v, debug.Stack())
}

// panickedBeside is panicked for what reads or writes, and may hold locks: OnPanic, which may close c, has a goroutine of its own.
func (c *Conn) panickedBeside(v any) {
	if c.o.OnPanic == nil {
		return
	}
	stack := debug.Stack()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startLocked(func() {
		c.call(func() {
			defer func() { _ = recover() }() // a hook that panics has nobody left to tell
			c.o.OnPanic(v, stack)
		})
	})
}
