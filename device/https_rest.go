package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/backoff"
)

// rest asks the hub's REST endpoint in the name of a device or module, with as
// many connections as there are requests at a time, up to a limit. It has no goroutine but those of its
// connections, two each, and none a minute after the last request.
type rest struct {
	cfg       *config
	host      string // "name" or "name:port"
	agent     []string
	transport *http.Transport
	conns     connections
	tokens    tokenCache

	// over ends when nothing more is to be tried; its cause is why.
	over  context.Context
	abort context.CancelCauseFunc

	// reported is told how each attempt went.
	reported func(*hubwire.Error)

	sendings sync.Pool
}

// idleTimeout is how long a connection waits for the next request. It is shorter than
// servers wait, so that a request seldom meets one that is just closed.
const idleTimeout = time.Minute

// maxAnswerHeader bounds the head of an answer, in bytes; that of a message
// for a device has 64 KiB of properties at most.
const maxAnswerHeader = 256 << 10

// maxRetryAfter bounds how long the hub can have a call wait.
const maxRetryAfter = 5 * time.Minute

// init makes r ready, with dial for its connections, of which there are limit at most.
func (r *rest) init(cfg *config, limit int, dial dialFunc, reported func(*hubwire.Error)) {
	r.cfg, r.reported = cfg, reported
	r.host = cfg.cred.host()
	if cfg.Port != 0 && cfg.Port != httpsPort {
		r.host = cfg.addr(httpsPort)
	}
	r.agent = []string{product}
	if cfg.ProductInfo != "" {
		r.agent[0] += " " + headerText(cfg.ProductInfo)
	}
	r.over, r.abort = context.WithCancelCause(context.Background())
	r.tokens.init(r.over, cfg)
	r.sendings.New = func() any { return newSending() }
	r.transport = &http.Transport{
		DialTLSContext:         r.conns.dial,
		MaxConnsPerHost:        limit,
		MaxIdleConnsPerHost:    limit,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  max(0, cfg.AckTimeout),
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxAnswerHeader,
		Protocols:              new(http.Protocols),
	}
	r.transport.Protocols.SetHTTP1(true)
	r.conns.init(r.over, cfg, func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, r.transport.CloseIdleConnections)
}

// headerText returns s with a question mark for what a header does not carry as it is.
func headerText(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}

// exchange is a request and what it is about. It can be sent any number of times.
type exchange struct {
	op      httpsx.Operation
	request *http.Request    // its method, URL and headers, but Authorization; it is not changed
	message *hubwire.Message // whose properties are headers too; nil for none
	body    []byte
}

// exchange returns one of op, without message and body.
func (r *rest) exchange(op httpsx.Operation, name string) (exchange, error) {
	return r.exchangeOf(&httpsx.Request{Op: op, Target: httpsx.Target{Identity: r.cfg.id, Name: name}})
}

// exchangeOf is exchange for a request that is not about the device or module itself.
func (r *rest) exchangeOf(req *httpsx.Request) (exchange, error) {
	base, err := req.NewHTTP(context.Background(), r.host)
	if err != nil {
		return exchange{}, err
	}
	base.Header["User-Agent"] = r.agent
	return exchange{op: req.Op, request: base}, nil
}

// reply is the answer of a success.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// nothing is the answer of which no more is asked than that it is a success.
var nothing = &reply{status: http.StatusNoContent}

// insist asks until there is an answer that is no passing trouble, or ctx or r ends, and
// shows another token or certificate once when the hub does not take the first, and one more token for each
// that was over by the time it was refused. The error is an
// [*hubwire.Error]; its outcome is Unknown when the hub may have acted on any of the attempts.
func (r *rest) insist(ctx context.Context, x *exchange) (*reply, error) {
	var last *hubwire.Error
	unsure, refreshed := false, false
	for n := 0; ; n++ {
		token, e := r.tokens.get(ctx)
		start := time.Now()
		var answer *reply
		if e == nil {
			answer, e = r.attempt(ctx, x, token)
		}
		r.reported(e)
		if e == nil {
			return answer, nil
		}
		unsure = unsure || e.Outcome == hubwire.Unknown
		over := ctx.Err() != nil || r.over.Err() != nil
		if !over || e.Outcome == hubwire.Refused { // else it failed because of that end
			if last = e; unsure {
				last.Outcome = hubwire.Unknown
			}
		}
		switch {
		case !over && errors.Is(e, errLeft):
			continue // until they are gone
		case e.Code.Status() == http.StatusUnauthorized && !over && token.expiredSince(start) && r.refresh(token):
			// it was over before the hub looked at it: after the back-off, the next may be quicker
		case e.Code.Status() == http.StatusUnauthorized && !refreshed && !over && r.refresh(token):
			refreshed = true
			continue
		case last == e && !passing(e):
			return nil, e
		case over:
			return nil, r.gaveUp(ctx, last, unsure)
		case n == 0 && errors.Is(e, errStale):
			continue
		}
		// The back-off comes on top of what the hub asks for, which is the same for a whole fleet.
		if !r.wait(ctx, min(e.RetryAfter, maxRetryAfter)+backoff.Wait(n, r.cfg.MinBackoff, r.cfg.MaxBackoff)) {
			return nil, r.gaveUp(ctx, last, unsure)
		}
	}
}

