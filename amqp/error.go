package amqp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/errtext"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// refused is the error of an end that does not take what its peer sent.
func refused(op string, code hubwire.Code, format string, args ...any) *hubwire.Error {
	return &hubwire.Error{
		Op: op, Code: code, Outcome: hubwire.Refused, Retryable: code.Retryable(),
		Message: errtext.Line(fmt.Sprintf(format, args...)),
	}
}

// Error is an AMQP error (part 2 section 2.8.14): what comes with a rejected delivery, a
// detach, an end or a close.
type Error struct {
	Condition   Condition // what happened, as a symbol
	Description string    // JSON of the hub's, see [AppendErrorBody]; or any text
	TrackingID  string    // of the info; empty for none
	Redirect    Redirect  // of the info; zero for none
}

// Redirect is where a peer is sent on to: the info of [LinkRedirect] and
// [ConnectionRedirect]. The zero Redirect is none.
type Redirect struct {
	Hostname    string // for the open, and for TLS
	NetworkHost string // to dial
	Port        uint16 // to dial
	Address     string // of the node there: "amqps://{host}:{port}/{hub}/..."
}

// NewRedirect returns the error that an [Address] of [Events] is refused with: the events
// are on the Event Hubs-compatible endpoint host:port, under the name eventHub. Its
// address keeps what the client's had behind "messages/events", and has the port in it
// always, for clients that cut the name out of it between that and the end.
//
// Source: spec/amqp.md 6.1.
func NewRedirect(a Address, host string, port uint16, eventHub string) *Error {
	address := fmt.Appendf(nil, "amqps://%s:%d/", host, port)
	address = append(appendEscaped(address, eventHub), a.Tail...)
	return &Error{
		Condition:   LinkRedirect,
		Description: "the events are at another address",
		Redirect:    Redirect{Hostname: host, NetworkHost: host, Port: port, Address: string(address)},
	}
}

// NewError returns the error that a hub sends its peer for err: the condition of the code
// of its [*hubwire.Error], and a description with code, message and tracking id. An [*Error] is
// returned as it is, and a [*SyntaxError] is a [DecodeError]. Of any other error, and of nil, it
// says nothing but that something went wrong.
func NewError(err error) *Error {
	var own *Error
	if errors.As(err, &own) && own != nil {
		return own
	}
	e := hubwireError(err)
	return &Error{
		Condition:   ConditionOf(e.Code),
		Description: string(AppendErrorBody(nil, e, time.Time{})),
		TrackingID:  e.TrackingID,
	}
}

// The keys of an error's info.
const (
	infoTrackingID  = "com.microsoft:tracking-id"
	infoHostname    = "hostname"
	infoNetworkHost = "network-host"
	infoPort        = "port"
	infoAddress     = "address"
)

// FromWire returns the error that came off the wire, or nil for nil. What it does not know of
// the info it passes over.
func FromWire(w *amqp10.Error) *Error {
	if w == nil {
		return nil
	}
	e := &Error{Condition: Condition(w.Condition), Description: w.Description}
	for k, v := range w.Info.Entries() {
		key, _ := k.Text()
		text, _ := v.Text()
		switch string(key) {
		case infoTrackingID:
			e.TrackingID = string(text)
		case infoHostname:
			e.Redirect.Hostname = string(text)
		case infoNetworkHost:
			e.Redirect.NetworkHost = string(text)
		case infoAddress:
			e.Redirect.Address = string(text)
		case infoPort:
			if n, ok := v.Uint(); ok && n <= math.MaxUint16 {
				e.Redirect.Port = uint16(n)
			}
		}
	}
	return e
}

// Wire returns e as it goes over the wire, or nil for nil: a redirect and the tracking id
// are in its info.
func (e *Error) Wire() *amqp10.Error {
	if e == nil {
		return nil
	}
	w := &amqp10.Error{Condition: amqp10.Condition(e.Condition), Description: e.Description}
	if info := e.AppendInfo(nil); info != nil {
		w.Info = amqp10.ValueOf(info)
	}
	return w
}

// AppendInfo appends the info of e, a map, or nothing when it has none.
func (e *Error) AppendInfo(dst []byte) []byte {
	if e == nil {
		return dst
	}
	m := openMap(dst, amqp10.CodeSymbol8)
	m.text(infoTrackingID, e.TrackingID)
	m.text(infoHostname, e.Redirect.Hostname)
	m.text(infoNetworkHost, e.Redirect.NetworkHost)
	if e.Redirect.Port != 0 {
		m.uint(infoPort, uint32(e.Redirect.Port))
	}
	m.text(infoAddress, e.Redirect.Address)
	return m.close()
}

// hubwireError returns the error of a hub that err is or wraps. What was wrong with bytes is one
// with code DeserializationError; of all else there is nothing to be told.
func hubwireError(err error) *hubwire.Error {
	var e *hubwire.Error
	if errors.As(err, &e) && e != nil {
		return e
	}
	var syntax *SyntaxError
	if errors.As(err, &syntax) && syntax != nil {
		return refused("", hubwire.DeserializationError, "%v", syntax)
	}
	return &hubwire.Error{}
}

