package links

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// What a connection, or what is on it, can end for. Each also matches [net.ErrClosed].
var (
	// ErrClosed is why something ended that was closed on this side.
	ErrClosed error = &lossError{text: "links: closed"}

	// ErrRenewal is why a connection was left for one with a fresh certificate.
	ErrRenewal error = &lossError{text: "links: the certificate is renewed"}

	// ErrSilent is why a connection was lost that brought nothing for 1.5 × KeepAlive.
	ErrSilent error = &lossError{text: "links: no sign of life from the peer"}

	// ErrStalled is why a connection was lost whose peer did not read, or did not answer
	// anything, for OperationTimeout.
	ErrStalled error = &lossError{text: "links: the peer does not read or answer"}

	// ErrPeerEnded is why something was lost that the peer ended without saying why.
	ErrPeerEnded error = &lossError{text: "links: ended by the peer"}

	// ErrProtocol is why a connection was lost whose peer broke the protocol.
	ErrProtocol error = &lossError{text: "links: the peer broke the protocol"}
)

// ErrExpiredToken is why a token was not put that its source gave: it had expired before.
var ErrExpiredToken = errors.New("links: the token source gave a token that has expired")

// ErrAlreadyOpen is why an identity was not added that is on the connection already.
var ErrAlreadyOpen = errors.New("links: the identity is on this connection already")

// lossError is the end of a link, session or connection. It matches net.ErrClosed, and its cause.
type lossError struct {
	text string
	err  error
}

func (e *lossError) Error() string {
	if e.err == nil {
		return e.text
	}
	return e.text + ": " + e.err.Error()
}

func (e *lossError) Unwrap() error { return e.err }

func (e *lossError) Is(target error) bool { return target == net.ErrClosed }

// protocolError is a breach of the protocol by the peer.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
}

// gaveUp is the error of a wait that its context ended, with why it was waited.
func gaveUp(op string, cause, last error) error {
	if last != nil {
		cause = fmt.Errorf("%w; the last attempt: %w", cause, last)
	}
	return &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Retryable: true, Err: cause}
}

// asError returns what op failed with, when go-amqp says err of a link to at, as a
// *hubwire.Error:
//
//   - a refusal of the peer (rejected, detach, end, close) has its code, message, tracking id
//     and condition, and whether it can be retried; the outcome is Refused for a rejection or a
//     refused attach, and Unknown when a link, session or connection ended
//   - the end of a link, session or connection without a word is ConnectionClosedRemotely, can
//     be retried, has outcome Unknown and matches [net.ErrClosed]
//   - the end of a context is what it is, Retryable, outcome Unknown
//   - a *hubwire.Error is returned as it is
//
// Who knows that nothing was sent sets the outcome to NotSent. A redirect is found by
// [redirectOf]. The result is the caller's own, but for a *hubwire.Error that err was.
func asError(op string, at amqp.Node, err error) *hubwire.Error {
	if e, ok := err.(*hubwire.Error); ok && e != nil {
		return e
	}
	lv, remote := ending(err)
	return endError(op, at, lv, remote, err)
}

// endError is asError when the level and the peer's words are known.
func endError(op string, at amqp.Node, lv level, remote *amqp.Error, err error) *hubwire.Error {
	if remote != nil {
		e := remote.Hubwire(op, at)
		if remote.Redirect != (amqp.Redirect{}) {
			e.Err = remote // which has the condition below it
		}
		if lv > levelRefusal {
			e.Outcome = hubwire.Unknown
			e.Err = &lossError{text: lv.lost(), err: e.Err}
		}
		return e
	}
	e := &hubwire.Error{Op: op, Retryable: true, Err: err}
	switch {
	case errors.Is(err, ErrProtocol):
	case lv > levelRefusal:
		e.Code = hubwire.ConnectionClosedRemotely
		e.Err = &lossError{text: lv.lost(), err: err}
	case errors.Is(err, net.ErrClosed):
		e.Code = hubwire.ConnectionClosedRemotely
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		if inner, ok := errors.AsType[*hubwire.Error](err); ok {
			e.Code, e.Outcome, e.Retryable, e.TrackingID = inner.Code, inner.Outcome, inner.Retryable, inner.TrackingID
		}
	}
	return e
}

// redirectOf returns where the peer sends on to who attached and got err.
func redirectOf(err error) (amqp.Redirect, bool) {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return e.Redirect, e.Redirect != amqp.Redirect{}
	}
	return amqp.Redirect{}, false
}

// level is what has ended.
type level uint8

const (
	levelNone    level = iota // nothing; or nobody knows
	levelRefusal              // one delivery, or an attach
	levelLink
	levelSession
	levelConn
)

func (l level) lost() string {
	switch l {
	case levelLink:
		return "links: link lost"
	case levelSession:
		return "links: session lost"
	}
	return "links: connection lost"
}

// ending returns what ended, by an error of go-amqp, and the peer's words on it, if any.
func ending(err error) (level, *amqp.Error) {
	var (
		link    *goamqp.LinkError
		session *goamqp.SessionError
		conn    *goamqp.ConnError
		refusal *goamqp.Error
		own     *amqp.Error
	)
	switch {
	case errors.As(err, &conn):
		return levelConn, fromGo(conn.RemoteErr)
	case errors.As(err, &session):
		return levelSession, fromGo(session.RemoteErr)
	case errors.As(err, &link):
		return levelLink, fromGo(link.RemoteErr)
	case errors.As(err, &refusal):
		return levelRefusal, fromGo(refusal)
	case errors.As(err, &own):
		return levelRefusal, own
	}
	return levelNone, nil
}

// fromGo returns e in the words of package amqp.
func fromGo(e *goamqp.Error) *amqp.Error {
	if e == nil {
		return nil
	}
	own := amqp.FromWire(&amqp10.Error{Condition: amqp10.Condition(e.Condition), Description: e.Description})
	text := func(key string) string {
		s, _ := e.Info[key].(string)
		return s
	}
	own.TrackingID = text("com.microsoft:tracking-id")
	own.Redirect = amqp.Redirect{Hostname: text("hostname"), NetworkHost: text("network-host"), Address: text("address")}
	if n, ok := wholeNumber(e.Info["port"]); ok && n > 0 && n <= math.MaxUint16 {
		own.Redirect.Port = uint16(n)
	}
	return own
}

// wholeNumber returns what go-amqp has made of a whole number of any type.
func wholeNumber(v any) (int64, bool) {
	switch n := v.(type) {
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint64:
		return int64(min(n, math.MaxInt64)), true
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// hopeless reports whether waiting cannot mend err.
func hopeless(err error) bool {
	e, ok := errors.AsType[*hubwire.Error](err)
	return ok && !e.Retryable
}
