package httpsx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/hubwire/hubwire"
)

// Answer is the answer of a request as both ends see it: a server writes it, and a
// client reads it. Empty fields are headers that are not there.
type Answer struct {
	Status int // of HTTP: 200, 404

	ETag          string        // without its quotes; of feedback the lock token
	ItemType      ItemType      // of Query and ListJobs
	Continuation  string        // where the next page begins; empty on the last
	CommandStatus int           // of InvokeCommand: what the device answered with
	Location      string        // of PatchDigitalTwin
	RequestID     string        // x-ms-request-id
	Allow         string        // the methods there are, when it was another: see [Allow]
	ErrorCode     hubwire.Code  // of an error; its name goes into the header
	RetryAfter    time.Duration // rounded up to whole seconds

	ContentType string // empty means application/json, when there is a body
	Body        []byte // nil for none
}

// NewAnswer returns the answer of a success of op, with a document as its body, or nil
// for none. A document that cannot be written is an error: one that holds raw JSON
// that is not.
func NewAnswer(op Operation, doc any) (*Answer, error) {
	a := &Answer{Status: op.Status()}
	if doc == nil {
		return a, nil
	}
	b, err := Marshal(doc)
	if err != nil {
		return nil, err
	}
	if a.Body = b; a.Status == http.StatusNoContent {
		a.Status = http.StatusOK
	}
	return a, nil
}

// NewBulkAnswer returns the answer of [BulkDevices]: 400 when an element failed, with the header
// that keeps the .NET SDK from throwing the result away.
func NewBulkAnswer(r *BulkResult) *Answer {
	if r == nil {
		r = &BulkResult{}
	}
	a := &Answer{Status: http.StatusOK, Body: r.append(nil, true)}
	if !r.IsSuccessful {
		a.Status, a.ErrorCode = http.StatusBadRequest, hubwire.BulkRegistryOperationFailure
	}
	return a
}

// NewErrorAnswer returns the answer that says err at the time now, in the form that op has. What is no
// [*hubwire.Error] with a code becomes a ServerError that does not tell more.
func NewErrorAnswer(op Operation, err error, now time.Time) *Answer {
	var e *hubwire.Error
	if !errors.As(err, &e) || e == nil || e.Code == 0 {
		e = &hubwire.Error{Code: hubwire.ServerError, Message: "internal error"}
	}
	return &Answer{
		Status: e.Code.Status(), ErrorCode: e.Code, RetryAfter: e.RetryAfter,
		Body: AppendError(nil, e, op.ErrorForm(e.Code), now),
	}
}

// Write sends a. Header names are written with the case that SDKs look for, which
// [http.Header.Set] would change. The error is that of the write.
func (a *Answer) Write(w http.ResponseWriter) error {
	if a == nil || w == nil {
		return refused(0, hubwire.ArgumentInvalid, "there is no answer")
	}
	h := w.Header()
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	if a.ETag != "" {
		set("ETag", QuoteETag(a.ETag))
	}
	set("x-ms-item-type", string(a.ItemType))
	set("x-ms-continuation", a.Continuation)
	set("Location", a.Location)
	set("x-ms-request-id", a.RequestID)
	set("Allow", a.Allow)
	if a.CommandStatus != 0 {
		set("x-ms-command-statuscode", strconv.Itoa(a.CommandStatus))
	}
	if a.ErrorCode != 0 {
		set("iothub-errorcode", ErrorName(a.ErrorCode))
	}
	if a.ErrorCode == hubwire.BulkRegistryOperationFailure {
		set("IotHubErrorCode", ErrorName(a.ErrorCode))
	}
	if a.RetryAfter > 0 {
		set("Retry-After", formatRetryAfter(a.RetryAfter))
	}
	status := a.Status
	if status < 200 || status > 599 {
		status = http.StatusInternalServerError // WriteHeader would panic, or say that more follows
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return nil
	}
	if a.Body != nil {
		set("Content-Type", jsonType)
		set("Content-Type", a.ContentType)
	}
	set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(status)
	_, err := w.Write(a.Body)
	return err
}

// MaxAnswer is the largest body of an answer that [ReadAnswer] takes, in bytes.
const MaxAnswer = 64 << 20

