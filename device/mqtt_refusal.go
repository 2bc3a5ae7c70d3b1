package device

import (
	"encoding/json"
	"net/http"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/errtext"
)

// refusal returns nil, or a as the error that it is. Its body says more than its status:
//
//	{"errorCode":429001,"trackingId":"...","message":"...","timestampUtc":"..."}
func (a *answer) refusal() error {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	var body struct {
		ErrorCode  json.Number `json:"errorCode"`
		TrackingID string      `json:"trackingId"`
		Message    string      `json:"message"`
	}
	_ = json.Unmarshal(a.body, &body) // without a body, or with another, the status speaks
	e := &hubwire.Error{
		Code: codeOf(a.status), Outcome: hubwire.Refused,
		TrackingID: errtext.Line(body.TrackingID), Message: errtext.Line(body.Message),
	}
	if n, err := body.ErrorCode.Int64(); err == nil && n/1000 == int64(a.status) {
		e.Code = hubwire.Code(n)
	}
	e.Retryable = e.Code.Retryable() || a.status >= 500
	return e
}

// codeOf is the code that an HTTP status stands for when the hub names none.
func codeOf(status int) hubwire.Code {
	switch status {
	case http.StatusBadRequest:
		return hubwire.ArgumentInvalid
	case http.StatusUnauthorized:
		return hubwire.Unauthorized
	case http.StatusForbidden:
		return hubwire.QuotaExceeded
	case http.StatusNotFound:
		return hubwire.DeviceNotFound
	case http.StatusPreconditionFailed:
		return hubwire.PreconditionFailed
	case http.StatusRequestEntityTooLarge:
		return hubwire.MessageTooLarge
	case http.StatusTooManyRequests:
		return hubwire.Throttled
	case http.StatusInternalServerError:
		return hubwire.ServerError
	case http.StatusServiceUnavailable:
		return hubwire.ServiceUnavailable
	case http.StatusGatewayTimeout:
		return hubwire.GatewayTimeout
	}
	return hubwire.Code(status * 1000)
}
