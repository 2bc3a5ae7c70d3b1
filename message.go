package hubwire

import (
	"time"
	"unicode/utf8"
)

// Limits of IoT Hub on messages, in bytes of [Message.Size].
// Source: IoT Hub developer guide, "Quotas and throttling".
const (
	MaxTelemetrySize   = 256 << 10 // device to cloud
	MaxC2DSize         = 64 << 10  // cloud to device
	MaxMessageIDLength = 128       // message id
	MaxMethodPayload   = 128 << 10 // direct method, request and response each
	MaxTwinSectionSize = 32 << 10  // desired, reported, each
	MaxTwinTagsSize    = 8 << 10
	MaxC2DQueue        = 50 // messages waiting for one device
)

// Property is one application property. Over MQTT and AMQP names are
// case-sensitive; over HTTPS they are not. Properties keep their order.
type Property struct {
	Name, Value string // UTF-8 text; what characters HTTPS can carry says package httpsx
}

// Message is what one sends: telemetry from a device or module, or
// cloud-to-device from a service. The zero value is an empty message.
//
// The named fields are IoT Hub's system properties; an empty string or zero
// time means absent. The comments give their name on the MQTT wire. A system
// property that has no field here, or whose value has not the form that the
// field needs, stands in Properties under its wire name ("$.xyz"), in both
// directions, so that it survives a round trip.
type Message struct {
	Body []byte // any bytes; the size that counts is that of [Message.Size]

	ID                string    // $.mid
	CorrelationID     string    // $.cid
	UserID            string    // $.uid
	To                string    // $.to; set by the hub for C2D
	ContentType       string    // $.ct, such as "application/json"
	ContentEncoding   string    // $.ce, such as "utf-8"
	CreationTime      time.Time // $.ctime
	Expiry            time.Time // $.exp; of a C2D message, after which the hub drops it
	Output            string    // $.on; the output that a module sends to
	Component         string    // $.sub; Plug and Play component (dt-subject)
	InterfaceID       string    // $.ifid
	Schema            string    // $.schema
	DiagnosticID      string    // $.diagid
	DiagnosticContext string    // $.diagctx
	Ack               Ack       // iothub-ack; the feedback that a C2D sender asks for

	Properties []Property // the application's, in their order; a name may come twice
}

// Ack is the feedback that the sender of a cloud-to-device message asks for.
type Ack string

// The values of Ack. The empty Ack means none.
const (
	AckNone     Ack = "none"
	AckPositive Ack = "positive" // feedback when completed
	AckNegative Ack = "negative" // feedback when expired, rejected or out of deliveries
	AckFull     Ack = "full"     // both
)

// Property returns the value of the first application property of that name.
func (m *Message) Property(name string) (value string, ok bool) {
	if m == nil {
		return "", false
	}
	for i := range m.Properties {
		if m.Properties[i].Name == name {
			return m.Properties[i].Value, true
		}
	}
	return "", false
}

// Size is what IoT Hub's limits count: the bytes of the body, of the values of
// system properties, and of the names and values of application properties.
// Times count as their 28 bytes on the wire.
func (m *Message) Size() int {
	if m == nil {
		return 0
	}
	n := len(m.Body) + len(m.ID) + len(m.CorrelationID) + len(m.UserID) + len(m.To) +
		len(m.ContentType) + len(m.ContentEncoding) + len(m.Output) + len(m.Component) +
		len(m.InterfaceID) + len(m.Schema) + len(m.DiagnosticID) + len(m.DiagnosticContext) + len(m.Ack)
	const timeLen = len("2006-01-02T15:04:05.0000000Z")
	if !m.CreationTime.IsZero() {
		n += timeLen
	}
	if !m.Expiry.IsZero() {
		n += timeLen
	}
	for i := range m.Properties {
		n += len(m.Properties[i].Name) + len(m.Properties[i].Value)
	}
	return n
}

// CheckTelemetry reports whether m can be sent from a device: at most
// [MaxTelemetrySize], valid UTF-8 throughout, no property without a name, a
// message id of at most [MaxMessageIDLength] bytes, and times, in UTC, in the years 1 to
// 9999. A nil m cannot. The error is an [*Error] with outcome [NotSent] and code
// [ArgumentInvalid] or [MessageTooLarge].
//
// It lets more characters pass than the guide "Create and read IoT Hub
// messages" names: for a message id ASCII letters, digits and those that an
// [Identity] may have, for C2D properties those of an HTTP token. Any other is
// escaped on the wire, as the official SDKs do it, and arrives as it was sent.
func (m *Message) CheckTelemetry() error {
	if m == nil {
		return noMessage()
	}
	return m.check(MaxTelemetrySize)
}

// CheckC2D reports whether m can be sent to a device: as [Message.CheckTelemetry],
// with [MaxC2DSize], and an Ack that is one of the constants or empty.
func (m *Message) CheckC2D() error {
	if m == nil {
		return noMessage()
	}
	switch m.Ack {
	case "", AckNone, AckPositive, AckNegative, AckFull:
	default:
		return invalid("message: ack is %q, not none, positive, negative or full", m.Ack)
	}
	return m.check(MaxC2DSize)
}

func noMessage() error { return invalid("message is nil") }

func (m *Message) check(maxSize int) error {
	if n := m.Size(); n > maxSize {
		e := invalid("message has %d bytes with its properties, the limit is %d", n, maxSize)
		e.Code = MessageTooLarge
		return e
	}
	if len(m.ID) > MaxMessageIDLength {
		return invalid("message id has %d bytes, the limit is %d", len(m.ID), MaxMessageIDLength)
	}
	if err := checkTime(&m.CreationTime); err != nil {
		return err
	}
	if err := checkTime(&m.Expiry); err != nil {
		return err
	}
	if !isText(m.ID) || !isText(m.CorrelationID) || !isText(m.UserID) || !isText(m.To) || !isText(m.ContentType) ||
		!isText(m.ContentEncoding) || !isText(m.Output) || !isText(m.Component) || !isText(m.InterfaceID) ||
		!isText(m.Schema) || !isText(m.DiagnosticID) || !isText(m.DiagnosticContext) || !isText(string(m.Ack)) {
		return invalid("message: a system property is not UTF-8")
	}
	for i := range m.Properties {
		p := &m.Properties[i]
		if p.Name == "" {
			return invalid("message: property %d has no name", i)
		}
		if !utf8.ValidString(p.Name) || !utf8.ValidString(p.Value) {
			return invalid("message: property %d is not UTF-8", i)
		}
	}
	return nil
}

// checkTime checks a time that may be set: no other year has the form that the wire needs.
func checkTime(at *time.Time) error {
	if at.IsZero() {
		return nil
	}
	if y := at.UTC().Year(); y < 1 || y > 9999 {
		return invalid("message: a time is in the year %d, not 1 to 9999", y)
	}
	return nil
}

// isText reports whether a system property is UTF-8; most are not set.
func isText(s string) bool { return s == "" || utf8.ValidString(s) }