// Error gives condition and description, on one line.
func (e *Error) Error() string {
	if e == nil {
		return "amqp: no error"
	}
	text := "amqp: " + errtext.Line(string(e.Condition))
	if e.Description != "" {
		text += ": " + errtext.Line(e.Description)
	}
	return text
}

// Unwrap returns the condition.
func (e *Error) Unwrap() error {
	if e == nil || e.Condition == "" {
		return nil
	}
	return e.Condition
}

// Hubwire returns what op failed with when the hub refused it with e on a link to at, which
// may be 0. The code is that of the description, if it has one, else that of the condition
// ([ResourceLimitExceeded] is a full queue on a link to [C2DSend], and the quota
// elsewhere), and it can be retried when the code says so, else when the condition does.
// Message and TrackingID are the hub's, bounded and on one line, and without what looks like
// a secret. The outcome is Refused: who lost a link or connection with what it had sent
// knows better.
//
// The result matches its condition under [errors.Is]. That of a nil e has no code.
func (e *Error) Hubwire(op string, at Node) *hubwire.Error {
	h := &hubwire.Error{Op: op, Outcome: hubwire.Refused}
	if e == nil {
		return h
	}
	h.Err = e.Unwrap()
	ParseErrorBody(h, []byte(e.Description))
	if e.TrackingID != "" {
		h.TrackingID = errtext.Line(e.TrackingID)
	}
	if h.Code != 0 {
		h.Retryable = h.Code.Retryable()
		return h
	}
	h.Code, h.Retryable = e.Condition.Code(), e.Condition.Retryable()
	if e.Condition == ResourceLimitExceeded && at == C2DSend {
		h.Code, h.Retryable = hubwire.QueueDepthExceeded, false
	}
	return h
}

// errorBody is the JSON of an error: of a description, and of the body of a twin response.
type errorBody struct {
	Code       int    `json:"errorCode"`
	TrackingID string `json:"trackingId"`
	Message    string `json:"message"`
	Timestamp  string `json:"timestampUtc,omitempty"`
}

// AppendErrorBody appends e as the JSON object that the hub puts into descriptions and
// into the bodies of twin responses:
//
//	{"errorCode":404001,"trackingId":"...","message":"...","timestampUtc":"..."}
//
// The time is left out when now is zero. A nil e, or one without a code, is a ServerError
// that does not say what happened.
func AppendErrorBody(dst []byte, e *hubwire.Error, now time.Time) []byte {
	body := errorBody{Code: int(hubwire.ServerError), Message: "internal error"}
	if e != nil && e.Code != 0 {
		body.Code, body.Message = int(e.Code), e.Message
	}
	if e != nil {
		body.TrackingID = e.TrackingID
	}
	if !now.IsZero() {
		body.Timestamp = string(systemtime.Append(nil, now))
	}
	b, err := json.Marshal(&body)
	if err != nil {
		return dst // it has nothing that could fail
	}
	return append(dst, b...)
}

// What a text that is no JSON says of an error, in the words of IoT Hub and of Event Hubs.
var (
	codeInText       = regexp.MustCompile(`(?i)error ?code"?[:= ]+"?(\w+)`)
	trackingIDInText = regexp.MustCompile(`(?i)tracking ?id"?[:= ]+"?([^\s",;)]+)`)
)

// ParseErrorBody sets code, message and tracking id of e to what b says, where it says it: a
// JSON object as [AppendErrorBody] writes it, such an object within a text or within a
// string of JSON, or a text. It leaves the rest of e alone.
func ParseErrorBody(e *hubwire.Error, b []byte) {
	if e == nil || len(b) == 0 {
		return
	}
	var quoted string
	if json.Unmarshal(b, &quoted) == nil {
		b = []byte(quoted)
	}
	text := string(b)
	if i := strings.IndexByte(text, '{'); i >= 0 && parseErrorJSON(e, text[i:]) {
		return
	}
	e.Message = errtext.Line(text)
	if m := codeInText.FindStringSubmatch(text); m != nil {
		e.Code, _ = hubwire.ParseCode(m[1])
	}
	if m := trackingIDInText.FindStringSubmatch(text); m != nil {
		e.TrackingID = errtext.Line(m[1])
	}
}

// parseErrorJSON reads an object that text begins with, and reports whether it has anything to say.
func parseErrorJSON(e *hubwire.Error, text string) bool {
	var body struct {
		Code       json.RawMessage `json:"errorCode"` // a number, in digits or in a string
		TrackingID string          `json:"trackingId"`
		Message    string          `json:"message"`
	}
	if json.NewDecoder(strings.NewReader(text)).Decode(&body) != nil {
		return false
	}
	code, known := hubwire.ParseCode(strings.Trim(string(body.Code), `"`))
	if !known && body.Message == "" {
		return false
	}
	e.Code, e.Message, e.TrackingID = code, errtext.Line(body.Message), errtext.Line(body.TrackingID)
	return true
}
