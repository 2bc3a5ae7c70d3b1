package links

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/loss"
)

// What a connection, or what is on it, can end for. Each also matches [net.ErrClosed].
var (
	// ErrClosed is why something ended that was closed on this side.
	ErrClosed error = &loss.Error{Text: "links: closed"}

	// ErrRenewal is why a connection was left for one with a fresh certificate.
	ErrRenewal error = &loss.Error{Text: "links: the certificate is renewed"}

	// ErrSilent is why a connection was lost that brought nothing for 1.5 × KeepAlive.
	ErrSilent error = &loss.Error{Text: "links: no sign of life from the peer"}

	// ErrStalled is why a connection was lost whose peer did not read, or did not answer
	// anything, for OperationTimeout.
	ErrStalled error = &loss.Error{Text: "links: the peer does not read or answer"}

	// ErrPeerEnded is why something was lost that the peer ended without saying why.
	ErrPeerEnded error = &loss.Error{Text: "links: ended by the peer"}

	// ErrProtocol is why a connection was lost whose peer broke the protocol.
	ErrProtocol error = &loss.Error{Text: "links: the peer broke the protocol"}
)

// ErrExpiredToken is why a token was not put that its source gave: it had expired before.
var ErrExpiredToken = errors.New("links: the token source gave a token that has expired")

// ErrAlreadyOpen is why an identity was not added that is on the connection already.
var ErrAlreadyOpen = errors.New("links: the identity is on this connection already")

// gaveUp is the error of a wait that its context ended, with why it was waited.
func gaveUp(op string, cause, last error) error {
	if last != nil {
		cause = fmt.Errorf("%w; the last attempt: %w", cause, last)
	}
	return &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Retryable: true, Err: cause}
}

// asError returns what op failed with, when err is what became of a link to at, as a
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
	level, remote := ending(err)
	if remote != nil {
		return refusal(op, at, level, remote)
	}
	err = inOurWords(err)
	e := &hubwire.Error{Op: op, Retryable: true, Err: err}
	switch {
	case errors.Is(err, ErrProtocol):
	case errors.Is(err, net.ErrClosed):
		e.Code = hubwire.ConnectionClosedRemotely
	case level > amqpclient.LevelAttach:
		e.Code = hubwire.ConnectionClosedRemotely
		e.Err = &loss.Error{Text: lostText(level), Err: err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		if inner, ok := errors.AsType[*hubwire.Error](err); ok {
			e.Code, e.Outcome, e.Retryable, e.TrackingID = inner.Code, inner.Outcome, inner.Retryable, inner.TrackingID
		}
	}
	return e
}

// refusal is asError for what the peer has said.
func refusal(op string, at amqp.Node, level amqpclient.Level, remote *amqp.Error) *hubwire.Error {
	e := remote.Hubwire(op, at)
	if remote.Redirect != (amqp.Redirect{}) {
		e.Err = remote // which has the condition below it
	}
	if level > amqpclient.LevelAttach {
		e.Outcome = hubwire.Unknown
		e.Err = &loss.Error{Text: lostText(level), Err: e.Err}
	}
	return e
}

// inOurWords is err, of amqpclient, as one of the errors of this package if there is one for it.
func inOurWords(err error) error {
	e, ok := errors.AsType[*amqpclient.Error](err)
	if !ok {
		return err
	}
	switch {
	case errors.Is(e.Err, amqpclient.ErrSilent):
		return ErrSilent
	case errors.Is(e.Err, amqpclient.ErrStalled):
		return ErrStalled
	case errors.Is(e.Err, amqpclient.ErrPeerClosed):
		return ErrPeerEnded
	case errors.Is(e.Err, amqpclient.ErrProtocol):
		return fmt.Errorf("%w: %w", ErrProtocol, e.Err)
	}
	return e.Err
}

// redirectOf returns where the peer sends on to who attached and got err.
func redirectOf(err error) (amqp.Redirect, bool) {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return e.Redirect, e.Redirect != amqp.Redirect{}
	}
	return amqp.Redirect{}, false
}

// lostText says that something of that level is lost.
func lostText(l amqpclient.Level) string {
	switch l {
	case amqpclient.LevelLink:
		return "links: link lost"
	case amqpclient.LevelSession:
		return "links: session lost"
	}
	return "links: connection lost"
}

// ending returns what has ended, or that an attach or a delivery was refused; and the peer's words on it, if any. The level is
// 0 when err says nothing of the kind.
func ending(err error) (amqpclient.Level, *amqp.Error) {
	if e, ok := errors.AsType[*amqpclient.Error](err); ok {
		return e.Level, amqp.FromWire(e.Remote)
	}
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return amqpclient.LevelAttach, e
	}
	return 0, nil
}

// hasEnded reports whether err is the end of a link, session or connection.
func hasEnded(err error) bool {
	level, _ := ending(err)
	return level > amqpclient.LevelAttach
}

// hopeless reports whether waiting cannot mend err.
func hopeless(err error) bool {
	e, ok := errors.AsType[*hubwire.Error](err)
	return ok && !e.Retryable
}
