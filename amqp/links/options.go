package links

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hubwire/hubwire"
)

// Options are what a [Conn] is made of. Dial and HostName are required; of the rest the zero
// value means the defaults.
type Options struct {
	// Dial opens a network connection on which AMQP can be spoken at once: TLS, and the
	// WebSocket if there is one, are in it. It is asked anew for each attempt, and must heed
	// ctx. An error that is a *hubwire.Error and not Retryable ends the Conn; any other is
	// tried again.
	Dial func(ctx context.Context) (net.Conn, error)

	// HostName is the hub's, which the open names.
	HostName string

	// Certificate says that Dial shows a client certificate, which is then the only proof of
	// identity: no tokens are put, and there is one entity.
	Certificate bool

	// Expires says when what Dial has shown stops being good: a client certificate. It is
	// asked once a connection is open, which is then renewed after 80 % of what is left.
	// It must return soon. Zero: never. nil: never.
	Expires func() time.Time

	// KeepAlive is the longest silence of either end. The peer is asked for a frame that
	// often, and given up after 1.5 times as long. 0 means 4 minutes; negative turns it off.
	KeepAlive time.Duration

	// ConnectTimeout bounds one attempt to connect: dialling, and opening AMQP. 0 means 30 s.
	ConnectTimeout time.Duration

	// OperationTimeout bounds each wait for an answer: to a token, a begin, an attach, a
	// detach or an end; also how long the peer may leave bytes unread. 0 means 30 s.
	OperationTimeout time.Duration

	// Before the n-th attempt, counted from 0, to mend what was lost a random time passes
	// between 0 and min(MaxBackoff, MinBackoff·2ⁿ). The first attempt of all, and a planned
	// renewal, are made at once. What has stood for MaxBackoff counts from 0 when it is lost.
	// 0 means 1 s (or MaxBackoff, if less) and 1 minute.
	MinBackoff, MaxBackoff time.Duration

	// CloseTimeout bounds Close. 0 means 2 s.
	CloseTimeout time.Duration

	// OnState tells of each change of the network connection, one at a time, in order, with
	// its reason: nil for Connected and after Close, [ErrRenewal] for Renewing, else why the
	// connection was lost or an attempt failed. It must return soon.
	OnState func(state State, reason error)

	// OnPanic tells of a panic in one of the caller's functions, which is contained; one in
	// a method of the net.Conn costs the connection. It may be called from several
	// goroutines at once. stack is as [runtime/debug.Stack] gives it. nil drops it.
	OnPanic func(value any, stack []byte)

	// Trace sees each whole frame, and the protocol headers, as they are on the wire, but for
	// the message of a put-token and the initial response of SASL, which are cut off. frame
	// is good until Trace returns. It must return soon and not call the Conn.
	Trace func(sent bool, frame []byte)
}

// State is the state of a connection, or of an entity on it.
type State uint8

// The states. All begin with Connecting.
const (
	Connecting State = iota // not there yet, or lost and to be brought back
	Connected               // for an entity: its token is accepted, and its links are attached
	Renewing                // reconnecting with a fresh certificate, on purpose
	Closed                  // for good
)

// String returns the state in lower case.
func (s State) String() string {
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
	return fmt.Sprintf("state %d", uint8(s))
}

// resolve returns o with the defaults filled in.
func (o *Options) resolve() (Options, error) {
	if o == nil || o.Dial == nil || o.HostName == "" {
		return Options{}, invalid("connect", "Options.Dial or Options.HostName is missing")
	}
	r := *o
	r.KeepAlive = max(0, cmp.Or(r.KeepAlive, 4*time.Minute))
	r.ConnectTimeout = cmp.Or(r.ConnectTimeout, 30*time.Second)
	r.OperationTimeout = cmp.Or(r.OperationTimeout, 30*time.Second)
	r.MaxBackoff = cmp.Or(r.MaxBackoff, time.Minute)
	r.MinBackoff = cmp.Or(r.MinBackoff, min(time.Second, r.MaxBackoff))
	r.CloseTimeout = cmp.Or(r.CloseTimeout, 2*time.Second)
	for _, c := range []struct {
		name           string
		got, low, high time.Duration
	}{
		{"KeepAlive", r.KeepAlive, 0, maxKeepAlive},
		{"ConnectTimeout", r.ConnectTimeout, 1, never},
		{"OperationTimeout", r.OperationTimeout, 1, never},
		{"MinBackoff", r.MinBackoff, 1, r.MaxBackoff},
		{"CloseTimeout", r.CloseTimeout, 1, never},
	} {
		if c.got < c.low || c.got > c.high {
			return r, invalid("connect", "Options.%s is %v, not within %v and %v", c.name, c.got, c.low, c.high)
		}
	}
	return r, nil
}

const (
	never        = time.Duration(1<<63 - 1)
	maxKeepAlive = 24 * time.Hour // an open says it in milliseconds, of which it has room for 49 days
)

// invalid is the error for what is refused before anything is sent.
func invalid(op, format string, args ...any) *hubwire.Error {
	return &hubwire.Error{Op: op, Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: fmt.Sprintf(format, args...)}
}
