package links

import (
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/loss"
)

// ErrWouldDeadlock is returned by a call that would wait, from a callback, for what only the return
// of that callback lets happen.
var ErrWouldDeadlock = errors.New("links: waiting inside a callback for what that holds up would never end")

// errAckTimeout is why a session was dropped whose peer did not settle the oldest message within AckTimeout.
var errAckTimeout error = &loss.Error{Text: "links: no outcome from the hub in time"}

// verdict is what the state that the peer has put a message of op into means: nil when it was accepted.
func verdict(op string, at amqp.Node, state amqp10.State) *hubwire.Error {
	e := &hubwire.Error{Op: op, Outcome: hubwire.Refused}
	switch state.Kind() {
	case amqp10.DescAccepted:
		return nil
	case amqp10.DescRejected:
		if remote, _ := state.Error(); remote != nil {
			return refusal(op, at, amqpclient.LevelAttach, amqp.FromWire(remote))
		}
		e.Message = "the hub rejected the message without a reason"
	case amqp10.DescReleased:
		e.Retryable, e.Message = true, "the hub gave the message back"
	case amqp10.DescModified:
		m, _ := state.Modified()
		e.Retryable, e.Message = !m.UndeliverableHere.Or(false), "the hub gave the message back"
	default:
		e.Outcome, e.Message = hubwire.Unknown, "the hub settled the message without an outcome"
	}
	return e
}

// passing reports whether a message that was refused with e is sent again. A quota that is used up for the day is
// the caller's to wait for.
func passing(e *hubwire.Error) bool { return e.Retryable && e.Code.Status() != 403 }

func tooLarge(size int, limit uint64) *hubwire.Error {
	return &hubwire.Error{
		Code: hubwire.MessageTooLarge, Outcome: hubwire.NotSent,
		Message: fmt.Sprintf("the message takes %d bytes, the link takes %d", size, limit),
	}
}

// cutShort is the error of a call that was given up because of cause.
func cutShort(sent bool, cause error) error {
	e := &hubwire.Error{Outcome: hubwire.NotSent, Retryable: true, Err: cause}
	if sent {
		e.Outcome = hubwire.Unknown
	}
	return e
}

// endedBy is the error of a call that the end of its entity has ended.
func endedBy(sent bool, cause error) error {
	e := &hubwire.Error{Outcome: hubwire.NotSent, Err: cause}
	if sent {
		e.Outcome = hubwire.Unknown
	}
	if !errors.Is(cause, net.ErrClosed) {
		e.Err = &loss.Error{Text: "links: ended", Err: cause}
	}
	return e
}
