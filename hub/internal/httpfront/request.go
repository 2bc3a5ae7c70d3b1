package httpfront

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Requests are read as leniently as the SDKs need it, which is httpsx's business. The
// order is: path and api-version, credentials and rights, the throttle, the body.

// request is a request on its way through the hub.
type request struct {
	*httpsx.Request
	http    *http.Request
	w       http.ResponseWriter
	grant   core.Grant   // of a device or module; zero of a service
	verdict core.Verdict // what an intercept function wants of the answer
}

// unread is what a request asks for that cannot be read. It is never changed.
var unread = new(httpsx.Request)

// serve answers a request.
func (s *Server) serve(w http.ResponseWriter, hr *http.Request) {
	if s.opt.Storage != nil && s.opt.Storage.Wants(hr) {
		s.storage(w, hr)
		return
	}
	if isTunnel(hr) {
		s.tunnel(w, hr)
		return
	}
	r := &request{Request: unread, http: hr, w: w}
	answer, err := s.answer(r)
	switch {
	case errors.Is(err, core.ErrDrop), r.verdict.DropAfter, hr.Context().Err() != nil:
		drop(hr)
	case r.verdict.SwallowAck:
		hold(hr)
	case err != nil:
		answer = s.fail(r, err)
		fallthrough
	default:
		s.write(w, answer)
	}
}

// answer finds the operation, checks who asks for it, and has it done.
func (s *Server) answer(r *request) (*httpsx.Answer, error) {
	read, unreadable := httpsx.ReadRequest(r.http)
	if unreadable == nil {
		r.Request = read
	}
	if s.core.Intercepts() {
		op := &core.Op{Kind: core.OpRequest, Identity: r.subject(), Name: r.http.Method + " " + r.http.URL.Path}
		if err := s.intercept(r, op); err != nil {
			return nil, err
		}
	}
	if unreadable != nil {
		return nil, unreadable
	}
	rt := routeOf(r.Op)
	if rt == nil {
		return nil, refuse(r.Op, hubwire.FeatureNotSupported, "this hub does not have it")
	}
	if err := s.authorize(r, rt); err != nil {
		return nil, err
	}
	if rt.meter != core.Unmetered {
		if err := s.core.Admit(r.Op.String(), rt.meter); err != nil {
			return nil, err
		}
	}
	if s.core.Intercepts() {
		expectBody(r.w, r.http)
	}
	return rt.act(s, r)
}

// intercept shows an operation to the hub's intercept function, and keeps what it
// wants of the answer. An error ends the request.
func (s *Server) intercept(r *request, op *core.Op) error {
	op.Protocol = "https"
	v, err := s.core.Intercept(r.http.Context(), op)
	r.verdict.DropAfter = r.verdict.DropAfter || v.DropAfter
	r.verdict.SwallowAck = r.verdict.SwallowAck || v.SwallowAck
	return err
}

// expectBody sets the deadline of the body anew: the delay of an intercept function is not the peer's.
// Without a body net/http waits for the end of the connection, which has no deadline.
func expectBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// An error here shows again in the read.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
}

// hold keeps a request without an answer, until the peer or the hub gives up.
// net/http looks for the end of the connection only once the body is read.
func hold(r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		<-r.Context().Done()
	}
	drop(r)
}

// drop cuts the connection of a request.
func drop(r *http.Request) {
	rawConn(r).Close()
	panic(http.ErrAbortHandler) // net/http's way to say: no answer
}

// body reads the body, of at most what the operation takes.
func (r *request) body() ([]byte, error) { return httpsx.ReadBody(r.Op, r.http) }

// appendBody appends the body to dst, and returns what it has of it also when it fails.
func (r *request) appendBody(dst []byte) ([]byte, error) {
	n := r.http.ContentLength
	switch {
	case n > r.Op.MaxBody():
		return dst, refuse(r.Op, hubwire.MessageTooLarge, "the message is too large")
	case n < 0:
		b, err := r.body()
		return append(dst, b...), err
	}
	at := len(dst)
	dst = slices.Grow(dst, int(n))[:at+int(n)]
	if _, err := io.ReadFull(r.http.Body, dst[at:]); err != nil {
		return dst, refuse(r.Op, hubwire.FormatError, "the body did not arrive")
	}
	return dst, nil
}

// message is the message that the headers and the body are.
func (r *request) message() (*hubwire.Message, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	m, err := httpsx.ParseMessage(r.http.Header, body)
	if err != nil {
		return nil, r.unreadable(err)
	}
	return m, nil
}

// unreadable is the refusal of a message or batch that httpsx cannot read.
func (r *request) unreadable(err error) error {
	code := hubwire.FormatError
	var property *httpsx.PropertyError
	switch {
	case errors.As(err, &property):
		code = hubwire.ArgumentInvalid
	case errors.Is(err, httpsx.ErrBatchTooBig):
		code = hubwire.MessageTooLarge
	}
	return refuse(r.Op, code, err.Error())
}

// decode reads the body as a document.
func (r *request) decode(doc any) error {
	b, err := r.body()
	if err != nil {
		return err
	}
	return httpsx.Decode(r.Op, b, doc)
}
