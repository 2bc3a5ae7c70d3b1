package httpsx

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// refused is the error of a server for a request that it does not take.
func refused(op Operation, code hubwire.Code, format string, args ...any) *hubwire.Error {
	e := &hubwire.Error{Op: "request", Code: code, Outcome: hubwire.Refused, Message: fmt.Sprintf(format, args...)}
	if op != 0 {
		e.Op = op.String()
	}
	return e
}

// notSent is the error of a client for a request that is not sent.
func notSent(op Operation, code hubwire.Code, format string, args ...any) *hubwire.Error {
	e := refused(op, code, format, args...)
	e.Outcome = hubwire.NotSent
	return e
}

// reason is what an error says, without what it says around that.
func reason(err error) string {
	var e *hubwire.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

// retryable is the one place that decides whether a request that was answered with an
// error can succeed later, unchanged. code is the hub's own, or 0 when the answer has
// none: then a proxy spoke, or a hub that is not well.
func retryable(status int, code hubwire.Code) bool {
	if code != 0 {
		return code.Retryable()
	}
	switch status {
	case 408, 429, 500, 502, 503, 504:
		return true
	}
	return false
}

// ErrorForm is a form of the body of an error. All of them come with the header
// iothub-errorcode, which holds the name of the same code.
type ErrorForm uint8

const (
	// Classic is the form that most operations have, and that all SDKs read:
	//
	//	{"Message":"ErrorCode:DeviceNotFound;dev-1","ExceptionMessage":"Tracking ID:…-G:0-TimeStamp:10/24/2023 16:53:16"}
	Classic ErrorForm = iota

	// Numeric is the newer form, which the service has for some operations on
	// modules, over DPS and, for twins, over MQTT. The Node SDK does not read it:
	//
	//	{"errorCode":404103,"trackingId":"…","message":"…","timestampUtc":"2018-08-24T17:49:33.2011570Z"}
	Numeric

	// Nested is the newer form as the Message of the classic one: what the
	// service has for direct methods and commands.
	Nested
)

// ErrorForm returns the form that a server gives an error of op in: Nested when a method
// or command failed for what the device did or did not do, else Classic.
func (op Operation) ErrorForm(code hubwire.Code) ErrorForm {
	if op != InvokeMethod && op != InvokeCommand {
		return Classic
	}
	switch code {
	case hubwire.DeviceNotOnline, hubwire.ConnectionClosedRemotely, hubwire.GatewayTimeout, hubwire.BadGateway:
		return Nested
	}
	return Classic
}

// ErrorName returns the name of a code for the header iothub-errorcode and for the
// classic form: "InvalidErrorCode", as the service has it, for one without a name.
func ErrorName(code hubwire.Code) string {
	if name := code.Name(); name != "" {
		return name
	}
	return "InvalidErrorCode"
}

// AppendError appends the body of an error as a server sends it at the time now, and
// returns the extended slice. A nil e, or one without a code, is a ServerError that
// does not say what happened; one without a tracking id gets one. The message has no
// semicolon, for the Node SDK takes what is between the first and the second. There
// is no member info, which the .NET SDK reads only when it is no object.
func AppendError(dst []byte, e *hubwire.Error, form ErrorForm, now time.Time) []byte {
	code, message, id := hubwire.ServerError, "internal error", ""
	if e != nil && e.Code != 0 {
		code, message, id = e.Code, strings.ReplaceAll(e.Message, ";", ","), e.TrackingID
	}
	if message == "" {
		message = "the hub does not say more" // Node shows it
	}
	now = now.UTC()
	if id == "" {
		id = NewTrackingID(now)
	}
	o := open(dst, true)
	switch form {
	case Numeric:
		o.numeric(code, message, id, now)
	case Nested:
		in := open(nil, true)
		in.numeric(code, message, id, now)
		o.str("Message", string(in.close()))
		o.str("ExceptionMessage", "")
	default:
		o.str("Message", "ErrorCode:"+ErrorName(code)+";"+message)
		o.str("ExceptionMessage", trackingID+id)
	}
	return o.close()
}

const trackingID = "Tracking ID:" // stands in front of it in the classic form

func (o *object) numeric(code hubwire.Code, message, id string, now time.Time) {
	o.int("errorCode", int64(code))
	o.str("trackingId", id)
	o.str("message", message)
	o.str("timestampUtc", now.Format(systemtime.Layout))
}

// NewTrackingID returns what a hub tells a failure apart by, for its operators.
func NewTrackingID(now time.Time) string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:]) + "-G:0-TimeStamp:" + now.Format("01/02/2006 15:04:05")
}

// maxRetryAfter bounds what an answer can ask for.
const maxRetryAfter = 24 * time.Hour

// ParseRetryAfter returns how long the value of a header Retry-After asks to wait at
// the time now: whole seconds, or an HTTP date (RFC 9110 section 10.2.3). It is 0
// for what is neither and for what is past, and a day at most.
func ParseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if n, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(n, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// formatRetryAfter gives whole seconds, never fewer than asked.
func formatRetryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
