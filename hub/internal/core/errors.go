package core

import (
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// refuse is the error for what the hub says no to.
func refuse(op string, code hubwire.Code, format string, args ...any) *hubwire.Error {
	return &hubwire.Error{
		Op: op, Code: code, Outcome: hubwire.Refused, Retryable: code.Retryable(),
		Message: fmt.Sprintf(format, args...),
	}
}

// refused makes the error of a check, which speaks as a client, the hub's own.
func refused(op string, err error) error {
	var e *hubwire.Error
	if !errors.As(err, &e) {
		return refuse(op, hubwire.ArgumentInvalid, "%v", err)
	}
	own := *e
	own.Op, own.Outcome = op, hubwire.Refused
	return &own
}

// broken is the error for trouble of the store, of which the one that it is closed is
// the end of the hub.
func broken(op string, err error) error {
	if errors.Is(err, store.ErrClosed) {
		return ended(op, errClosing)
	}
	return &hubwire.Error{
		Op: op, Code: hubwire.ServerError, Outcome: hubwire.Refused, Retryable: true, Err: err,
	}
}

// ended is the error for a call on a session that is over for reason.
func ended(op string, reason *hubwire.Error) error {
	e := *reason
	e.Op, e.Outcome, e.Err = op, hubwire.Refused, net.ErrClosed
	return &e
}

func notFound(op string, id hubwire.Identity) *hubwire.Error {
	if id.IsModule() {
		return refuse(op, hubwire.ModuleNotFound, "module %q is not registered", id)
	}
	return refuse(op, hubwire.DeviceNotFound, "device %q is not registered", id)
}
