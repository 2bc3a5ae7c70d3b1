package service

import (
	"errors"
	"fmt"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/loss"
)

// errClosed is what ends the calls of a Client that is closed.
var errClosed error = &loss.Error{Text: "service: client closed"}

// invalid is the error for what is refused before anything is sent.
func invalid(op, format string, args ...any) *hubwire.Error {
	return &hubwire.Error{Op: op, Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: fmt.Sprintf(format, args...)}
}

// asError is err, which package httpsx made, as what it is.
func asError(err error) *hubwire.Error {
	if e, ok := errors.AsType[*hubwire.Error](err); ok {
		return e
	}
	return &hubwire.Error{Outcome: hubwire.NotSent, Err: err}
}

// unsent is the error of a document's own check, before anything is sent.
func unsent(err error) error {
	e := *asError(err)
	e.Outcome = hubwire.NotSent
	return &e
}

// withOp is the error of a check of package hubwire, as that of a call.
func withOp(op string, err error) error {
	e := *asError(err)
	e.Op = op
	return &e
}
