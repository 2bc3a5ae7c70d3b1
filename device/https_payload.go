package device

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// payload is the body of one attempt. An answer can come before all of the request is written, and
// net/http then goes on reading: after end it gets nothing more, so that the
// bytes are the caller's again.
type payload struct {
	mu    sync.Mutex
	rest  []byte
	taken bool // all of it: the hub may have the request
	ended bool
}

// Read implements [io.Reader].
func (p *payload) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return 0, errEnded
	}
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	p.taken = len(p.rest) == 0
	return n, nil
}

// Close implements [io.Closer].
func (p *payload) Close() error { return nil }

// end takes the bytes back, and reports whether all had been read. nil had none.
func (p *payload) end() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest, p.ended = nil, true
	return p.taken
}

var (
	errEnded = errors.New("device: the request has ended")

	// errStale is about a connection that had ended while it waited for a request.
	errStale = errors.New("device: the connection had ended before")
)

// noAnswer is the error of an attempt that net/http failed with err. Only what was
// read to its end can have got to the hub as a request; of one without a body nobody knows.
func noAnswer(op httpsx.Operation, err error, p *payload) *hubwire.Error {
	e := &hubwire.Error{Op: op.String(), Outcome: hubwire.Unknown, Retryable: true, Err: &lostError{err}}
	dialled, isDial := errors.AsType[*dialError](err)
	switch {
	case isDial:
		e.Outcome = hubwire.NotSent
		if refused, ok := errors.AsType[*hubwire.Error](dialled.err); ok && !refused.Retryable {
			return refused
		}
	case p != nil && !p.end():
		e.Outcome = hubwire.NotSent
		e.Err = &lostError{errors.Join(errStale, err)}
	}
	return e
}

// lostError is the end of an attempt without an answer. It matches net.ErrClosed, and its cause.
type lostError struct{ err error }

func (e *lostError) Error() string      { return "device: no answer: " + e.err.Error() }
func (e *lostError) Unwrap() error      { return e.err }
func (*lostError) Is(target error) bool { return target == net.ErrClosed }

// dialError is that of a dial.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }
