package amqp

import (
	"net/http"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/errtext"
)

// Names of what an answer of $cbs or $management has; the second are those of some peers.
const (
	nameStatus           = "status-code"
	nameDescription      = "status-description"
	nameStatusOther      = "statusCode"
	nameDescriptionOther = "statusDescription"
)

// Response is what an answer of [CBS] or [Management] says beside its body.
type Response struct {
	ID          Value  // of the request: its message-id, of the same type; may be null
	Status      int    // like HTTP's: 200, 202, 401
	Description string // for people, beside the Status
}

// NewResponse returns the answer to the request id: 200 OK when err is nil, else the status of
// its [*hubwire.Error]'s code, which is 500 when it has none, and its message.
func NewResponse(id Value, err error) Response {
	if err == nil {
		return Response{ID: id, Status: http.StatusOK, Description: "OK"}
	}
	e := hubwireError(err)
	r := Response{ID: id, Status: e.Code.Status(), Description: e.Message}
	if r.Status < 300 || r.Status > 599 {
		r.Status, r.Description = http.StatusInternalServerError, ""
	}
	if r.Description == "" {
		r.Description = http.StatusText(r.Status)
	}
	return r
}

// AppendResponse appends the message of r, with a body of null. The status is an int, the
// description a string. A nil r is the zero Response.
//
// Source: spec/amqp.md 3.2 and 6.5.
func AppendResponse(dst []byte, r *Response) []byte { return r.append(dst, Typed{}) }

func (r *Response) append(dst []byte, body Typed) []byte {
	r = orZero(r)
	pairs := [...]Pair{
		{nameStatus, Int(toInt32(r.Status))},
		{nameDescription, String(r.Description)},
	}
	return AppendMessage(dst, &Draft{
		Properties:            Properties{CorrelationID: Echo(r.ID)},
		ApplicationProperties: pairs[:],
		Body:                  ValueBody,
		Value:                 body,
	})
}

// ParseResponse returns what m answers. ID is a view. The error is a [*hubwire.Error] with code
// [hubwire.FormatError]: there is no status that is a whole number.
func ParseResponse(m *Message) (Response, error) {
	a := m.ApplicationProperties()
	r := Response{ID: m.CorrelationID(), Description: string(a.text(nameDescription))}
	if r.Description == "" {
		r.Description = string(a.text(nameDescriptionOther))
	}
	status, ok := a.number(nameStatus)
	if !ok {
		status, ok = a.number(nameStatusOther)
	}
	if !ok || status != int64(int32(status)) {
		return r, refused("request", hubwire.FormatError, "the answer has no property %s that is an int", nameStatus)
	}
	r.Status = int(status)
	return r, nil
}

// statusCodes are what the statuses of $cbs and $management mean.
var statusCodes = map[int]hubwire.Code{
	400: hubwire.ArgumentInvalid,
	401: hubwire.Unauthorized,
	403: hubwire.MaxCBSTokenExceeded,
	404: hubwire.DeviceNotFound,
	429: hubwire.Throttled,
	500: hubwire.ServerError,
	503: hubwire.ServiceUnavailable,
	504: hubwire.GatewayTimeout,
}

// Err returns nil for a success, 200 to 299, and else what op failed with, a [*hubwire.Error]
// with outcome Refused: the code of the description, if it has one, else that of the status.
func (r *Response) Err(op string) error {
	if r == nil || r.Status >= 200 && r.Status < 300 {
		return nil
	}
	e := &hubwire.Error{Op: op, Outcome: hubwire.Refused}
	ParseErrorBody(e, []byte(r.Description))
	if e.Code == 0 {
		e.Code = statusCodes[r.Status]
	}
	if e.Code == 0 && hubwire.Code(r.Status*1000).Name() != "" {
		e.Code = hubwire.Code(r.Status * 1000)
	}
	e.Retryable = e.Code.Retryable()
	e.Message = errtext.Line(e.Message)
	return e
}
