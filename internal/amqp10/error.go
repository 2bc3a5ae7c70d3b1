package amqp10

import "github.com/hubwire/hubwire/internal/errtext"

// Condition is what went wrong, as a symbol. Address spaces have more than the standard's.
type Condition string

// The conditions of the standard (part 2 sections 2.8.15 to 2.8.18).
const (
	InternalError         Condition = "amqp:internal-error"
	NotFound              Condition = "amqp:not-found"
	UnauthorizedAccess    Condition = "amqp:unauthorized-access"
	DecodeError           Condition = "amqp:decode-error"
	ResourceLimitExceeded Condition = "amqp:resource-limit-exceeded"
	NotAllowed            Condition = "amqp:not-allowed"
	InvalidField          Condition = "amqp:invalid-field"
	NotImplemented        Condition = "amqp:not-implemented"
	ResourceLocked        Condition = "amqp:resource-locked"
	PreconditionFailed    Condition = "amqp:precondition-failed"
	ResourceDeleted       Condition = "amqp:resource-deleted"
	IllegalState          Condition = "amqp:illegal-state"
	FrameSizeTooSmall     Condition = "amqp:frame-size-too-small"

	ConnectionForced   Condition = "amqp:connection:forced"
	FramingError       Condition = "amqp:connection:framing-error"
	ConnectionRedirect Condition = "amqp:connection:redirect"

	WindowViolation  Condition = "amqp:session:window-violation"
	ErrantLink       Condition = "amqp:session:errant-link"
	HandleInUse      Condition = "amqp:session:handle-in-use"
	UnattachedHandle Condition = "amqp:session:unattached-handle"

	DetachForced          Condition = "amqp:link:detach-forced"
	TransferLimitExceeded Condition = "amqp:link:transfer-limit-exceeded"
	MessageSizeExceeded   Condition = "amqp:link:message-size-exceeded"
	LinkRedirect          Condition = "amqp:link:redirect"
	Stolen                Condition = "amqp:link:stolen"
)

// Error is an error as it goes over the wire (part 2 section 2.8.14): why a link was detached, a
// session or connection ended, a delivery rejected. It owns what it has: it is kept for longer
// than the frame that it came in.
type Error struct {
	Condition   Condition
	Description string // empty is written as null
	Info        Value  // a map with symbols as keys, or null
}

// Error gives condition and description, made fit to print: it may be a peer that chose them.
func (e *Error) Error() string {
	switch {
	case e == nil:
		return "amqp10: no error"
	case e.Description == "":
		return errtext.Line(string(e.Condition))
	}
	return errtext.Line(string(e.Condition) + ": " + e.Description)
}

// AppendTo appends e. A nil e is null.
func (e *Error) AppendTo(dst []byte) []byte {
	if e == nil {
		return AppendNull(dst)
	}
	w := create(dst, DescError)
	w.dst = AppendSymbol(w.field(), e.Condition)
	if e.Description != "" {
		w.dst = AppendString(w.field(), e.Description)
	} else {
		w.nulls++
	}
	w.value(e.Info)
	return w.close()
}

func (w *writer) error(e *Error) {
	if e == nil {
		w.nulls++
	} else {
		w.dst = e.AppendTo(w.field())
	}
}

// error reads an Error, or nil for null.
func (r *Reader) error() *Error {
	f, ok := r.composite(DescError)
	if !ok {
		return nil
	}
	condition := f.needText()
	description := f.Text()
	info := f.mapping()
	f.Done()
	r.adopt(&f)
	if r.failed() {
		return nil
	}
	return &Error{Condition(condition), string(description), info.Clone()}
}

// needText reads a string or symbol that must not be null.
func (r *Reader) needText() []byte {
	v := r.Text()
	return need(r, v, v != nil)
}
