package links

import (
	"context"
	"errors"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/loss"
	"github.com/hubwire/hubwire/sas"
)

// entityConfig is who an entity is. It does not change.
type entityConfig struct {
	// name is what the entity is known by on its Conn, where no other may have it: the
	// device's, module's or policy's.
	name string

	// audience is what tokens are made for, and put as: see [sas.Audience].
	audience string

	// tokens gives the tokens. nil on a Conn with a certificate, else required. An error that
	// is a *hubwire.Error and not Retryable ends the entity; any other is tried again. So
	// does a token that had expired when it was given ([ErrExpiredToken]), unless the hub
	// had let the entity in before: then it gets one more chance.
	tokens sas.TokenSource

	// properties go with every attach of a link that has none of its own.
	properties amqp10.Value

	// settle is called when the connection is about to be left on purpose, and returns when nothing
	// is under way that would have to be done again on the next one, or when ctx ends. Nothing
	// more is begun until resume. nil: there is nothing of the kind.
	settle func(ctx context.Context) (resume func())

	// closing is called in each Close of the Conn, on its goroutine, with Conn.mu held. nil: there is nothing to know of.
	closing func()

	// late is called when a Close of the Conn has waited for long enough, with Conn.mu held: what the entity
	// would fail at its end fails for cause. nil: there is nothing.
	late func(cause error)

	// goodbye is how long the end of the session holds up that of the entity, when the peer does not answer it. Then it is the
	// connection's alone to wait. 0: as long as that waits.
	goodbye time.Duration

	// onState tells of each change, one at a time, in order; Closed comes last. reason is nil
	// for Connected, and for Closed after close; else why. It may block the next change,
	// but nothing else, and may call whatever it likes. nil: nobody is told.
	onState func(state State, reason error)
}

// entity is one identity on a Conn: its token, a session of its own, and the links on it,
// which it keeps. It is made by [Conn.add], is wanted from open on, and ends with close, with its
// Conn, or with what waiting cannot mend: the first is kept as its cause.
//
// It has one goroutine (restore) while there is something to bring back, and one while there
// is somebody to be told.
//
// Its fields are guarded by Conn.mu.
type entity struct {
	c   *Conn
	cfg entityConfig

	life   context.Context // ends with the entity; its cause is why
	cancel context.CancelCauseFunc
	gone   chan struct{} // closed when it has ended and nothing of it runs any more

	opened  bool
	busy    bool // restore runs
	ending  bool // its session is being closed
	left    bool // leaveLocked has been
	runners int  // goroutines of start
	state   State
	failure error         // of the last attempt, or why something was lost
	changed chan struct{} // closed, and made anew, when the state may have changed
	kick    chan struct{} // wakes restore
	tellers notifier

	tokenOn  *network    // where the token was put
	putAt    time.Time   // when
	expires  time.Time   // when it does; zero: never
	due      bool        // it is to be put again
	renewal  *time.Timer // makes it due
	admitted bool        // the hub has let the entity in
	spared   refusals    // what it has refused since, which was not believed
	patience retry       // of token and session

	session *amqpclient.Session
	mute    int // attaches in a row that the peer did not answer on it
	links   []*link
}

// refusals tells what the hub has refused of an entity: its last token, and since it was last up its links.
type refusals struct{ token, link bool }

// add makes an entity, which does nothing before it is opened. The error is a *hubwire.Error
// with code ArgumentInvalid when the configuration does not fit the Conn, one that is
// [ErrAlreadyOpen] when there is one of the name already, or why the Conn ended.
func (c *Conn) add(cfg entityConfig) (*entity, error) {
	const op = "open"
	switch {
	case cfg.name == "":
		return nil, invalid(op, "the entity has no name")
	case c.o.Certificate == (cfg.tokens != nil):
		return nil, invalid(op, "an entity has tokens, or its connection a certificate, and not both")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return nil, ended(op, c.cause)
	}
	if c.entities[cfg.name] != nil {
		return nil, &hubwire.Error{Op: op, Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: cfg.name, Err: ErrAlreadyOpen}
	}
	if c.o.Certificate && len(c.entities) > 0 {
		return nil, invalid(op, "a connection with a certificate is for one identity")
	}
	e := &entity{c: c, cfg: cfg, gone: make(chan struct{}), changed: make(chan struct{}), kick: make(chan struct{}, 1)}
	e.life, e.cancel = context.WithCancelCause(context.Background())
	c.entities[cfg.name] = e
	return e, nil
}

// open returns when e is up: its token accepted, its session begun, its eager links attached.
// Trouble that can pass is tried again until ctx ends; a refusal that cannot is returned at once.
// Every error is a *hubwire.Error; e has ended then, and need not be closed.
func (e *entity) open(ctx context.Context) error {
	c := e.c
	c.mu.Lock()
	e.opened = true
	c.superviseLocked()
	e.wakeLocked()
	for e.state != Connected && e.life.Err() == nil {
		changed := e.changed
		c.mu.Unlock()
		select {
		case <-changed:
			c.mu.Lock()
			continue
		case <-ctx.Done():
		}
		c.mu.Lock()
		if e.state != Connected {
			last := e.failure
			if last == nil {
				last = c.failure
			}
			e.endLocked(gaveUp("open", ctx.Err(), last))
		}
	}
	up := e.life.Err() == nil
	c.mu.Unlock()
	if up {
		return nil
	}
	cause := context.Cause(e.life)
	if refusal, ok := cause.(*hubwire.Error); ok {
		return refusal
	}
	return ended("open", cause)
}

// close ends e: its session ends, and with it its links, and the rest of the Conn is not
// touched. It returns when nothing of e runs any more, or with an error that matches
// [context.DeadlineExceeded] or [context.Canceled] when ctx ends before; e has ended all the
// same. It may be called more than once, and from e's own callbacks, which it does not wait for.
func (e *entity) close(ctx context.Context) error {
	e.c.mu.Lock()
	e.endLocked(ErrClosed)
	e.c.mu.Unlock()
	if e.c.inside() {
		return nil
	}
	select {
	case <-e.gone:
		return nil
	case <-ctx.Done():
		return &hubwire.Error{Op: "close", Outcome: hubwire.Unknown, Err: ctx.Err(), Message: "what was under way has not returned"}
	}
}

// done is closed when e has ended and nothing of it runs any more.
func (e *entity) done() <-chan struct{} { return e.gone }

// err returns nil while e lives, and then its cause: [ErrClosed] after close, else a *hubwire.Error.
func (e *entity) err() error { return context.Cause(e.life) }

// current returns e's state.
func (e *entity) current() State {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	return e.state
}

// ended is the error of a call on what has ended for that cause.
func ended(op string, cause error) error {
	if e, ok := cause.(*hubwire.Error); ok && e.Op == op {
		return e
	}
	e := &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Err: cause}
	if inner, ok := errors.AsType[*hubwire.Error](cause); ok {
		e.Code, e.TrackingID = inner.Code, inner.TrackingID
	}
	if !errors.Is(cause, ErrClosed) {
		e.Err = &loss.Error{Text: "links: ended", Err: cause}
	}
	return e
}
