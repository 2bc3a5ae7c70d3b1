package topics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// DPSRegistration is the body of a registration, device to DPS:
//
//	{"registrationId":"{id}"[,"payload":{...}]}
type DPSRegistration struct {
	RegistrationID string          // empty when the device leaves it to its connection, as .NET does
	Payload        json.RawMessage // for a custom allocation function, or empty
}

// AppendDPSRegistration appends the body r. The payload must be JSON; it is appended as it is.
func AppendDPSRegistration(dst []byte, r *DPSRegistration) []byte {
	if r == nil {
		r = new(DPSRegistration)
	}
	dst = append(dst, `{"registrationId":`...)
	dst = appendJSONString(dst, r.RegistrationID)
	if len(r.Payload) > 0 {
		dst = append(append(dst, `,"payload":`...), r.Payload...)
	}
	return append(dst, '}')
}

// ParseDPSRegistration reads the body of a registration. An empty one, or one
// of spaces, is the zero DPSRegistration: .NET sends that. The error is a [*SyntaxError].
func ParseDPSRegistration(body []byte) (DPSRegistration, error) {
	var r struct {
		RegistrationID string          `json:"registrationId"`
		Payload        json.RawMessage `json:"payload"`
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return DPSRegistration{}, nil
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return DPSRegistration{}, badJSON("registration", body, err)
	}
	return DPSRegistration{r.RegistrationID, r.Payload}, nil
}

// DPSResult is the body of DPS's answers. One that refuses the request has only
// the last four members; the others have Status and OperationID, and once the
// work is done State.
type DPSResult struct {
	OperationID string    `json:"operationId,omitempty"`       // what to ask for: [AppendDPSQuery]
	Status      string    `json:"status,omitempty"`            // unassigned, assigning, assigned, failed, disabled
	State       *DPSState `json:"registrationState,omitempty"` // nil while the work is not done

	ErrorCode  int    `json:"errorCode,omitempty"`    // such as 401002: the HTTP status times 1000, plus a number
	TrackingID string `json:"trackingId,omitempty"`   // for Microsoft's support
	Message    string `json:"message,omitempty"`      // for people
	Timestamp  string `json:"timestampUtc,omitempty"` // when it was refused
}

// DPSState is what has become of a registration. Times are as DPS writes them
// ("2020-04-10T03:11:13.0276997Z").
type DPSState struct {
	X509           json.RawMessage `json:"x509,omitempty"`                   // a JSON object about the certificate; nil without one
	RegistrationID string          `json:"registrationId,omitempty"`         // whose it is
	Created        string          `json:"createdDateTimeUtc,omitempty"`     // when it registered
	AssignedHub    string          `json:"assignedHub,omitempty"`            // the host name of its hub; empty unless assigned
	DeviceID       string          `json:"deviceId,omitempty"`               // its id there; empty unless assigned
	Status         string          `json:"status,omitempty"`                 // as DPSResult.Status
	Substatus      string          `json:"substatus,omitempty"`              // initialAssignment, deviceDataMigrated, deviceDataReset, reprovisionedToInitialAssignment
	ErrorCode      int             `json:"errorCode,omitempty"`              // as DPSResult.ErrorCode; 0 for none
	ErrorMessage   string          `json:"errorMessage,omitempty"`           // for people
	LastUpdated    string          `json:"lastUpdatedDateTimeUtc,omitempty"` // when this last changed
	ETag           string          `json:"etag,omitempty"`                   // of the registration
	Payload        json.RawMessage `json:"payload,omitempty"`                // what the allocation function returns to the device, any JSON
}

// Failure returns the error code and its message, whether DPS refused the
// request or the assignment failed. The code is 0 when neither happened.
func (r *DPSResult) Failure() (code int, message string) {
	if r == nil {
		return 0, ""
	}
	if r.ErrorCode == 0 && r.State != nil {
		return r.State.ErrorCode, r.State.ErrorMessage
	}
	return r.ErrorCode, r.Message
}

// AppendDPSResult appends the body r of an answer, with what is empty left out. The error is a
// [*SyntaxError] that matches [ErrJSON]: raw JSON in r.State is none. dst is returned as it was then.
func AppendDPSResult(dst []byte, r *DPSResult) ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return dst, badJSON("DPS result", nil, err)
	}
	return append(dst, b...), nil
}

// ParseDPSResult reads the body of an answer. A state with only one of assigned
// hub and device id is refused, as the Embedded C SDK does. The error is a [*SyntaxError].
func ParseDPSResult(body []byte) (DPSResult, error) {
	var r DPSResult
	if err := json.Unmarshal(body, &r); err != nil {
		return DPSResult{}, badJSON("DPS result", body, err)
	}
	if s := r.State; s != nil {
		if s.AssignedHub == "" && s.DeviceID != "" {
			return DPSResult{}, wrong("assignedHub", 0, ErrMissing)
		}
		if s.AssignedHub != "" && s.DeviceID == "" {
			return DPSResult{}, wrong("deviceId", 0, ErrMissing)
		}
	}
	return r, nil
}

// badJSON makes a SyntaxError of one from encoding/json about body, whose text it
// keeps. Its offset, which can be beyond the end, is as near as that package says.
func badJSON(part string, body []byte, err error) error {
	offset := 0
	var se *json.SyntaxError
	var te *json.UnmarshalTypeError
	switch {
	case errors.As(err, &se):
		offset = int(se.Offset)
	case errors.As(err, &te):
		offset = int(te.Offset)
	}
	return wrong(part, min(offset, len(body)), fmt.Errorf("%w: %w", ErrJSON, err))
}