// refresh has the next attempt show other credentials than those that were refused with token, or, when
// it is nil, by their certificate. It reports whether there can be any.
func (r *rest) refresh(token *heldToken) bool {
	if r.cfg.cred.GetClientCertificate != nil {
		r.conns.retire() // a connection keeps the certificate that it was made with
		return true
	}
	return r.tokens.drop(token)
}

// errLeft is about a refusal on a connection whose certificate has been replaced.
var errLeft = errors.New("device: the connection was made with an earlier certificate")

// passing reports whether what failed with e is tried again. A quota that is used up for
// the day is the caller's to wait for.
func passing(e *hubwire.Error) bool {
	return e.Retryable && e.Code.Status() != http.StatusForbidden
}

// wait reports whether d passed before ctx or r ended.
func (r *rest) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-r.over.Done():
	}
	return false
}

// gaveUp is the error of a call that ctx ended, or the end of r. last is what the attempt
// before failed with, nil when there was none.
func (r *rest) gaveUp(ctx context.Context, last *hubwire.Error, unsure bool) *hubwire.Error {
	e := ended(ctx, r.over)
	if last != nil {
		e.Code, e.Outcome, e.RetryAfter, e.TrackingID = last.Code, last.Outcome, last.RetryAfter, last.TrackingID
		e.Err = &gaveUpError{e.Err, last}
	}
	if unsure {
		e.Outcome = hubwire.Unknown
	}
	return e
}

// gaveUpError is why no further attempt was made, and why there would have been one.
type gaveUpError struct{ cause, last error }

func (e *gaveUpError) Error() string {
	return e.cause.Error() + "; the last attempt: " + e.last.Error()
}
func (e *gaveUpError) Unwrap() []error { return []error{e.cause, e.last} }

// attempt asks once.
func (r *rest) attempt(ctx context.Context, x *exchange, token *heldToken) (*reply, *hubwire.Error) {
	r.conns.renew()
	s := r.sendings.Get().(*sending)
	for name, values := range x.request.Header {
		s.header[name] = values
	}
	if token != nil {
		s.header["Authorization"] = token.header
	}
	httpsx.SetMessage(s.header, x.message)
	req := x.request.WithContext(httptrace.WithClientTrace(ctx, &s.trace))
	req.Header = s.header
	if len(x.body) > 0 {
		s.body = append(s.body[:0], x.body...)
		s.reader.Reset(s.body)
		req.Body, req.ContentLength = io.NopCloser(&s.reader), int64(len(s.body)) // which net/http writes along with the head
	}
	resp, err := r.transport.RoundTrip(req)
	var answer *reply
	var e *hubwire.Error
	if err != nil {
		e = s.noAnswer(x.op, err)
	} else {
		if answer, e = r.read(x.op, resp); e != nil && resp.StatusCode == http.StatusUnauthorized && r.cfg.cred.GetClientCertificate != nil && r.conns.left(s.conn) {
			e.Err = errLeft
		}
	}
	if s.written.Load() {
		s.reset()
		r.sendings.Put(s)
	}
	return answer, e
}

// read reads an answer, for as long as the hub may take for one.
func (r *rest) read(op httpsx.Operation, resp *http.Response) (*reply, *hubwire.Error) {
	if op.Succeeds(resp.StatusCode) && (op.Status() == http.StatusNoContent || resp.StatusCode == http.StatusNoContent) {
		resp.Body.Close() // it is done: what else may come makes no difference
		if isPage(resp) {
			return nil, &hubwire.Error{
				Op: op.String(), Outcome: hubwire.Unknown,
				Message: fmt.Sprintf("status %d with a body that is not the hub's (%.100q)", resp.StatusCode, resp.Header.Get("Content-Type")),
			}
		}
		return nothing, nil
	}
	defer resp.Body.Close()
	if r.cfg.AckTimeout > 0 {
		defer time.AfterFunc(r.cfg.AckTimeout, func() { resp.Body.Close() }).Stop()
	}
	if !op.Succeeds(resp.StatusCode) {
		_, err := httpsx.ReadAnswer(op, resp)
		e := asError(op, err)
		switch resp.StatusCode {
		case http.StatusBadGateway, http.StatusGatewayTimeout:
			e.Retryable = e.Retryable || op != httpsx.InvokeMethod // a method may have run
		}
		if resp.StatusCode/100 == 3 {
			e.Err = ErrRedirect
		}
		return nil, e
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBody+1))
	if err == nil && len(body) > maxAnswerBody {
		err = errTooLong
	}
	if err != nil {
		return nil, &hubwire.Error{Op: op.String(), Outcome: hubwire.Unknown, Retryable: true, Message: "the answer ended early", Err: unanswered(err)}
	}
	return &reply{resp.StatusCode, resp.Header, body}, nil
}

// isPage reports whether an answer is somebody else's: a portal that wants a login says HTML, with status 200.
func isPage(resp *http.Response) bool {
	return resp.StatusCode != http.StatusNoContent && resp.ContentLength != 0 && strings.Contains(strings.ToLower(resp.Header.Get("Content-Type")), "html")
}

// maxAnswerBody bounds the body of an answer, in bytes. A message for a device has 64 KiB.
const maxAnswerBody = 256 << 10

var errTooLong = errors.New("device: the answer has more than 262144 bytes")

// asError returns err, an error of package httpsx, as what it is.
func asError(op httpsx.Operation, err error) *hubwire.Error {
	if e, ok := errors.AsType[*hubwire.Error](err); ok {
		return e
	}
	return &hubwire.Error{Op: op.String(), Outcome: hubwire.Unknown, Err: err} // cannot be
}
