package device

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/loss"
)

// SendError is why one of the messages given to [Client.SendAll] failed.
type SendError struct {
	Index int   // of the message
	Err   error // a *hubwire.Error, as from [Client.Send]
}

// Error names the message by its index.
func (e *SendError) Error() string {
	if e == nil {
		return "device: no error"
	}
	return fmt.Sprintf("message %d: %v", e.Index, e.Err)
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// errClosed is why a Client ended that was closed.
var errClosed error = &loss.Error{Text: "device: client closed"}

// endedBy is the end of a Client by its cause.
func endedBy(cause error) error { return &loss.Error{Text: "device: client ended", Err: cause} }

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

// tellsSend is done, which may be nil, whose error gets the name of the call.
func tellsSend(done func(error)) func(error) {
	if done == nil {
		return nil
	}
	return func(err error) { done(withOp("send", err)) }
}

// invalid is the error for what is refused before anything is sent.
func invalid(op, format string, args ...any) *hubwire.Error {
	return &hubwire.Error{Op: op, Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: fmt.Sprintf(format, args...)}
}

func noContext(op string) error { return invalid(op, "the context is nil") }

// ended is the error of a call that waited, and did nothing, until its
// context ended or the Client's life did.
func ended(ctx, life context.Context) *hubwire.Error {
	if life.Err() == nil {
		return &hubwire.Error{Outcome: hubwire.NotSent, Retryable: true, Err: ctx.Err()}
	}
	cause := context.Cause(life)
	if !errors.Is(cause, net.ErrClosed) {
		cause = endedBy(cause)
	}
	return &hubwire.Error{Outcome: hubwire.NotSent, Err: cause}
}
