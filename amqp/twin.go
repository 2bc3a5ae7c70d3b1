package amqp

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// TwinOperation is what a device asks of its twin. The zero TwinOperation is not valid.
type TwinOperation uint8

// The operations.
const (
	TwinGet         TwinOperation = iota + 1 // read desired and reported
	TwinReport                               // merge a patch into reported
	TwinSubscribe                            // be told of changes of desired
	TwinUnsubscribe                          // no more
)

// The annotations of each operation, and of a notification.
const (
	reportedResource = "/properties/reported"
	desiredResource  = "/properties/desired"
	notifyResource   = "/notifications/twin/properties/desired"
)

var twinOperations = [...]struct{ name, resource string }{
	TwinGet:         {"GET", ""},
	TwinReport:      {"PATCH", reportedResource},
	TwinSubscribe:   {"PUT", notifyResource},
	TwinUnsubscribe: {"DELETE", notifyResource},
}

// String returns the name that the wire has, such as "PATCH".
func (o TwinOperation) String() string {
	if o == 0 || int(o) >= len(twinOperations) {
		return "invalid twin operation"
	}
	return twinOperations[o].name
}

// TwinRequest is what a device sends over a link to [TwinRequests].
type TwinRequest struct {
	ID        Value         // of the request; any type, for the answer to have it as it is
	Operation TwinOperation // what is wanted
	IfVersion int64         // of TwinReport: the version of the reported properties that it is for; 0 for any, negative for none
	Body      []byte        // of TwinReport: the patch, a JSON object. A view
}

// AppendTwinRequest appends the message: operation and resource are annotations, the id is
// correlation-id. One without a body has a single blank for it, as most SDKs do. A request that
// is nil, or whose operation is not valid, appends nothing.
//
// Source: spec/amqp.md 4.7.
func AppendTwinRequest(dst []byte, r *TwinRequest) []byte {
	if r == nil || r.Operation == 0 || int(r.Operation) >= len(twinOperations) {
		return dst
	}
	op := twinOperations[r.Operation]
	a := openSection(dst, amqp10.DescMessageAnnotations)
	a.text(KeyTwinOperation, op.name)
	a.text(KeyTwinResource, op.resource)
	if r.Operation == TwinReport && r.IfVersion != 0 {
		a.long(KeyTwinVersion, r.IfVersion)
	}
	body := r.Body
	if len(body) == 0 {
		body = blank
	}
	return appendTwinRest(a.close(), r.ID, body)
}

var blank = []byte{' '}

func appendTwinRest(dst []byte, id Value, body []byte) []byte {
	return AppendMessage(dst, &Draft{Properties: Properties{CorrelationID: Echo(id)}, Body: DataBody, Data: body})
}

// ParseTwinRequest returns the request that m is, as a view. The error is a [*hubwire.Error]: code
// [hubwire.FormatError] for one without an id or whose body is not data,
// [hubwire.InvalidOperation] for an operation that there is not, or not of that resource, and
// [hubwire.ArgumentInvalid] for a version that is not a number. Names are taken in any case, and a version of
// null is none, as .NET sends it; no properties ever have one below 1. A
// request that has an id keeps it also then, so that it can be answered.
func ParseTwinRequest(m *Message) (TwinRequest, error) {
	const op = "twin"
	r := TwinRequest{ID: m.CorrelationID()}
	a := m.Annotations()
	name, resource := a.text(KeyTwinOperation), a.text(KeyTwinResource)
	for o := TwinGet; o <= TwinUnsubscribe; o++ {
		want := &twinOperations[o]
		if equalFold(name, want.name) && (o == TwinGet || equalFold(bytes.TrimSuffix(resource, slash), want.resource)) {
			r.Operation = o
		}
	}
	body, ok := m.orZero().content()
	switch r.Body = body; {
	case r.ID.IsNull():
		return r, refused(op, hubwire.FormatError, "the request has no correlation id")
	case r.Operation == 0:
		return r, refused(op, hubwire.InvalidOperation, "there is no operation %.40q of %.100q", name, resource)
	case !ok:
		return r, refused(op, hubwire.FormatError, "the body of the request is not data")
	}
	if v, _ := a.Lookup(KeyTwinVersion); r.Operation == TwinReport && !v.IsNull() {
		n, ok := v.Int()
		if !ok {
			return r, refused(op, hubwire.ArgumentInvalid, "the version is a %v, not a number", v.Kind())
		}
		if r.IfVersion = n; n <= 0 {
			r.IfVersion = -1 // 0 would be any
		}
	}
	return r, nil
}

