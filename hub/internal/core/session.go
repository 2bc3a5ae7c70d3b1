package core

import (
	"context"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
)

// Connections imitate what IoT Hub does at its doors: one connection for an
// identity, of which the newest wins; an end when the token has expired plus a
// grace, when the identity is disabled or deleted and when its key is gone;
// and a kept session (MQTT's CleanSession 0) that consists of subscriptions.
// What was delivered and not settled is visible again as soon as the
// connection ends, so that the next one gets it at once.

// Link is a front's end of a connection. The Core calls its methods from any
// goroutine, one at a time, in the order in which things happened, holding no
// lock; the first call can come before Connect has returned. They must not
// block: they hand over, and return. Calls on the Session are allowed. After
// Close no other method is called.
type Link interface {
	// Method hands over a direct method. The answer is [Session.MethodResponse].
	Method(MethodCall)

	// Desired tells of a change, when the session has [FeatureDesired].
	Desired(hubwire.DesiredChange)

	// C2DReady says that [Session.NextOf] may have a message.
	C2DReady()

	// Close says that the hub has ended the session, and why: its code is
	// ConnectionClosedOnNew, DeviceDisabled, DeviceNotFound, ModuleNotFound,
	// Unauthorized (token expired, or key gone) or ServiceUnavailable. The
	// front cuts the connection; Disconnect is allowed and does nothing.
	Close(reason *hubwire.Error)
}

// MethodCall is a direct method on its way to a device. Its bytes must not be changed.
type MethodCall struct {
	RequestID uint64 // unique in the Core's life; never 0
	hubwire.MethodRequest
}

// ConnectOptions are what a peer says when it connects. nil means the zero value.
type ConnectOptions struct {
	Protocol string // "mqtt", …; for the log
	Clean    bool   // forget the kept session and keep none (MQTT's CleanSession)
	Apart    bool   // leave the kept session alone, as a protocol does that has none
	ModelID  string // Plug and Play model; empty means none was announced

	// Purge drops, as long as the session lasts, messages that it has no feature
	// for: what field reports say that the service does. Else they wait.
	Purge bool

	// Will, which may be nil, is published when the session ends, unless [Session.DiscardWill] was
	// called, or the identity is deleted.
	Will *Will

	// Arrival counts connections in the order in which their peers asked to be let in, which an
	// intercept function can delay. Of two the later one wins; 0 wins over all.
	Arrival uint64
}

// Will speaks for a peer that is gone without a good-bye. It is telemetry of its session, and in the
// log before the next session of the identity begins. What the session was about to append when it ended may come behind it.
type Will struct {
	Message   *hubwire.Message
	Published func() // called when it is in the log, as a Link is; may be nil
}

// Session is one connection of one identity. There is at most one for an
// identity. Its methods may be called from any goroutine; after the session's
// end they fail with the reason, which also matches [net.ErrClosed].
type Session struct {
	entity  *entity
	link    Link
	ready   func() // of link: C2DReady
	opts    ConnectOptions
	present bool
	done    chan struct{}

	over  atomic.Pointer[hubwire.Error] // why it ended; nil while it lasts
	stamp atomic.Pointer[eventStamp]    // of its events
	mask  atomic.Uint32                 // union of the subscriptions' features

	// Guarded by the entity's lock.
	grant  Grant
	expiry *timer
	subs   []Subscription
}

// Connect begins a session for an identity that was authenticated, and ends
// the identity's former one with ConnectionClosedOnNew. It fails with
// Unauthorized when the identity or its credential has changed since the login, with ConnectionClosedOnNew
// when the former session is of a later arrival, with ArgumentInvalid for a model id that is none,
// and with Throttled or QuotaExceeded when the hub takes no more.
func (c *Core) Connect(ctx context.Context, g *Grant, o *ConnectOptions, l Link) (*Session, error) {
	const op = "connect"
	var opts ConnectOptions
	if o != nil {
		opts = *o
	}
	e, err := c.lock(op, g.Identity)
	if err != nil {
		return nil, c.unauthorized(op, g.Identity, opts.Protocol, err)
	}
	defer e.unlock()
	if err := c.Open(op); err != nil { // Close may have been here already
		return nil, err
	}
	if err := c.stillValid(e, g); err != nil {
		return nil, e.unauthorized(op, opts.Protocol, err)
	}
	if s := e.session; s != nil && opts.Arrival > 0 && s.opts.Arrival > opts.Arrival {
		return nil, refuse(op, hubwire.ConnectionClosedOnNew, "a connection of %q that came later is there already", e.id)
	}
	if err := checkModel(op, opts.ModelID); err != nil {
		return nil, err
	}
	if err := c.throttle.connects.admit(op, 1); err != nil {
		return nil, err
	}
	if err := c.throttle.quota.admit(op, 0); err != nil {
		return nil, err
	}
	s := &Session{entity: e, link: l, ready: l.C2DReady, opts: opts, grant: *g, done: make(chan struct{})}
	if err := s.restore(ctx, op); err != nil {
		return nil, err
	}
	if err := e.setModel(ctx, op, opts.ModelID); err != nil {
		return nil, err
	}
	if err := s.purgeUnwanted(ctx, op); err != nil {
		return nil, err
	}
	e.endSession(refuse("connection", hubwire.ConnectionClosedOnNew, "another connection of %q took over", e.id), true)
	stamp := c.newStamp(e, g, opts.ModelID)
	s.stamp.Store(&stamp)
	e.session = s
	e.connChanged = time.Now().UTC()
	e.touch()
	s.armExpiry()
	e.announceState(true)
	e.changed.broadcast()
	c.look(e)
	return s, nil
}

