package mqtt

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/loss"
)

// What a [Session] can end, or lose a connection, for. Each also matches
// [net.ErrClosed].
var (
	// ErrSessionClosed is why a session ended that was closed.
	ErrSessionClosed error = &loss.Error{Text: "mqtt: session closed"}

	// ErrRenewal is why a connection was left for one with a fresh login.
	ErrRenewal error = &loss.Error{Text: "mqtt: login is renewed"}

	// ErrKeepAlive is why a connection was lost that brought nothing for 1.5 × KeepAlive, and no answer to a PINGREQ.
	// An acknowledgement may count from when its message was sent, if KeepAlive is a minute or more.
	ErrKeepAlive error = &loss.Error{Text: "mqtt: no sign of life from the server"}

	// ErrAckTimeout is why a connection was lost whose server did not
	// acknowledge, or did not read, within AckTimeout.
	ErrAckTimeout error = &loss.Error{Text: "mqtt: no acknowledgement from the server in time"}

	// ErrServerClosed is why a connection was lost that the server ended in good order,
	// between two packets. MQTT 3.1.1 has no word for the reason. IoT Hub does it when another client
	// connects with the same id, when the token has expired, when the identity is
	// disabled or deleted, for what it does not like, and for its own maintenance. When a session
	// loses one connection after another so, each before StableAfter, the message of the error
	// says that it most likely has a rival.
	ErrServerClosed error = &loss.Error{Text: "mqtt: the server closed the connection"}

	// ErrProtocol is why a connection was lost whose server broke the protocol.
	ErrProtocol error = &loss.Error{Text: "mqtt: the server broke the protocol"}
)

// ErrWouldDeadlock is returned by a call that would wait, from a callback, for
// what only the return of that callback lets happen.
var ErrWouldDeadlock = errors.New("mqtt: waiting on the session inside its own callback would never end")

// SubscribeError says which filters of a SUBSCRIBE the server did not grant
// (return code 0x80).
type SubscribeError struct {
	Filters []string // as they were asked for, in that order
}

// Error names the filters.
func (e *SubscribeError) Error() string {
	if e == nil {
		return "mqtt: no error"
	}
	return fmt.Sprintf("mqtt: SUBACK %#x: the server does not grant %q", SubackFailure, e.Filters)
}

// lost says why a connection ended, as OnState reports it.
func lost(err error) error {
	code := hubwire.ConnectionClosedRemotely
	if errors.Is(err, ErrProtocol) {
		code = 0
	}
	return &hubwire.Error{
		Op: "connection", Code: code, Outcome: hubwire.Unknown, Retryable: true,
		Err: &loss.Error{Text: "mqtt: connection lost", Err: err},
	}
}

// protocolError is err as a breach of the protocol by the server.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
}

// attemptFailed is why an attempt to connect failed. Whether another can
// succeed is for err to say, if it does.
func attemptFailed(err error) error {
	failed := hubwire.Error{Outcome: hubwire.NotSent, Retryable: true}
	if e, ok := errors.AsType[*hubwire.Error](err); ok {
		if err == e {
			return err
		}
		failed = *e
		failed.Message = "" // err has it
	}
	failed.Op, failed.Err = "connect", err
	return &failed
}

// refusedBy maps a CONNACK that is not [Accepted].
func refusedBy(c ReturnCode) *hubwire.Error {
	e := &hubwire.Error{Op: "connect", Outcome: hubwire.Refused, Err: c}
	switch c {
	case BadProtocol:
		e.Code = hubwire.InvalidProtocolVersion
	case Unavailable:
		e.Code, e.Retryable = hubwire.ServiceUnavailable, true
	default: // bad client id, bad credentials, not authorized
		e.Code = hubwire.Unauthorized
	}
	return e
}

// fatal reports whether waiting cannot mend err.
func fatal(err error) bool {
	e, ok := errors.AsType[*hubwire.Error](err)
	return ok && !e.Retryable
}

// failed is the error of one call that cause ended: the session's end, or the
// connection's.
func failed(op string, sent bool, cause error) error {
	e := &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Err: cause}
	if sent {
		e.Outcome = hubwire.Unknown
	}
	if !errors.Is(cause, net.ErrClosed) {
		e.Err = &loss.Error{Text: "mqtt: session ended", Err: cause}
	}
	return e
}

// gaveUp is the error of one call that its context ended.
func gaveUp(op string, sent bool, cause error) error {
	e := &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Retryable: true, Err: cause}
	if sent {
		e.Outcome = hubwire.Unknown
	}
	return e
}

// silence is ErrKeepAlive or ErrAckTimeout with the time that it took.
func silence(err error, after time.Duration) error {
	return fmt.Errorf("%w (%v)", err, after.Round(time.Millisecond))
}