var slash = []byte{'/'}

// equalFold is strings.EqualFold without a string.
func equalFold(b []byte, s string) bool { return len(b) == len(s) && strings.EqualFold(string(b), s) }

// TwinResponse is what a device gets over a link to [TwinResponses]: the answer to a request
// or, when ID is null, a change of the desired properties.
type TwinResponse struct {
	ID      Value  // of the request, as it was there; null for a change
	Status  int    // of an answer: like HTTP's
	Version int64  // $version: of the desired or the reported properties; 0 for none
	Body    []byte // JSON: twin, patch or error; empty for none. A view
}

// IsChange reports whether r is a change of the desired properties: Body is the patch.
func (r *TwinResponse) IsChange() bool { return r == nil || r.ID.IsNull() }

// AppendTwinResponse appends the message. It has always one data section. Status and version are
// annotations of the types int and long, which the C SDK insists on. A nil r appends nothing.
// For the body of an error there is [AppendErrorBody].
//
// Source: spec/amqp.md 4.7.
func AppendTwinResponse(dst []byte, r *TwinResponse) []byte {
	if r == nil {
		return dst
	}
	a := openSection(dst, amqp10.DescMessageAnnotations)
	if r.IsChange() {
		a.text(KeyTwinResource, desiredResource)
	} else {
		a.int(KeyTwinStatus, r.Status)
	}
	if r.Version != 0 {
		a.long(KeyTwinVersion, r.Version)
	}
	return appendTwinRest(a.close(), r.ID, r.Body)
}

// ParseTwinResponse returns the answer or change that m is, as a view. An answer without a status
// is a success, 200. The error is a [*hubwire.Error] with code [hubwire.FormatError], for a
// body that is not data.
func ParseTwinResponse(m *Message) (TwinResponse, error) {
	r := TwinResponse{ID: m.CorrelationID()}
	a := m.Annotations()
	r.Version, _ = a.number(KeyTwinVersion)
	if !r.IsChange() {
		status, ok := a.number(KeyTwinStatus)
		if r.Status = int(status); !ok || status != int64(int32(status)) {
			r.Status = 200
		}
	}
	body, ok := m.orZero().content()
	if !ok {
		return r, refused("twin", hubwire.FormatError, "the body is not data")
	}
	r.Body = body
	return r, nil
}

// Err returns nil for a change and for a success, 200 to 299, and else what op failed with, a
// [*hubwire.Error] with outcome Refused: the code of the body, if it has one (see
// [ParseErrorBody]), else that of the status. It can be retried when the code says so, and for
// all statuses from 500.
func (r *TwinResponse) Err(op string) error {
	if r.IsChange() || r.Status >= 200 && r.Status < 300 {
		return nil
	}
	e := &hubwire.Error{Op: op, Outcome: hubwire.Refused}
	ParseErrorBody(e, bytes.TrimSpace(r.Body))
	if e.Code == 0 {
		e.Code = twinCode(r.Status)
	}
	e.Retryable = e.Code.Retryable() || r.Status >= 500
	return e
}

// twinCode is the code that a status stands for when the hub names none.
func twinCode(status int) hubwire.Code {
	if code, ok := statusCodes[status]; ok && status != http.StatusForbidden { // which is another of $cbs
		return code
	}
	switch status {
	case http.StatusForbidden:
		return hubwire.QuotaExceeded
	case http.StatusPreconditionFailed:
		return hubwire.PreconditionFailed
	case http.StatusRequestEntityTooLarge:
		return hubwire.MessageTooLarge
	}
	if code := hubwire.Code(status * 1000); code.Name() != "" {
		return code
	}
	return 0
}
