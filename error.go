package hubwire

import (
	"fmt"
	"strings"
	"time"
)

// Error is what every operation against a hub fails with, over all protocols.
//
//	var e *hubwire.Error
//	if errors.As(err, &e) && e.Retryable { ... }
//	if errors.Is(err, hubwire.DeviceNotOnline) { ... }
//
// It matches its Code and its cause under [errors.Is]. What ended because the
// connection did also matches [net.ErrClosed]; what ended because its context
// did also matches the context's error. It never holds a key or a token.
type Error struct {
	Op         string        // what was tried: "send", "twin get"
	Code       Code          // the hub's code, or 0 when the hub did not speak
	Outcome    Outcome       // whether the hub may have acted on it
	Retryable  bool          // the same call can succeed later
	RetryAfter time.Duration // how long the hub asks to wait; 0 when it does not say
	TrackingID string        // for Azure's support; empty when the hub gave none
	Message    string        // for people
	Err        error         // the cause; may be nil
}

// Outcome says how far an operation that failed had got.
type Outcome uint8

// The outcomes. The zero Outcome is the cautious one.
const (
	Unknown Outcome = iota // sent, and the hub's answer was lost: it may or may not have happened
	NotSent                // nothing left this process
	Refused                // the hub answered, and said no
)

// String returns "outcome unknown", "not sent" or "refused".
func (o Outcome) String() string {
	switch o {
	case NotSent:
		return "not sent"
	case Refused:
		return "refused"
	}
	return "outcome unknown"
}

// Error gives the operation, code, outcome, message, cause and tracking id, on one line.
func (e *Error) Error() string {
	if e == nil {
		return "hubwire: no error"
	}
	var b strings.Builder
	b.WriteString("hubwire: ")
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, "%d %s, ", int(e.Code), e.Code.Name())
	}
	b.WriteString(e.Outcome.String())
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.TrackingID != "" {
		b.WriteString(" (tracking id " + e.TrackingID + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// Is reports whether target is e's [Code].
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && e != nil && c == e.Code && c != 0
}