// SetModel says the Plug and Play model of the session when it has begun already, as a link of
// AMQP may that is not the first. Events from then on have it. An empty model changes nothing. The code
// is ArgumentInvalid for a model id that is none.
func (s *Session) SetModel(ctx context.Context, modelID string) error {
	const op = "set model"
	e, err := s.lock(op)
	if err != nil {
		return err
	}
	defer e.unlock()
	if modelID == "" || modelID == s.opts.ModelID {
		return nil
	}
	if err := checkModel(op, modelID); err != nil {
		return err
	}
	if err := e.setModel(ctx, op, modelID); err != nil {
		return err
	}
	s.opts.ModelID = modelID
	stamp := e.core.newStamp(e, &s.grant, modelID)
	s.stamp.Store(&stamp)
	return nil
}

// maxModelID is the longest model id, in bytes: that of an interface in version 3 of the Digital Twins Definition
// Language. Each event of the device has it.
const maxModelID = 2048

// checkModel checks a model id, of which the form is not looked at.
func checkModel(op, modelID string) error {
	if len(modelID) > maxModelID || !utf8.ValidString(modelID) {
		return refuse(op, hubwire.ArgumentInvalid, "a model id of %d bytes is not UTF-8, or has more than %d", len(modelID), maxModelID)
	}
	return nil
}

// setModel notes the model that a device announces, if it does. The caller holds the lock.
func (e *entity) setModel(ctx context.Context, op, modelID string) error {
	if modelID == "" || modelID == e.currentTwin().ModelID {
		return nil
	}
	twin := *e.currentTwin()
	twin.ModelID = modelID
	return e.putTwin(ctx, op, &twin)
}

// lock returns the session's entity, locked, or why the session is over.
func (s *Session) lock(op string) (*entity, error) {
	s.entity.mu.Lock()
	if why := s.over.Load(); why != nil {
		s.entity.unlock()
		return nil, ended(op, why)
	}
	s.entity.touch()
	return s.entity, nil
}

// endSession ends the current session, if there is one. The caller holds the lock.
func (e *entity) endSession(why *hubwire.Error, tell bool) {
	s := e.session
	if s == nil {
		return
	}
	e.session = nil
	e.connChanged = time.Now().UTC()
	s.over.Store(why)
	close(s.done)
	s.expiry.stop()
	e.announceState(false)
	e.publishWill(s)
	e.failCalls(s)
	e.release(s, FeatureC2D|FeatureInputs)
	e.changed.broadcast()
	e.core.look(e)
	if tell {
		e.post(func() {
			e.core.cfg.Log.Info("session ended", "device", e.id, "protocol", s.opts.Protocol, "code", int(why.Code), "reason", why.Message)
			s.link.Close(why)
		})
	}
}

// armExpiry sets the timer that ends the session when its token has expired.
// The caller holds the lock.
func (s *Session) armExpiry() {
	s.expiry.stop()
	s.expiry = nil
	if s.grant.Expires.IsZero() {
		return
	}
	e, at := s.entity, s.grant.Expires
	s.expiry = e.core.timers.after(time.Until(at.Add(e.core.cfg.Skew)), func() {
		e.mu.Lock()
		defer e.unlock()
		if e.session == s && s.grant.Expires.Equal(at) {
			e.endSession(refuse("connection", hubwire.Unauthorized, "the token of %q has expired", e.id), true)
		}
	})
}

// Renew replaces the session's grant by a new one for the same identity, where
// the protocol can (AMQP's put-token): the session then lasts as long as that.
func (s *Session) Renew(g *Grant) error {
	const op = "renew"
	e, err := s.lock(op)
	if err != nil {
		return err
	}
	defer e.unlock()
	if err := e.core.stillValid(e, g); err != nil {
		return e.unauthorized(op, s.opts.Protocol, err)
	}
	s.grant = *g
	s.armExpiry()
	return nil
}

// DiscardWill says that the peer has said good-bye, and needs nobody to speak for it.
func (s *Session) DiscardWill() {
	s.entity.mu.Lock()
	defer s.entity.unlock()
	s.opts.Will = nil
}

// Disconnect ends the session because the connection is over, for whatever
// reason. It may be called twice, and after the hub ended the session.
func (s *Session) Disconnect() {
	e := s.entity
	e.mu.Lock()
	defer e.unlock()
	if e.session == s {
		e.endSession(refuse("connection", hubwire.ConnectionClosedRemotely, "%q has disconnected", e.id), false)
	}
}

// Identity returns whose session it is.
func (s *Session) Identity() hubwire.Identity { return s.entity.id }

// Present reports whether the session goes on with a kept one (MQTT's session present).
func (s *Session) Present() bool { return s.present }

// Done is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns why the session is over, or nil while it lasts.
func (s *Session) Err() error {
	if why := s.over.Load(); why != nil {
		return why
	}
	return nil
}

func (s *Session) features() Feature { return Feature(s.mask.Load()) }
