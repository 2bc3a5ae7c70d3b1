package httpsx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/errtext"
)

// Bounds of what is read and kept of an error.
const (
	maxErrorBody    = 64 << 10
	maxErrorNesting = 4 // bodies within bodies
)

// ParseError returns the error that an answer with this status, header and body says.
// It takes what comes: the classic form, the newer one, one within the other
// in any order, the lower-case members of IoT Edge, half a body, HTML from a proxy, none at all,
// a redirect.
//
// The code is the body's number; else the one that header or body name; else the generic one of
// the status (404000), where IoT Hub has one; else 0. The outcome is Refused, or Unknown when the
// answer is a 5xx or a 2xx without a code of the hub's own. RetryAfter is read from the header. The
// message is the hub's, bounded and on one line. Of a body that is not the hub's it says only what
// kind it is: a proxy may send back what must not be printed. It retains none of its arguments.
func ParseError(op Operation, status int, h http.Header, body []byte) *hubwire.Error {
	d := errorDetail{}
	understood := d.read(body, 0)
	e := &hubwire.Error{
		Op: op.String(), Outcome: hubwire.Refused, Code: d.code(h),
		Message: errtext.Line(d.message), TrackingID: errtext.Line(d.trackingID),
		RetryAfter: ParseRetryAfter(h.Get("Retry-After"), dateOf(h)),
	}
	e.Retryable = retryable(status, e.Code)
	if e.Code == 0 {
		if status >= 500 || status < 300 {
			e.Outcome = hubwire.Unknown
		}
		if generic := hubwire.Code(status * 1000); generic.Name() != "" {
			e.Code = generic
		}
		if !understood {
			e.Message = describe(status, h, body)
		}
	}
	return e
}

// dateOf returns the time of an answer as its server has it.
func dateOf(h http.Header) time.Time {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		return t
	}
	return time.Now()
}

// errorDetail is what the bodies of errors say, from the inside out.
type errorDetail struct {
	number     hubwire.Code // of the newer form
	name       string       // of the classic form
	message    string
	trackingID string
}

// read adds what b, a JSON object, says where d does not know it yet, and reports
// whether b is one with anything to say.
func (d *errorDetail) read(b []byte, nesting int) bool {
	var members map[string]json.RawMessage
	if nesting == maxErrorNesting || json.Unmarshal(b, &members) != nil {
		return false
	}
	text := func(names ...string) string {
		for _, name := range names {
			var s string
			if json.Unmarshal(members[name], &s) == nil && s != "" {
				return s
			}
		}
		return ""
	}
	id := strings.TrimSpace(strings.TrimPrefix(text("trackingId", "ExceptionMessage"), trackingID))
	if inner := members["error"]; inner != nil && d.read(inner, nesting+1) { // Azure's own
		return true
	}
	known := d.readText(text("Message", "message", "errorMessage"), nesting)
	if n, ok := hubwire.ParseCode(string(bytes.Trim(members["errorCode"], `"`))); ok && d.number == 0 {
		d.number, known = n, true
	}
	if id != "" { // the outermost is the hub's own
		d.trackingID = id
	}
	return known
}

// readText adds what a message says: "ErrorCode:{name};{text}", where the text may hold a whole body
// with something before it, or just a body, or just a text.
func (d *errorDetail) readText(text string, nesting int) bool {
	if text == "" {
		return false
	}
	if rest, ok := strings.CutPrefix(text, "ErrorCode:"); ok {
		d.name, text, _ = strings.Cut(rest, ";")
		d.name = strings.TrimSpace(d.name)
	}
	if i := strings.IndexByte(text, '{'); i >= 0 && d.read([]byte(text[i:]), nesting+1) {
		return true
	}
	d.message = text
	return true
}

// code returns the code that body or header name, or 0.
func (d *errorDetail) code(h http.Header) hubwire.Code {
	if d.number != 0 {
		return d.number
	}
	for _, name := range []string{h.Get("Iothub-Errorcode"), h.Get("Iothuberrorcode"), d.name} {
		if c, ok := hubwire.ParseCode(name); ok {
			return c
		}
	}
	return 0
}

// describe says of an answer that is not the hub's what can be printed of it.
func describe(status int, h http.Header, body []byte) string {
	s := fmt.Sprintf("status %d", status)
	if text := http.StatusText(status); text != "" {
		s += " " + text
	}
	if status >= 300 && status < 400 {
		s += ", a redirect"
		if to, err := url.Parse(h.Get("Location")); err == nil && to.Host != "" {
			s += fmt.Sprintf(" to the host %.100q", to.Host)
		}
		return s
	}
	if len(body) == 0 {
		return s + " without a body"
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return s + fmt.Sprintf(" with a body of %d bytes that is not the hub's (%.40q)", len(body), kind)
}
