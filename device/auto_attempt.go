package device

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// attempt is the one of [Auto] with a transport. When it has led to a connection it stays with its
// link, whose dials it makes.
type attempt struct {
	*chooser
	own  config      // what the link is told
	ways []Transport // the transport, and those that carry the same protocol

	giveUp   context.CancelCauseFunc
	late     *time.Timer // gives up
	stood    atomic.Bool // a connection has
	answered atomic.Bool // the hub, if only that it is busy
	dropped  atomic.Bool // it was in vain, and what else its link says is not heard

	mu     sync.Mutex
	at     int    // the way of the next dial
	silent *Door  // the way of the last dial, by which the hub is still to answer
	passed []Door // what failed since the last connection
	chose  string // the name of the way of that
	kept   bool   // the link is the Client's
	closed *error // why the link ended before it was
}

// errLate is why Auto turns to the next transport when there is no answer.
var errLate error = lateError{}

type lateError struct{}

func (lateError) Error() string        { return "device: no answer of the hub in time" }
func (lateError) Timeout() bool        { return true }
func (lateError) Is(target error) bool { return target == context.DeadlineExceeded }

// unreachedError is about a dial that Auto can make another way.
type unreachedError struct{ err error }

func (e *unreachedError) Error() string { return e.err.Error() }
func (e *unreachedError) Unwrap() error { return e.err }

// try opens a link over the i-th of all, after others that were in vain. The door is closed when
// another transport may have more luck; else the error, if any, is final.
func (c *chooser) try(ctx context.Context, i int, passed []Door) (link, Door, error) {
	t := c.all[i]
	trying, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	a := &attempt{chooser: c, own: *c.cfg, ways: c.sameProtocol(t), giveUp: giveUp, passed: slices.Clone(passed)}
	a.own.state, a.own.instead = a.state, a.dial
	if tokens := c.cfg.cred.Tokens; tokens != nil {
		a.own.cred.Tokens = &awaitedTokens{tokens, a}
	}
	a.late = time.AfterFunc(c.patience, func() { giveUp(errLate) })
	defer a.late.Stop()
	d, start := c.cfg.knocking(t), time.Now()
	l, err := t.open(trying, &a.own)
	d.Latency = time.Since(start)
	if err == nil {
		a.keep()
		return l, d, nil
	}
	a.dropped.Store(true)
	if why := a.inTheWay(trying, err); why != nil {
		return nil, d.closed(obstacleOf(why), why), nil
	}
	c.cfg.state(Closed, err)
	return nil, d, err
}

// sameProtocol returns t, and of those that will do the ones that differ from it by their tunnel alone.
func (c *chooser) sameProtocol(t Transport) []Transport {
	protocol := func(t Transport) string { return strings.TrimSuffix(t.name, "-ws") }
	ways := []Transport{t}
	for i, o := range c.all {
		if c.lacks[i] == nil && o.name != t.name && protocol(o) == protocol(t) {
			ways = append(ways, o)
		}
	}
	return ways
}

// inTheWay returns what another transport may not meet, or nil.
func (a *attempt) inTheWay(trying context.Context, err error) error {
	if a.answered.Load() {
		return nil
	}
	if trying.Err() != nil {
		return context.Cause(trying)
	}
	if e, ok := errors.AsType[*unreachedError](err); ok {
		return e.err
	}
	return nil
}

// state is told by the link. What it says before it is the Client's is for Auto to judge.
func (a *attempt) state(s State, reason error) {
	switch {
	case a.dropped.Load(), s == Closed && !a.ends(reason):
		return
	case a.stood.Load() || s == Closed:
		if s == Connecting && reason != nil && !ofTheHub(reason) {
			a.turn(reason)
		}
	case s == Connected:
		a.stood.Store(true)
		a.late.Stop()
	case ofTheHub(reason):
		a.answered.Store(true)
		a.late.Stop()
	default:
		a.giveUp(reason)
		return
	}
	if s == Connected {
		a.noteChoice()
	}
	a.cfg.state(s, reason)
}

// ofTheHub reports whether err is what the hub answered, or what the source of the tokens failed
// with: another way to the hub would change nothing.
func ofTheHub(err error) bool {
	if isA[*tokenError](err) {
		return true
	}
	e, ok := errors.AsType[*hubwire.Error](err)
	return ok && e.Code != 0
}

// ends reports whether the end of the link is that of the Client.
func (a *attempt) ends(reason error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.kept {
		a.closed = &reason
	}
	return a.kept
}

// keep makes the link the Client's, also where it is still to say that it is connected.
func (a *attempt) keep() {
	if !a.stood.Swap(true) {
		a.noteChoice()
	}
	a.mu.Lock()
	a.kept = true
	closed := a.closed
	a.mu.Unlock()
	if closed != nil {
		a.cfg.state(Closed, *closed)
	}
}

// dial makes the link's connections. Before one has stood, a failure ends the attempt; later
// the next dial goes another way.
func (a *attempt) dial(ctx context.Context) (net.Conn, error) {
	a.mu.Lock()
	at := a.at
	a.mu.Unlock()
	d, start := a.cfg.knocking(a.ways[at]), time.Now()
	nc, err := d.Transport.door.connect(ctx, &a.own)
	if err != nil && !a.stood.Load() {
		return nil, &hubwire.Error{Outcome: hubwire.NotSent, Err: &unreachedError{err}}
	}
	d.Latency = time.Since(start)
	a.mu.Lock()
	a.silent = &d
	a.mu.Unlock()
	if err != nil {
		a.turn(err)
	}
	return nc, err
}

// turn has the next dial go another way, unless the hub has answered by this one: a firewall may let
// TLS pass and nothing behind it.
func (a *attempt) turn(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silent == nil {
		return
	}
	a.at = (a.at + 1) % len(a.ways)
	a.passed = append(a.passed, a.silent.closed(obstacleOf(why), why))
	a.passed = a.passed[max(0, len(a.passed)-len(a.all)):]
	a.silent = nil
}

// noteChoice tells the Client by what the connection is that has just been made, when that is news.
func (a *attempt) noteChoice() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = nil
	made := Choice{Transport: a.ways[a.at], Passed: a.passed}
	made.Lost = Lost(made.Transport, a.all...)
	a.passed = nil
	if a.chose != made.Transport.name {
		a.chose = made.Transport.name
		a.cfg.chosen(made)
	}
}

// awaitedTokens is a source of tokens, the wait for which is not the transport's fault.
type awaitedTokens struct {
	sas.TokenSource
	by *attempt
}

// tokenError is that of a source of tokens.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// Token implements [sas.TokenSource].
func (t *awaitedTokens) Token(ctx context.Context, audience string) (string, time.Time, error) {
	if a := t.by; !a.stood.Load() && a.late.Stop() {
		defer a.late.Reset(a.patience)
	}
	token, expires, err := t.TokenSource.Token(ctx, audience)
	if err != nil {
		err = &tokenError{err}
	}
	return token, expires, err
}
