package service

import (
	"context"
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/backoff"
)

// request is one operation, as it is asked of the hub.
type request struct {
	httpsx.Request

	waits time.Duration // how long the hub may take on purpose
}

// safety says when a request may be sent again.
type safety uint8

const (
	once       safety = iota // never
	guarded                  // when it surely did nothing
	repeatable               // whenever it failed
)

// safety returns how often r may be done.
func (r *request) safety() safety {
	switch r.Op {
	case httpsx.InvokeMethod, httpsx.InvokeCommand:
		return once
	case httpsx.PutJob, httpsx.PurgeC2D: // the second answer would not be that of the first
		return guarded
	case httpsx.PutDevice, httpsx.PutModule, httpsx.PutConfiguration:
		if r.IfMatch == "" { // that creates
			return guarded
		}
	case httpsx.PatchTwin: // a merge patch, under an ETag or Any
		return repeatable
	case httpsx.PatchDigitalTwin: // a JSON Patch can append
		if r.IfMatch != Any {
			return repeatable
		}
	}
	if r.Op.Repeatable() {
		return repeatable
	}
	return guarded
}

// reads reports whether r changes nothing.
func (r *request) reads() bool {
	return r.Op.Method() == http.MethodGet || r.Op == httpsx.Query || r.Op == httpsx.TestConfigurationQueries
}

// exchange is a request under way, attempt after attempt.
type exchange struct {
	c *Client
	r *request

	attempts int
	token    string // of the last attempt
	stale    string // one that the hub has refused
	lost     bool   // an attempt may have done its work
}

// do performs r, as often as that is safe and of use, and returns the hub's answer to
// it. The error is a [*hubwire.Error].
func (c *Client) do(ctx context.Context, r *request) (*httpsx.Answer, error) {
	if err := c.ready(ctx, r.Op.String()); err != nil {
		return nil, err
	}
	if err := r.Op.Check(r.Target); err != nil {
		return nil, err
	}
	ctx, cancel := c.bounded(ctx, r.waits)
	defer cancel()
	ctx, cancel = c.until(ctx)
	defer cancel()
	x := &exchange{c: c, r: r}
	var last *hubwire.Error
	for {
		token, err := c.tokens.get(ctx, x.stale)
		switch {
		case err != nil || c.ended(ctx) != nil:
			return nil, x.fail(x.noToken(ctx, err))
		case token == x.stale:
			return nil, x.fail(last) // the one that was refused is all there is
		}
		x.token = token
		a, e, seen := x.attempt(ctx)
		if e == nil {
			x.tell(seen, nil, -1)
			return a, nil
		}
		wait, again := x.next(ctx, e)
		if !again {
			x.tell(seen, e, -1)
			return nil, x.fail(e)
		}
		x.tell(seen, e, wait)
		if !c.pause(ctx, wait) {
			return nil, x.fail(x.interrupted(ctx, e))
		}
		last = e
	}
}

// next decides whether there is another attempt after one that failed with e, and when.
func (x *exchange) next(ctx context.Context, e *hubwire.Error) (wait time.Duration, again bool) {
	if e.Code.Status() == http.StatusUnauthorized && e.Outcome == hubwire.Refused && x.stale == "" {
		x.stale = x.token
		return 0, true
	}
	if x.c.ended(ctx) != nil || x.attempts >= x.c.o.MaxAttempts || !x.mayRepeat(e) {
		return 0, false
	}
	x.lost = x.lost || e.Outcome == hubwire.Unknown && !x.r.reads()
	wait = e.RetryAfter + backoff.Wait(x.attempts-1, x.c.o.MinBackoff, x.c.o.MaxBackoff)
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
		return 0, false
	}
	return wait, true
}

// mayRepeat reports whether the request may be sent again after e, and whether that is of any use.
func (x *exchange) mayRepeat(e *hubwire.Error) bool {
	if !e.Retryable || e.Code == hubwire.QuotaExceeded { // which lasts until the end of the day
		return false
	}
	switch x.r.safety() {
	case repeatable:
		return true
	case guarded:
		s := e.Code.Status()
		return e.Outcome == hubwire.NotSent ||
			e.Outcome == hubwire.Refused && (s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable)
	}
	return false
}

// pause waits, and reports whether ctx and the Client lasted.
func (c *Client) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-c.life.Done():
	}
	return c.ended(ctx) == nil
}

// fail is the error of the whole call, of which e ended the last attempt.
func (x *exchange) fail(e *hubwire.Error) error {
	e.Op = x.r.Op.String()
	if x.lost && e.Outcome != hubwire.Unknown {
		e.Outcome = hubwire.Unknown
		e.Message = joined(e.Message, "an earlier attempt, whose answer was lost, may have done it")
	}
	return e
}

// tell tells the hook of an attempt.
func (x *exchange) tell(a Attempt, err *hubwire.Error, next time.Duration) {
	if x.c.o.Hooks.Attempt == nil {
		return
	}
	if err != nil {
		own := *err // the call goes on to change its error
		own.Op = a.Op
		a.Err = &own
	}
	a.Next = next
	x.c.o.Hooks.Attempt(a)
}
