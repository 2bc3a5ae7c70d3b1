package device

import (
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire"
)

// SendError is why one of the messages given to [Client.SendAll] failed.
type SendError struct {
	Index int   // of the message
	Err   error // a *hubwire.Error, as from [Client.Send]
}

// Error names the message by its index.
func (e *SendError) Error() string { return fmt.Sprintf("message %d: %v", e.Index, e.Err) }

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// errClosed is why a Client ended that was closed.
var errClosed error = &closedError{}

type closedError struct{}

func (*closedError) Error() string { return "device: client closed" }

func (*closedError) Is(target error) bool { return target == net.ErrClosed }

// withOp gives err, which comes from below, the name of the call that it ends. Where the
// hub's code stands deeper in the chain, as when one refusal ended everything, it comes up.
func withOp(op string, err error) error {
	if err == nil {
		return nil
	}
	e, ok := err.(*hubwire.Error)
	if !ok {
		return &hubwire.Error{Op: op, Err: err}
	}
	named := *e
	named.Op = op
	if inner, ok := errors.AsType[*hubwire.Error](e.Err); ok && named.Code == 0 {
		named.Code, named.TrackingID = inner.Code, inner.TrackingID
	}
	return &named
}

// invalid is the error for what is refused before anything is sent.
func invalid(op, format string, args ...any) *hubwire.Error {
	return &hubwire.Error{Op: op, Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: fmt.Sprintf(format, args...)}
}

// ended is the error of a call that ended before it did anything, because of
// its context or the Client.
func ended(op string, cause error) error {
	return &hubwire.Error{Op: op, Outcome: hubwire.NotSent, Err: cause}
}
