package device

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/errtext"
	"github.com/hubwire/hubwire/internal/loss"
)

// sending is what an attempt gives to net/http, whose goroutines may be at it after there is
// an answer: one can come before all of the request is written. So it is used
// again only when it is known to be written, and the body is a copy: the message is the caller's again.
type sending struct {
	header http.Header
	body   []byte
	reader bytes.Reader
	trace  httptrace.ClientTrace

	conn    *pooledConn // nil while there is none
	before  int64       // bytes that it had written
	written atomic.Bool // all of the request, as far as net/http's buffer: the hub may have it
}

func newSending() *sending {
	s := &sending{header: make(http.Header, 16)}
	s.trace.GotConn = func(i httptrace.GotConnInfo) {
		s.written.Store(false) // net/http may have tried another before
		if s.conn, _ = i.Conn.(*pooledConn); s.conn != nil {
			s.before = s.conn.sent.Load()
		}
	}
	s.trace.WroteRequest = func(i httptrace.WroteRequestInfo) {
		if i.Err == nil {
			s.written.Store(true)
		}
	}
	return s
}

// maxKept is the largest body whose memory is kept for the next.
const maxKept = 16 << 10

// reset empties s for another attempt.
func (s *sending) reset() {
	clear(s.header)
	if cap(s.body) > maxKept {
		s.body = nil
	}
	s.reader.Reset(nil)
	s.conn, s.before = nil, 0
	s.written.Store(false)
}

// errStale is about a connection that had ended while it waited for a request.
var errStale = errors.New("device: the connection had ended before")

// noAnswer is the error of an attempt that net/http failed with err. Only what was
// written to its end can have got to the hub as a request.
func (s *sending) noAnswer(op httpsx.Operation, err error) *hubwire.Error {
	e := &hubwire.Error{Op: op.String(), Outcome: hubwire.Unknown, Retryable: true, Err: unanswered(err)}
	if dialled, ok := errors.AsType[*dialError](err); ok {
		e.Outcome = hubwire.NotSent
		if refused, ok := errors.AsType[*hubwire.Error](dialled.err); ok && !refused.Retryable {
			return refused
		}
		return e
	}
	nothing := s.conn != nil && s.conn.sent.Load() == s.before
	if nothing {
		e.Err = unanswered(fmt.Errorf("%w: %w", errStale, err))
	}
	if nothing || s.conn == nil || !s.written.Load() {
		e.Outcome = hubwire.NotSent
	}
	return e
}

// unanswered is the end of an attempt without an answer.
func unanswered(err error) error {
	return &loss.Error{Text: "device: no answer", Err: errtext.Error(err)}
}

// dialError is that of a dial.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }
