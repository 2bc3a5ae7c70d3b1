package mqtt

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hubwire/hubwire"
)

// DialFunc opens one connection to the server, with TLS and whatever tunnel it
// needs. A [Session] calls it for each attempt to connect. ctx ends with the
// attempt or the session: a DialFunc that returns late delays Close, up to its
// deadline.
type DialFunc func(ctx context.Context) (net.Conn, error)

// LoginFunc says who connects. A [Session] calls it anew before each attempt, so
// that a token is fresh and a rotated secret is picked up. It may block; ctx
// ends after [SessionOptions].ConnectTimeout or with the session.
//
// A *hubwire.Error that is not Retryable ends the session, as it does from a
// [DialFunc]; any other error is trouble that can pass, and is tried again.
type LoginFunc func(ctx context.Context) (Login, error)

// Login is what a CONNECT says about its sender.
type Login struct {
	ClientID string // for IoT Hub what topics.AppendClientID writes
	UserName string // empty: not sent
	Password Secret // zero: not sent

	// Expires is when the password (a token) stops being good. The session
	// reconnects with a new Login when 80 % ± 2 % of the time until then have
	// passed. Zero: never.
	Expires time.Time
}

// SessionOptions adjust a [Session]. The zero value, and nil, mean the defaults.
type SessionOptions struct {
	// CleanSession asks the server to forget subscriptions and unacknowledged
	// deliveries with each connection. The session still restores its
	// subscriptions and sends again what was not acknowledged.
	CleanSession bool

	// Will is the message that the server publishes when the connection ends
	// without a DISCONNECT. The zero Will is none. It must not change.
	Will Will

	// KeepAlive is the longest silence, in either direction, before a PINGREQ
	// (MQTT 3.1.1 section 3.1.2.10), in whole seconds, at most 65535 s (IoT Hub
	// has no use for more than 1177 s). A connection that brings nothing for half as
	// long again is lost. 0 means 4 minutes; negative turns it off.
	KeepAlive time.Duration

	// AckTimeout is how long the server may take to acknowledge the oldest PUBLISH
	// (since that was written, or the one before it acknowledged), a SUBSCRIBE or an
	// UNSUBSCRIBE, and a write may take, before the connection is lost. 0 means
	// 60 s; negative means no bound.
	AckTimeout time.Duration

	// ConnectTimeout bounds one call of the LoginFunc, and one attempt to
	// connect from dialling to CONNACK. 0 means 30 s.
	ConnectTimeout time.Duration

	// Window bounds the publishes accepted and not yet acknowledged, sent or
	// not; at most 30000. 0 means 1000.
	Window int

	// WindowBytes bounds the same by the size of their packets together; one
	// larger packet passes, alone. 0 means 4 MiB.
	WindowBytes int

	// MaxPacket is the largest packet, in bytes with its header, that is sent
	// or taken. 0 means [DefaultMaxPacket], IoT Hub's limit.
	MaxPacket int

	// SubscribeBatch is how many filters one SUBSCRIBE may restore. 0 means 8.
	SubscribeBatch int

	// RestoreAlways restores the subscriptions on each connection. Otherwise
	// that is done only where the server says that it has no session.
	RestoreAlways bool

	// MinBackoff and MaxBackoff bound the waits between attempts to connect: the
	// n-th, from 0, is random between 0 and min(MaxBackoff, MinBackoff·2ⁿ) (full
	// jitter). There is one after each loss too, because the server may have cut
	// off a whole fleet, which must not come back in step; for a large one choose a
	// larger MinBackoff. Only the first attempt of StartSession, and a planned
	// renewal, are made at once. 0 means 1 s (or MaxBackoff, if less) and 1 minute.
	MinBackoff, MaxBackoff time.Duration

	// StableAfter is how long a connection must have stood for n to start from
	// 0 again when it is lost; after a planned renewal it always does. So a server
	// that accepts and drops, or a second client with the same id, is not
	// answered faster than the back-off. 0 means MaxBackoff, which is as long as a
	// rival may wait before it takes the place again.
	StableAfter time.Duration

	// CloseTimeout bounds [Session.Close]. 0 means 2 s.
	CloseTimeout time.Duration

	// OnDelivery gets each incoming message, on the read loop, in order. d is a
	// view that holds until OnDelivery returns. It must not block: it stops
	// acknowledgements. nil means that messages are acknowledged and dropped.
	OnDelivery func(d Delivery)

	// OnState tells of each change of the connection, one at a time, in order,
	// with its reason: nil for Connected and after Close, [ErrRenewal] for
	// Renewing, else why the connection was lost ([ErrServerClosed] if another client
	// took its place) or why an attempt failed. It must return soon.
	OnState func(state SessionState, reason error)

	// DialExpires says when what the DialFunc has opened the last connection with
	// stops being good: a client certificate. It is asked once a connection is
	// accepted, which is then renewed as Login.Expires has it, for whichever comes
	// first. It must return soon. Zero: never. nil: never.
	DialExpires func() time.Time

	// OnPanic tells of a panic in one of the caller's functions, which is
	// contained; one in a method of the DialFunc's net.Conn costs the connection. It
	// may be called from several goroutines at once, and for the net.Conn and the Trace a little later. stack is as
	// [runtime/debug.Stack] gives it. nil drops it.
	OnPanic func(value any, stack []byte)

	// PublishError turns the error that a done function of [Session.PublishAsync] is to get into
	// what it gets. So who embeds the session can give it the name of a call of theirs without a function for each
	// message. It must not block. What it makes nil stays as it was. nil leaves all as they are.
	PublishError func(err error) error

	// Trace sees each packet. Its functions must not call the session.
	Trace *Trace
}

// SessionState is the state of a session's connection.
type SessionState uint8

// The states. A session starts out Connecting.
const (
	Connecting SessionState = iota // dialling, or waiting to dial
	Connected                      // the server accepted the connection
	Renewing                       // reconnecting with a fresh login, on purpose
	Closed                         // for good
)

// String returns the state in lower case.
func (s SessionState) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Renewing:
		return "renewing"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("session state %d", uint8(s))
}

// maxWindow leaves room in the space of packet identifiers for publishes that
// were acknowledged around one that was not (see outbox).
const maxWindow = 30000

// maxKeepAlive is what the CONNECT has room for.
const maxKeepAlive = 65535 * time.Second

// resolve returns o with the defaults filled in.
func (o *SessionOptions) resolve() (SessionOptions, error) {
	var r SessionOptions
	if o != nil {
		r = *o
	}
	r.KeepAlive = cmp.Or(r.KeepAlive, 4*time.Minute)
	r.AckTimeout = cmp.Or(r.AckTimeout, 60*time.Second)
	r.ConnectTimeout = cmp.Or(r.ConnectTimeout, 30*time.Second)
	r.Window = cmp.Or(r.Window, 1000)
	r.WindowBytes = cmp.Or(r.WindowBytes, 4<<20)
	r.MaxPacket = cmp.Or(r.MaxPacket, DefaultMaxPacket)
	r.SubscribeBatch = cmp.Or(r.SubscribeBatch, 8)
	r.MaxBackoff = cmp.Or(r.MaxBackoff, time.Minute)
	r.MinBackoff = cmp.Or(r.MinBackoff, min(time.Second, r.MaxBackoff))
	r.StableAfter = cmp.Or(r.StableAfter, r.MaxBackoff)
	r.CloseTimeout = cmp.Or(r.CloseTimeout, 2*time.Second)
	if r.KeepAlive <= maxKeepAlive { // else it is refused below
		r.KeepAlive = max(0, (r.KeepAlive + time.Second - 1).Truncate(time.Second))
	}
	r.AckTimeout = max(0, r.AckTimeout)
	for _, c := range []struct {
		name      string
		got       int64
		low, high int64
	}{
		{"KeepAlive", int64(r.KeepAlive), 0, int64(maxKeepAlive)},
		{"ConnectTimeout", int64(r.ConnectTimeout), 1, 1<<63 - 1},
		{"Window", int64(r.Window), 1, maxWindow},
		{"WindowBytes", int64(r.WindowBytes), 1, 1<<31 - 1},
		{"MaxPacket", int64(r.MaxPacket), 64, MaxRemaining + 5},
		{"SubscribeBatch", int64(r.SubscribeBatch), 1, 1000},
		{"MinBackoff", int64(r.MinBackoff), 1, int64(r.MaxBackoff)},
		{"StableAfter", int64(r.StableAfter), 0, 1<<63 - 1},
		{"CloseTimeout", int64(r.CloseTimeout), 1, 1<<63 - 1},
	} {
		if c.got < c.low || c.got > c.high {
			return r, badArgument("start", fmt.Sprintf("SessionOptions.%s is %d, not within %d and %d", c.name, c.got, c.low, c.high), nil)
		}
	}
	will := Connect{CleanSession: true, Will: r.Will}
	if err := will.Check(); err != nil {
		return r, badArgument("start", "SessionOptions.Will", err)
	}
	return r, nil
}

// badArgument is the error for what is refused before anything is sent.
func badArgument(op, message string, err error) error {
	return &hubwire.Error{Op: op, Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: message, Err: err}
}
