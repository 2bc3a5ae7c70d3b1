package httpsx

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// Headers of a message for a device, beside those of its system properties. The
// C SDK compares them byte by byte.
const (
	headerETag          = "ETag"
	headerSequence      = "iothub-sequencenumber"
	headerEnqueuedTime  = "iothub-enqueuedtime"
	headerDeliveryCount = "iothub-deliverycount"
)

// toDevice are the names of system properties in an answer: two are spelled in another way
// than in a request.
var toDevice = func() [systems]string {
	names := systemHeaders
	names[sysContentType], names[sysContentEncoding] = "ContentType", "ContentEncoding"
	return names
}()

// alwaysToDevice are those that are there also when they are empty.
var alwaysToDevice = [...]system{sysMessageID, sysCorrelationID, sysUserID, sysExpiry}

// SetReceived puts what a device gets to know of a message into the headers of
// the answer, 200, whose body is r.Body as it is:
//
//	ETag: "6f2ed4b4-65fb-4d29-8a5b-5cd2c1f2a4e1"     r.LockToken
//	iothub-messageid: cmd-7                          empty where there is none
//	iothub-sequencenumber: 12
//	iothub-to: /devices/dev-1/messages/deviceBound   unless r.To says another
//	iothub-expiry:
//	iothub-correlationid:
//	iothub-userid:
//	iothub-ack: full
//	iothub-enqueuedtime: 2019-12-09T12:00:00.0000000Z
//	iothub-deliverycount: 0
//	iothub-app-Alert: high
//	ContentType: application/json                    when set
//	ContentEncoding: utf-8                           when set
//
// The names are exactly these: the C SDK knows no other case, so they must not go
// through [http.Header.Set]. What h has beside them stays. A property whose name cannot
// be that of a header is left out, and control characters in values become blanks. A nil
// r or h sets nothing.
//
// Source: the device endpoint as the SDKs read it (spec/https.md 0.2 and 1.3).
func SetReceived(h http.Header, id hubwire.Identity, r *hubwire.Received) {
	if r == nil || h == nil {
		return
	}
	for _, s := range alwaysToDevice {
		h[systemHeaders[s]] = []string{""}
	}
	h[systemHeaders[sysAck]] = []string{string(hubwire.AckNone)}
	if r.To == "" {
		h[systemHeaders[sysTo]] = []string{string(ReceiveC2D.AppendPath(nil, Target{Identity: id}))}
	}
	setSystem(h, &toDevice, &r.Message, new(values))
	for _, name := range toDevice {
		if v := h[name]; len(v) > 0 {
			v[0] = printable(v[0])
		}
	}
	for i := range r.Properties {
		if p := &r.Properties[i]; p.Name != "" && notToken(p.Name) < 0 {
			h[appPrefix+p.Name] = append(h[appPrefix+p.Name], printable(p.Value))
		}
	}
	h[headerETag] = []string{QuoteETag(r.LockToken)}
	h[headerSequence] = []string{strconv.FormatUint(uint64(r.SequenceNumber), 10)}
	h[headerEnqueuedTime] = []string{""}
	if !r.EnqueuedTime.IsZero() {
		h[headerEnqueuedTime] = []string{string(systemtime.Append(nil, r.EnqueuedTime))}
	}
	h[headerDeliveryCount] = []string{strconv.Itoa(r.DeliveryCount)}
}

// printable returns s with blanks for its control characters, which a header cannot hold.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

// ErrAnswer is about an answer that is not what its kind of request gets.
var ErrAnswer = errors.New("httpsx: the answer makes no sense")

// ParseReceived returns the message of an answer with the headers h and this
// body, which it takes over. Names of application properties come in lower case and in
// their order, as in [ParseMessage]. EnqueuedTime is zero when it has none of the
// forms that the hub or the SDKs use.
//
// The error matches [ErrAnswer]: there is no lock token, by which alone the message could be
// settled, or a number is none; or it is a [*PropertyError].
func ParseReceived(h http.Header, body []byte) (*hubwire.Received, error) {
	r := &hubwire.Received{Message: hubwire.Message{Body: body}}
	if err := parseProperties(h, &r.Message); err != nil {
		return nil, err
	}
	if r.LockToken = ParseETag(h.Get(headerETag)); r.LockToken == "" {
		return nil, fmt.Errorf("%w: a message without a lock token in its ETag", ErrAnswer)
	}
	var err error
	if v := h.Get(headerSequence); v != "" {
		if r.SequenceNumber, err = strconv.ParseInt(v, 10, 64); err != nil || r.SequenceNumber < 0 {
			return nil, fmt.Errorf("%w: %s is %.40q", ErrAnswer, headerSequence, v)
		}
	}
	if v := h.Get(headerDeliveryCount); v != "" {
		if r.DeliveryCount, err = strconv.Atoi(v); err != nil || r.DeliveryCount < 0 {
			return nil, fmt.Errorf("%w: %s is %.40q", ErrAnswer, headerDeliveryCount, v)
		}
	}
	r.EnqueuedTime = parseEnqueued(h.Get(headerEnqueuedTime))
	return r, nil
}

// parseEnqueued reads a time as we write it, or as a recorded answer of the service has it.
func parseEnqueued(s string) time.Time {
	if at, ok := systemtime.Parse(s); ok {
		return at
	}
	at, _ := time.Parse("1/2/2006 3:04:05 PM", s) // zero when it is neither
	return at
}
