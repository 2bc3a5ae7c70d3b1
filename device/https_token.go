package device

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// tokenCache keeps a token for the requests of 80 % of its life.
type tokenCache struct {
	cfg  *config
	over context.Context // nobody waits for a token any more
	held atomic.Pointer[heldToken]
	lock chan struct{} // whose holder may ask for another; waiting for it can end
}

// heldToken is a token as the header that carries it.
type heldToken struct {
	header  []string
	renew   time.Time // zero for never
	expires time.Time // zero for never
}

func (c *tokenCache) init(over context.Context, cfg *config) {
	c.over, c.cfg, c.lock = over, cfg, make(chan struct{}, 1)
}

// get returns a token that is good, or nil where a certificate says who asks.
func (c *tokenCache) get(ctx context.Context) (*heldToken, *hubwire.Error) {
	if c.cfg.cred.Tokens == nil {
		return nil, nil
	}
	if t := c.held.Load(); t.good() {
		return t, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	defer context.AfterFunc(c.over, cancel)()
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-ctx.Done():
		return nil, noToken(ctx.Err())
	}
	if t := c.held.Load(); t.good() {
		return t, nil // somebody else was quicker
	}
	t, err := c.ask(ctx)
	if err != nil {
		return nil, noToken(err)
	}
	c.held.Store(t)
	return t, nil
}

func (t *heldToken) good() bool {
	return t != nil && (t.renew.IsZero() || time.Now().Before(t.renew))
}

// expiredSince reports whether t was good at a time, and is not any more.
func (t *heldToken) expiredSince(start time.Time) bool {
	return t != nil && start.Before(t.expires) && !time.Now().Before(t.expires)
}

// ask gets a token from its source, whose panics it contains.
func (c *tokenCache) ask(ctx context.Context) (t *heldToken, err error) {
	defer func() {
		if t == nil && err == nil {
			err = errSource
		}
	}()
	defer contain(c.cfg.panicked)
	token, expires, err := c.cfg.cred.Tokens.Token(ctx, sas.Audience(c.cfg.cred.HostName, c.cfg.id))
	if err != nil {
		return nil, err
	}
	t = &heldToken{header: []string{token}, expires: expires}
	if !expires.IsZero() {
		now := time.Now()
		t.renew = now.Add(time.Duration(float64(expires.Sub(now)) * (0.78 + 0.04*rand.Float64())))
	}
	return t, nil
}

var errSource = errors.New("device: the token source panicked")

// drop has the next request ask for another token than t, and reports whether there can be one.
func (c *tokenCache) drop(t *heldToken) bool {
	if t != nil {
		c.held.CompareAndSwap(t, nil)
	}
	return t != nil
}

// noToken is the error of an attempt for which there was no token. What a source says cannot be
// mended is not tried again.
func noToken(err error) *hubwire.Error {
	failed := hubwire.Error{Retryable: true}
	if e, ok := errors.AsType[*hubwire.Error](err); ok {
		failed = *e
		failed.Message = "" // err has it
	}
	failed.Op, failed.Outcome, failed.Err = "token", hubwire.NotSent, err
	return &failed
}
