package amqpclient

import (
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Level is what an [*Error] is about.
type Level uint8

// The levels.
const (
	LevelAttach  Level = iota + 1 // an attach was refused
	LevelLink                     // a link has ended
	LevelSession                  // a session has ended, and with it its links
	LevelConn                     // the connection has ended, and with it all
)

// String returns the name of l.
func (l Level) String() string {
	switch l {
	case LevelAttach:
		return "attach refused"
	case LevelLink:
		return "link ended"
	case LevelSession:
		return "session ended"
	case LevelConn:
		return "connection ended"
	}
	return "nothing ended"
}

// Error is why a link, a session or the connection ended, or an attach was refused. All but the latter match
// [net.ErrClosed].
type Error struct {
	Level Level
	// Remote is what the peer said: nil if it said nothing.
	Remote *amqp10.Error
	// Err is why otherwise: what this side gave for a reason, one of the errors below, or what the connection failed with.
	Err error
}

// Why something ended: an [*Error] matches one of these, unless it has what the peer said or what the connection failed with.
var (
	// ErrClosed is for what was ended on this side.
	ErrClosed = errors.New("amqpclient: closed")
	// ErrPeerClosed is for what the peer ended without saying why.
	ErrPeerClosed = errors.New("amqpclient: ended by the peer")
	// ErrAborted is for a connection that was aborted on this side, or whose Open was given up.
	ErrAborted = errors.New("amqpclient: aborted")
	// ErrProtocol is for what the peer broke the protocol on. The [*amqp10.Error] that it was told is beside it.
	ErrProtocol = errors.New("amqpclient: the peer broke the protocol")
	// ErrSilent is for a connection whose peer has said nothing for too long.
	ErrSilent = errors.New("amqpclient: no sign of life from the peer")
	// ErrStalled is for a connection whose peer has not read for too long.
	ErrStalled = errors.New("amqpclient: the peer does not read")
	// ErrSASL is for a connection whose peer did not let this side in.
	ErrSASL = errors.New("amqpclient: authentication failed")
)

// Errors of calls, which end nothing.
var (
	// ErrMessageSize is why a message was not sent that is larger than the peer takes on the link.
	ErrMessageSize = errors.New("amqpclient: the message is larger than the link takes")
	// ErrLimit is why a session or link was not begun: there are as many as the peer allows.
	ErrLimit = errors.New("amqpclient: the peer allows no more of them")
	// ErrFrameSize is why a link was not attached: what it says takes more than a frame that the peer takes.
	ErrFrameSize = errors.New("amqpclient: the attach is larger than the peer's frames")
	// ErrNameInUse is why a link was not attached: its session has one of that name and role.
	ErrNameInUse = errors.New("amqpclient: the session has a link of that name")
	// ErrNotUnsettled is why a delivery was not settled: it is, or came settled, or is none of the link.
	ErrNotUnsettled = errors.New("amqpclient: the delivery is not unsettled")
)

// Error gives the level and the reason, on one line.
func (e *Error) Error() string {
	switch {
	case e.Remote != nil:
		return "amqpclient: " + e.Level.String() + ": " + e.Remote.Error()
	case e.Err != nil:
		return "amqpclient: " + e.Level.String() + ": " + e.Err.Error()
	}
	return "amqpclient: " + e.Level.String()
}

// Unwrap returns what the peer said, and why otherwise.
func (e *Error) Unwrap() []error {
	var all []error
	if e.Remote != nil {
		all = append(all, e.Remote)
	}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// Is reports whether target is [net.ErrClosed] and something has ended.
func (e *Error) Is(target error) bool { return target == net.ErrClosed && e.Level > LevelAttach }

// remoteError is the end of something by the peer.
func remoteError(level Level, e *amqp10.Error) *Error {
	if e == nil {
		return &Error{Level: level, Err: ErrPeerClosed}
	}
	return &Error{Level: level, Remote: e}
}

// protocolError is what the peer did wrong, and was told.
func protocolError(e *amqp10.Error) error { return fmt.Errorf("%w: %w", ErrProtocol, e) }

// decodeError is what a connection is closed with when a frame cannot be read.
func decodeError(err error) *amqp10.Error {
	return &amqp10.Error{Condition: amqp10.DecodeError, Description: err.Error()}
}

// ownError is the reason of an end that this side gives e for, which may be nil.
func ownError(level Level, e *amqp10.Error) *Error {
	if e == nil {
		return &Error{Level: level, Err: ErrClosed}
	}
	return &Error{Level: level, Err: fmt.Errorf("%w: %w", ErrClosed, e)}
}
