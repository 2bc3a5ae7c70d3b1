// Package loss has the error of what ended with its connection, for all clients.
package loss

import "net"

// Error is the end of a connection, or of something on one. It matches [net.ErrClosed], and its cause.
type Error struct {
	Text string // what ended, such as "mqtt: connection lost"
	Err  error  // the cause; nil if there is none to tell
}

// Error returns the text, with the cause behind it.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is [net.ErrClosed].
func (e *Error) Is(target error) bool { return target == net.ErrClosed }
