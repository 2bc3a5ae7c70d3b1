package service

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/dialled"
	"github.com/hubwire/hubwire/sas"
)

// tokens keeps the token of a source while it is good. One call asks the source
// at a time; the others use the one that still holds, or wait.
type tokens struct {
	source   sas.TokenSource
	audience string
	asking   chan struct{} // full while a call asks; a mutex that a context can end

	mu   sync.Mutex
	last token
}

// token is what stands in the header Authorization, when to renew it, and when it ends.
type token struct {
	secret       sas.Secret // fmt looks into a Client too
	due, expires time.Time
}

func newTokens(source sas.TokenSource, audience string) *tokens {
	return &tokens{source: source, audience: audience, asking: make(chan struct{}, 1)}
}

// get returns a token, and not stale, which is one that the hub has refused.
func (t *tokens) get(ctx context.Context, stale string) (string, error) {
	k := t.kept(stale)
	if k.fresh() {
		return k.secret.Reveal(), nil
	}
	select {
	case t.asking <- struct{}{}:
	default:
		if k.holds() {
			return k.secret.Reveal(), nil
		}
		select {
		case t.asking <- struct{}{}:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	defer func() { <-t.asking }()
	if k = t.kept(stale); k.fresh() { // the call that was waited for brought it
		return k.secret.Reveal(), nil
	}
	text, expires, err := t.source.Token(ctx, t.audience)
	switch {
	case err != nil && k.holds():
		return k.secret.Reveal(), nil // it holds a while yet: the next call asks again
	case err != nil:
		return "", fmt.Errorf("no token: %w", dialled.Sound(err))
	case text == "" || !isText(text):
		return "", &hubwire.Error{Outcome: hubwire.NotSent, Message: "the token source gave what cannot stand in a header"}
	}
	t.keep(text, expires)
	return text, nil
}

// kept returns the token that was kept, if it still holds and is not stale.
func (t *tokens) kept(stale string) token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.secret.Reveal() == stale || !time.Now().Before(t.last.expires) {
		return token{}
	}
	return t.last
}

// holds reports whether there is a token, and fresh whether it is not due yet.
func (k token) holds() bool { return !k.secret.IsZero() }
func (k token) fresh() bool { return k.holds() && time.Now().Before(k.due) }

// renewAfter is the part of a token's life that it is used for.
const renewAfter = 0.8

// keep keeps a token for the calls to come, unless it does not say how long it holds.
func (t *tokens) keep(text string, expires time.Time) {
	now := time.Now()
	life := time.Duration(renewAfter * float64(expires.Sub(now)))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = token{secret: sas.NewSecret(text), due: now.Add(life), expires: expires}
}
