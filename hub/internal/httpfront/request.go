package httpfront

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Requests are read as leniently as the SDKs need it: words of a path in any
// case, a slash behind it, segments encoded in any way, any api-version, If-Match
// in each of its forms, PATCH as a POST that says so. Left out: Authorization as a
// query parameter, which only IoT Edge takes.

// maxBody is the largest body of a request. The largest is that of a twin which
// is sent back whole, with its metadata.
const maxBody = 1 << 20

// request is a request with its path taken apart.
type request struct {
	*http.Request
	w       http.ResponseWriter
	path    []string     // segments, decoded
	grant   *core.Grant  // of a device or module; nil of a service
	verdict core.Verdict // what an intercept function wants of the answer
}

// response is what an operation answers with.
type response struct {
	status int
	etag   string // without quotes; empty for none
	allow  string // the methods there are, when it was another
	nested bool   // an error goes out in the form that methods have
	body   any    // goes out as JSON; nil for none
	raw    []byte // goes out as it is, when body is nil
}

// serve answers a request.
func (s *Server) serve(w http.ResponseWriter, hr *http.Request) {
	if s.opt.Storage != nil && s.opt.Storage.Wants(hr) {
		s.storage(w, hr)
		return
	}
	path, err := splitPath(hr.URL.EscapedPath())
	if err != nil {
		s.write(w, fail(refuse(hubwire.ArgumentInvalid, "the path is badly encoded")))
		return
	}
	if isTunnel(hr, path) {
		s.tunnel(w, hr)
		return
	}
	if isPatch(hr) {
		hr.Method = http.MethodPatch
	}
	r := &request{Request: hr, w: w, path: path}
	answer, err := s.answer(r)
	switch {
	case errors.Is(err, core.ErrDrop), r.verdict.DropAfter, hr.Context().Err() != nil:
		drop(hr)
	case r.verdict.SwallowAck:
		hold(hr)
	case err != nil:
		answer = fail(err)
		answer.nested = answer.nested || isOfDevice(err)
		fallthrough
	default:
		s.write(w, answer)
	}
}

// intercept shows an operation to the hub's intercept function, and keeps what it
// wants of the answer. An error ends the request.
func (s *Server) intercept(r *request, op *core.Op) error {
	op.Protocol = "https"
	v, err := s.core.Intercept(r.Context(), op)
	r.verdict.DropAfter = r.verdict.DropAfter || v.DropAfter
	r.verdict.SwallowAck = r.verdict.SwallowAck || v.SwallowAck
	return err
}

// isPatch reports whether a POST is a PATCH, which the Java SDK cannot send.
func isPatch(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.EqualFold(r.Header.Get("X-HTTP-Method-Override"), http.MethodPatch)
}

// expectBody sets the deadline of the body anew: the hub's delay is not the peer's.
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

// splitPath takes a path apart first and decodes the segments then, once, so
// that an id may hold an encoded slash or percent sign. A plus is a plus. A
// slash at the end does not count.
func splitPath(escaped string) ([]string, error) {
	segments := strings.Split(strings.Trim(escaped, "/"), "/")
	for i, seg := range segments {
		var err error
		if segments[i], err = url.PathUnescape(seg); err != nil {
			return nil, err
		}
	}
	return segments, nil
}

// is reports whether the path has this form. Words are compared without case;
// "*" stands for anything but nothing.
func (r *request) is(form ...string) bool {
	if len(form) != len(r.path) {
		return false
	}
	for i, word := range form {
		if word == "*" {
			if r.path[i] == "" {
				return false
			}
			continue
		}
		if !strings.EqualFold(word, r.path[i]) {
			return false
		}
	}
	return true
}

// answer finds the operation, checks the api-version and the rights, and acts.
func (s *Server) answer(r *request) (response, error) {
	ops := s.operations(r)
	if s.core.Intercepts() {
		seen := &core.Op{Kind: core.OpRequest, Name: r.Method + " " + r.URL.Path}
		if ops[r.Method].device {
			seen.Identity = r.identity()
		}
		if err := s.intercept(r, seen); err != nil {
			return response{}, err
		}
	}
	if ops == nil {
		return response{}, refuse(hubwire.NotFound, "there is no such resource")
	}
	op, ok := ops[r.Method]
	if !ok {
		a := fail(refuse(hubwire.MethodNotAllowed, "the resource has no method %.20q", r.Method))
		a.allow = strings.Join(slices.Sorted(maps.Keys(ops)), ", ")
		return a, nil
	}
	if v := r.URL.Query().Get("api-version"); !isVersion(v) {
		return response{}, refuse(hubwire.InvalidProtocolVersion, "api-version %.40q is not a version", v)
	}
	if err := s.authorize(r, &op); err != nil {
		return response{}, err
	}
	expectBody(r.w, r.Request)
	r.Body = http.MaxBytesReader(r.w, r.Body, maxBody)
	return op.act(r)
}

// isVersion reports whether s has the form of an api-version: 2021-04-12, with
// -preview behind it or not.
func isVersion(s string) bool {
	s = strings.TrimSuffix(s, "-preview")
	if len(s) != len("2021-04-12") {
		return false
	}
	for i := range len(s) {
		if i == 4 || i == 7 {
			if s[i] != '-' {
				return false
			}
		} else if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// ifMatch returns the etag of If-Match without its decoration, "*" for any,
// and "" when there is none.
func (r *request) ifMatch() string {
	v := strings.TrimSpace(r.Header.Get("If-Match"))
	v = strings.TrimPrefix(v, "W/")
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		v = v[1 : len(v)-1]
	}
	return v
}

// read returns the body.
func (r *request) read() ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, refuse(hubwire.MessageTooLarge, "the body has more than %d bytes", tooLarge.Limit)
		}
		return nil, refuse(hubwire.FormatError, "the body did not arrive")
	}
	return b, nil
}

// decode reads the body as one JSON value.
func (r *request) decode(v any) error {
	b, err := r.read()
	if err != nil {
		return err
	}
	if !utf8.Valid(b) {
		return refuse(hubwire.FormatError, "the body is not UTF-8")
	}
	if err := json.Unmarshal(b, v); err != nil {
		return refuse(hubwire.FormatError, "the body is not the JSON of this operation: %v", err)
	}
	return nil
}
