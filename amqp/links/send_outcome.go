package links

import (
	"errors"
	"fmt"
	"net"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// ErrWouldDeadlock is returned by a call that would wait, from a callback, for what only the return
// of that callback lets happen.
var ErrWouldDeadlock = errors.New("links: waiting inside a callback for what that holds up would never end")

// errAckTimeout is why a session was dropped whose peer did not settle the oldest message within AckTimeout.
var errAckTimeout error = &lossError{text: "links: no outcome from the hub in time"}

// givenBack reports whether the hub has not acted on a transfer, and wants it once more.
func givenBack(state goamqp.DeliveryState) bool {
	switch s := state.(type) {
	case *goamqp.StateReleased:
		return true
	case *goamqp.StateModified:
		return !s.UndeliverableHere
	}
	return false
}

// verdict is what a delivery state that is final means for the message: nil when it was accepted.
func verdict(state goamqp.DeliveryState) error {
	switch s := state.(type) {
	case *goamqp.StateAccepted:
		return nil
	case *goamqp.StateRejected:
		if s.Error == nil {
			return &hubwire.Error{Outcome: hubwire.Refused, Message: "the hub rejected the message without a reason"}
		}
		return asError("send", amqp.Telemetry, s.Error)
	case *goamqp.StateModified:
		return &hubwire.Error{Outcome: hubwire.Refused, Message: "the hub does not take the message here"}
	}
	return &hubwire.Error{Outcome: hubwire.Unknown, Message: fmt.Sprintf("the hub settled the message with %v, which is no outcome", state)}
}

func tooLarge(size int, limit uint64) error {
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
		e.Err = &lossError{text: "links: ended", err: cause}
	}
	return e
}
