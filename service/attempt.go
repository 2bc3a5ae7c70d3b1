package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/errtext"
	"github.com/hubwire/hubwire/internal/loss"
	"github.com/hubwire/hubwire/sas"
)

// attempt sends the request once and reads its answer.
func (x *exchange) attempt(ctx context.Context) (*httpsx.Answer, *hubwire.Error, Attempt) {
	x.attempts++
	seen := Attempt{Op: x.r.Op.String(), Method: x.r.Op.Method(), Number: x.attempts, RequestID: rand.Text(), Start: time.Now()}
	a, err := x.roundTrip(ctx, &seen)
	seen.Duration = time.Since(seen.Start)
	return a, err, seen
}

func (x *exchange) roundTrip(ctx context.Context, seen *Attempt) (*httpsx.Answer, *hubwire.Error) {
	if !x.c.begin() {
		return nil, &hubwire.Error{Outcome: hubwire.NotSent, Err: errClosed}
	}
	defer x.c.done()
	limit := x.c.o.RequestTimeout + x.r.waits
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var sent way
	req, err := x.build(httptrace.WithClientTrace(inTime, sent.trace()), seen.RequestID)
	if err != nil {
		return nil, asError(err)
	}
	seen.Path = req.URL.EscapedPath()
	res, err := x.c.transport.RoundTrip(req)
	if err != nil {
		return nil, x.broken(ctx, inTime, err, sent.outcome(), fmt.Sprintf("no answer within %v", limit))
	}
	defer res.Body.Close()
	seen.Status = res.StatusCode
	a, err := httpsx.ReadAnswer(x.r.Op, res)
	if err == nil && !isJSON(a) {
		err = httpsx.ParseError(x.r.Op, res.StatusCode, res.Header, a.Body)
	}
	if err != nil {
		return nil, x.refused(ctx, inTime, err, res)
	}
	return a, nil
}

// isJSON reports whether an answer is what a hub may say. A portal that wants a login says HTML,
// with status 200.
func isJSON(a *httpsx.Answer) bool {
	return len(a.Body) == 0 || a.ContentType == "" || strings.Contains(strings.ToLower(a.ContentType), "json")
}

// build makes the request of one attempt.
func (x *exchange) build(ctx context.Context, requestID string) (*http.Request, error) {
	x.r.RequestID = requestID
	if x.r.APIVersion == "" && x.r.Op != httpsx.RegenerateKeys {
		x.r.APIVersion = x.c.o.APIVersion
	}
	req, err := x.r.NewHTTP(ctx, x.c.host())
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", x.token)
	req.Header.Set("User-Agent", x.c.userAgent())
	return req, nil
}

// way is what net/http has done with a request. When a connection of the pool turns out to be
// gone, it takes another by itself: if nothing was written, or to read.
type way struct{ waited, wrote atomic.Bool }

func (w *way) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:      func(string) { w.waited.Store(true); w.wrote.Store(false) },
		WroteHeaders: func() { w.wrote.Store(true) },
	}
}

// outcome is that of a request without an answer.
func (w *way) outcome() hubwire.Outcome {
	if w.waited.Load() && !w.wrote.Load() {
		return hubwire.NotSent
	}
	return hubwire.Unknown
}

// broken is the error of an attempt without a whole answer, where err is what net/http says.
func (x *exchange) broken(ctx, inTime context.Context, err error, outcome hubwire.Outcome, late string) *hubwire.Error {
	err = errtext.Error(err)
	e := &hubwire.Error{Outcome: outcome, Retryable: true, Err: err}
	switch {
	case x.c.ended(ctx) != nil:
		e.Err = x.c.ended(ctx)
		e.Retryable = e.Err != errClosed
	case inTime.Err() != nil:
		e.Message, e.Err = late, context.DeadlineExceeded
	case hopeless(err):
		e.Retryable = false
	case outcome == hubwire.Unknown:
		e.Err = &loss.Error{Text: "connection lost", Err: err}
	}
	return e
}

// noToken is the error of a call that got no token for its next attempt.
func (x *exchange) noToken(ctx context.Context, err error) *hubwire.Error {
	if x.c.ended(ctx) != nil {
		return x.broken(ctx, ctx, err, hubwire.NotSent, "")
	}
	e := &hubwire.Error{Outcome: hubwire.NotSent, Retryable: true, Err: err}
	if inner, ok := errors.AsType[*hubwire.Error](err); ok {
		e.Code, e.Retryable, e.RetryAfter = inner.Code, inner.Retryable, inner.RetryAfter
	}
	return e
}

// interrupted is e, after which there was to be another attempt, had the context or the Client lasted.
func (x *exchange) interrupted(ctx context.Context, e *hubwire.Error) *hubwire.Error {
	cause := x.c.ended(ctx)
	e.Retryable = cause != errClosed
	if e.Err == nil {
		e.Err = cause
	} else {
		e.Err = fmt.Errorf("%w, after %w", cause, e.Err)
	}
	return e
}

// refused is the error of an answer that is not a success, or not whole.
func (x *exchange) refused(ctx, inTime context.Context, err error, res *http.Response) *hubwire.Error {
	e := asError(err)
	switch {
	case e.Err != nil: // reading it failed
		broken := x.broken(ctx, inTime, e.Err, hubwire.Unknown, "")
		broken.Message = e.Message
		return broken
	case res.StatusCode < 300: // a success, but not the hub's, or not of this operation
		e.Outcome = hubwire.Unknown
	case res.StatusCode == http.StatusUnauthorized:
		e.Message = joined(e.Message, clockNote(res.Header.Get("Date"), time.Now()))
	case x.r.safety() == once && (isTimeout(res.StatusCode) || e.Code == hubwire.ConnectionClosedRemotely):
		e.Outcome = hubwire.Unknown // the hub said no, but of the answer: the device may have run the method
	case isTimeout(res.StatusCode):
		e.Retryable = true
	}
	return e
}

// isTimeout reports whether a status is that of a server which did not get what it needed from
// another, in time or at all.
func isTimeout(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusBadGateway || status == http.StatusGatewayTimeout
}

// clockNote says that a token may have been refused for a clock that is wrong.
func clockNote(date string, now time.Time) string {
	at, err := http.ParseTime(date)
	if err != nil {
		return ""
	}
	ahead := now.Sub(at).Round(time.Second)
	switch {
	case ahead > sas.DefaultSkew:
		return fmt.Sprintf("this machine's clock is %v ahead of the hub's", ahead)
	case ahead < -sas.DefaultSkew:
		return fmt.Sprintf("this machine's clock is %v behind the hub's", -ahead)
	}
	return ""
}

// joined puts two messages into one. Either may be empty.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
