package device

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/goroutine"
)

// MethodHandler answers a direct method. The error is for the device's own
// faults: the caller gets status 500 and its text as a JSON string. So it does for an answer that
// cannot be sent: a negative status, a payload that is not JSON or over [hubwire.MaxMethodPayload].
type MethodHandler func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error)

// HandleMethod makes h answer the direct method of that name; the name "" is for
// those without a handler of their own, which else get status 501. nil removes
// a handler. ctx bounds the subscription that the first call makes; when that fails, h is not in
// place. It is given up, with an error that is Retryable, when it has cost the connection three times.
//
// Call it soon after Dial: a hub that kept the subscription of an earlier Client sends calls
// right away, and those that come before the first HandleMethod have no answer, since there may be
// a handler in a moment ([Hooks].Unexpected hears of them).
//
// Calls run concurrently, each in its own goroutine, off the read loop, at
// most [Options].MaxMethods at a time; a panic answers 500. The
// handler's context ends with the Client. An answer that a lost connection cut off
// is sent again on the next one.
func (c *Client) HandleMethod(ctx context.Context, name string, h MethodHandler) error {
	l, err := c.ready(ctx, "handle method")
	if err != nil {
		return err
	}
	if c.life.Err() != nil { // a link that serves them already would say nothing
		return withOp("handle method", ended(ctx, c.life))
	}
	if h == nil {
		c.methods.remove(name)
		return nil
	}
	set := c.methods.set(name, h) // before there can be calls for it
	err = l.serveMethods(ctx, c.serveMethod)
	c.methods.settle(name, set, err == nil)
	return withOp("handle method", err)
}

// handler is what was set for a method.
type handler struct {
	h      MethodHandler
	failed bool     // the subscription did: it is not in place
	before *handler // what is in place if this one should fail; nil when it cannot any more
}

// methods are a Client's handlers and the goroutines that run them.
type methods struct {
	limit int

	mu       sync.Mutex
	handlers map[string]*handler
	running  map[uint64]bool // by goroutine; true when Close is to wait for it
	starting int             // goroutines that have not entered running yet
	changed  chan struct{}   // closed and made anew when one ends
}

func (m *methods) init(limit int) {
	m.limit = limit
	m.handlers = map[string]*handler{}
	m.running = map[uint64]bool{}
	m.changed = make(chan struct{})
}

// set puts a handler in place, until settle says whether it stays.
func (m *methods) set(name string, h MethodHandler) *handler {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := &handler{h: h, before: m.handlers[name]}
	m.handlers[name] = set
	return set
}

// settle says what became of a handler. Another may have taken its place meanwhile.
func (m *methods) settle(name string, set *handler, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok {
		set.before = nil
		return
	}
	set.failed = true
	top := m.handlers[name]
	for top != nil && top.failed {
		top = top.before
	}
	if top == nil {
		delete(m.handlers, name)
	} else {
		m.handlers[name] = top
	}
}

func (m *methods) remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.handlers, name)
}

func (m *methods) find(name string) MethodHandler {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range []string{name, ""} {
		if set := m.handlers[n]; set != nil {
			return set.h
		}
	}
	return nil
}

// serveMethod is called by the link for each call that comes in. It does not block.
func (c *Client) serveMethod(r hubwire.MethodRequest, reply replyFunc) {
	if c.life.Err() != nil {
		return
	}
	if !c.methods.begin() {
		text := fmt.Sprintf("%d methods are running, which is the limit", c.o.MaxMethods)
		_ = reply(c.life, textResponse(http.StatusTooManyRequests, text)) // the caller times out if there is no room for it
		return
	}
	go func() {
		id := goroutine.ID()
		c.methods.enter(id)
		defer c.methods.leave(id)
		answer := textResponse(http.StatusInternalServerError, "device: the handler ended its goroutine") // as t.FailNow does
		defer func() {
			// The link outlives life by a moment, in which the answer can still go out.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), c.o.OperationTimeout)
			defer cancel()
			_ = reply(ctx, answer) // when that fails the link has ended, and who called times out
		}()
		answer = c.answer(r)
	}()
}

// answer runs the handler.
func (c *Client) answer(r hubwire.MethodRequest) (resp hubwire.MethodResponse) {
	h := c.methods.find(r.Name)
	if h == nil {
		return textResponse(http.StatusNotImplemented, fmt.Sprintf("the device has no method %q", r.Name))
	}
	resp = textResponse(http.StatusInternalServerError, errPanicked.Error())
	func() {
		defer contain(c.o.Hooks.panicked)
		if own, err := h(c.life, r); err != nil {
			resp = textResponse(http.StatusInternalServerError, err.Error()) // which may panic as well
		} else {
			resp = acceptable(own)
		}
	}()
	return resp
}

// acceptable returns a handler's answer, or what to answer where that cannot be sent.
func acceptable(r hubwire.MethodResponse) hubwire.MethodResponse {
	switch {
	case r.Status < 0 || r.Status > math.MaxInt32:
		return textResponse(http.StatusInternalServerError, fmt.Sprintf("the handler's status is %d", r.Status))
	case len(r.Payload) > hubwire.MaxMethodPayload:
		return textResponse(http.StatusInternalServerError, fmt.Sprintf("the handler's answer has %d bytes, the limit is %d", len(r.Payload), hubwire.MaxMethodPayload))
	case len(r.Payload) > 0 && !json.Valid(r.Payload):
		return textResponse(http.StatusInternalServerError, "the handler's answer is not JSON")
	}
	return r
}

// textResponse is an answer whose payload is text as a JSON string.
func textResponse(status int, text string) hubwire.MethodResponse {
	const most = 4096 // of an error's text; what is longer tells no more
	if len(text) > most {
		text = text[:most]
	}
	payload, _ := json.Marshal(text) // of a string, which cannot fail
	return hubwire.MethodResponse{Status: status, Payload: payload}
}

// begin reports whether there is room for one more handler.
func (m *methods) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.starting+len(m.running) >= m.limit {
		return false
	}
	m.starting++
	return true
}

func (m *methods) enter(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.starting--
	m.running[id] = true
}

func (m *methods) leave(id uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, id)
	m.changedLocked()
}

func (m *methods) changedLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// wait returns when no handler runs but those that wait in Close themselves,
// of which the calling goroutine may be one, or false when limit is over first.
func (m *methods) wait(limit <-chan struct{}) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.running) > 0 {
		if id := goroutine.ID(); m.running[id] {
			m.running[id] = false
			m.changedLocked()
		}
	}
	for over := false; m.pending() > 0; {
		if over {
			return false
		}
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-limit:
			over = true
		}
		m.mu.Lock()
	}
	return true
}

// pending returns how many handlers Close is to wait for. The caller holds the lock.
func (m *methods) pending() int {
	n := m.starting
	for _, waitFor := range m.running {
		if waitFor {
			n++
		}
	}
	return n
}