// ReadAnswer reads the answer of a request for op. It reads the body, at most [MaxAnswer] bytes of
// it; closing it is the caller's. The error is an [*hubwire.Error]: what [ParseError] makes of a
// status that is no success of op, or one with outcome [hubwire.Unknown] that wraps the cause when
// the answer ended early.
//
// A client should not follow redirects ([http.ErrUseLastResponse]): IoT Hub has none, and another
// host should not see the token. Answers of [BulkDevices] and [RegenerateKeys] with status 400
// that have a result are no errors.
func ReadAnswer(op Operation, resp *http.Response) (*Answer, error) {
	if resp == nil {
		return nil, notSent(op, hubwire.ArgumentInvalid, "there is no answer")
	}
	success, limit := op.Succeeds(resp.StatusCode), int64(MaxAnswer)
	if !success && op != BulkDevices && op != RegenerateKeys {
		limit = maxErrorBody
	}
	var body []byte
	var err error
	if resp.Body != nil && resp.StatusCode != http.StatusSwitchingProtocols { // whose body is the connection, which no context ends
		body, err = readAtMost(resp.Body, limit, resp.ContentLength)
	}
	if !success && !(resp.StatusCode == http.StatusBadRequest && hasResult(op, body)) {
		return nil, ParseError(op, resp.StatusCode, resp.Header, body)
	}
	if err != nil || int64(len(body)) > limit {
		return nil, broken(op, limit, err)
	}
	h := resp.Header
	a := &Answer{
		Status: resp.StatusCode, ETag: ParseETag(h.Get("Etag")), ItemType: ItemType(h.Get("X-Ms-Item-Type")),
		Continuation: h.Get("X-Ms-Continuation"), Location: h.Get("Location"), RequestID: h.Get("X-Ms-Request-Id"),
		ContentType: h.Get("Content-Type"), RetryAfter: ParseRetryAfter(h.Get("Retry-After"), dateOf(h)), Body: body,
	}
	a.CommandStatus, _ = strconv.Atoi(h.Get("X-Ms-Command-Statuscode"))
	return a, nil
}

// broken is the error for an answer that a client does not have whole. What it answers may be done.
func broken(op Operation, limit int64, err error) *hubwire.Error {
	e := &hubwire.Error{Op: op.String(), Outcome: hubwire.Unknown}
	if err == nil {
		e.Message = fmt.Sprintf("the answer has more than %d bytes", limit)
	} else {
		e.Retryable, e.Message, e.Err = op.Repeatable(), "the answer ended early", &lossError{err}
	}
	return e
}

// lossError is a connection that ended within an answer. It matches net.ErrClosed, but where the
// end was that of a context, and its cause.
type lossError struct{ err error }

func (e *lossError) Error() string { return e.err.Error() }
func (e *lossError) Unwrap() error { return e.err }

func (e *lossError) Is(target error) bool {
	return target == net.ErrClosed && !errors.Is(e.err, context.Canceled) && !errors.Is(e.err, context.DeadlineExceeded)
}

// hasResult reports whether a body with status 400 is the result of an operation on many, not an error.
func hasResult(op Operation, body []byte) bool {
	switch op {
	case BulkDevices:
		var r struct {
			IsSuccessful *bool `json:"isSuccessful"`
		}
		return Decode(op, body, &r) == nil && r.IsSuccessful != nil
	case RegenerateKeys:
		var r RegeneratedKeys
		return Decode(op, body, &r) == nil && r.PolicyKey != ""
	}
	return false
}

// Decode reads the body into doc, as [Decode] does, but takes no null for an object. The error is an
// [*hubwire.Error] with code [hubwire.DeserializationError], for it is the hub's.
func (a *Answer) Decode(op Operation, doc any) error {
	if a == nil {
		return notSent(op, hubwire.ArgumentInvalid, "there is no answer")
	}
	if string(bytes.TrimSpace(a.Body)) == "null" && isObject(doc) {
		return &hubwire.Error{
			Op: op.String(), Code: hubwire.DeserializationError, Outcome: hubwire.Unknown, Message: "the answer: the body is of the wrong type: null",
		}
	}
	err := Decode(op, a.Body, doc)
	var e *hubwire.Error
	if errors.As(err, &e) {
		e.Code, e.Outcome, e.Message = hubwire.DeserializationError, hubwire.Unknown, "the answer: "+e.Message
	}
	return err
}

// isObject reports whether doc is a pointer to a struct, a map or a pointer: json.Unmarshal would leave the first
// empty, and the others nil, when it reads null.
func isObject(doc any) bool {
	t := reflect.TypeOf(doc)
	if t == nil || t.Kind() != reflect.Pointer {
		return false
	}
	kind := t.Elem().Kind()
	return kind == reflect.Struct || kind == reflect.Map || kind == reflect.Pointer
}
