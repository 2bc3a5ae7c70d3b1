package mqtt

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
	"github.com/hubwire/hubwire/topics"
)

// ErrNotMessage is the error of [ParseMessage] for a topic that carries no message.
var ErrNotMessage = errors.New("mqtt: the topic is not that of a message")

// AppendTelemetryTopic appends the topic that m is sent to the hub with, by a
// device, or by a module when id names one:
//
//	devices/{device}[/modules/{module}]/messages/events/{bag}
//
// The bag holds system properties first ("%24.mid=..."), then the application
// properties in their order. Names and values are percent-encoded but for
// letters, digits and "-._"; times are in UTC with seven digits of a second. An
// application property whose name is that of an unknown system property
// ("$.xyz") is written like one. An empty value is written "name=". m must have
// passed [hubwire.Message.CheckTelemetry]; whether the topic fits into
// [MaxString] bytes shows in [ClosePublish] or [Publish.Check]. It allocates
// only to grow dst.
//
// Source: IoT Hub developer guide, "Communicate with your IoT hub using the
// MQTT protocol", section "Sending device-to-cloud messages".
func AppendTelemetryTopic(dst []byte, id hubwire.Identity, m *hubwire.Message) []byte {
	return AppendTelemetryBag(topics.AppendTelemetry(dst, id), m)
}

// AppendTelemetryBag appends the bag of [AppendTelemetryTopic] alone, for who keeps what comes before it, as
// [topics.AppendTelemetry] makes it, for all the messages of one sender. It allocates only to grow dst.
func AppendTelemetryBag(dst []byte, m *hubwire.Message) []byte {
	if m == nil {
		return dst
	}
	dst = appendDeviceSystem(dst, m)
	return appendProperties(dst, m.Properties)
}

// AppendC2DTopic appends the topic that m reaches the device or module id with:
//
//	devices/{device}[/modules/{module}]/messages/devicebound/{bag}
//
// The bag is as [AppendTelemetryTopic] writes it, in the hub's order: $.exp,
// $.cid, $.mid, $.to and the other system properties, iothub-ack, and the
// application properties. $.to is always there, for the .NET SDK drops the
// connection when the bag is empty: if m.To is, it is
// "/devices/{device}/messages/devicebound". A value that is empty is written
// "name=", as the hub does, though the Java SDK cannot receive that. m must have
// passed [hubwire.Message.CheckC2D]. It allocates only to grow dst.
func AppendC2DTopic(dst []byte, id hubwire.Identity, m *hubwire.Message) []byte {
	m = orZero(m)
	dst = topics.AppendC2D(dst, id)
	if m.To == "" {
		var room [addressRoom]byte
		to := topics.AppendC2D(append(room[:0], '/'), id)
		return appendToDevice(dst, to[:len(to)-1], m)
	}
	return appendToDevice(dst, nil, m)
}

// addressRoom takes the address of any legal identity, and of an input of 128 bytes.
const addressRoom = 512

// AppendInputTopic appends the topic that r reaches the module id with, on its
// input r.Input:
//
//	devices/{device}/modules/{module}/inputs/{input}/{bag}
//
// The bag is as that of [AppendC2DTopic], with r.Source, if set, in $.cdid and
// $.cmid at its front. If r.To is empty, $.to is
// "/devices/{device}/modules/{module}/inputs/{input}". It allocates only to
// grow dst.
func AppendInputTopic(dst []byte, id hubwire.Identity, r *hubwire.Received) []byte {
	r = orZero(r)
	dst = topics.AppendInput(dst, id, r.Input)
	if r.Source.DeviceID != "" {
		dst = topics.AppendSystem(dst, topics.ConnectionDeviceID, r.Source.DeviceID)
	}
	if r.Source.ModuleID != "" {
		dst = topics.AppendSystem(dst, topics.ConnectionModuleID, r.Source.ModuleID)
	}
	if r.To == "" {
		var room [addressRoom]byte
		to := append(room[:0], "/devices/"...)
		to = append(to, id.DeviceID...)
		to = append(to, "/modules/"...)
		to = append(to, id.ModuleID...)
		to = append(to, "/inputs/"...)
		to = append(to, r.Input...)
		return appendToDevice(dst, to, &r.Message)
	}
	return appendToDevice(dst, nil, &r.Message)
}

// appendToDevice appends the bag of m, with to as $.to for an m that has none. The order of the system
// properties follows a capture of the hub; iothub-ack is last, behind all that begins with "%24",
// because the Java SDK takes the bag to begin at the first "%24".
func appendToDevice(dst, to []byte, m *hubwire.Message) []byte {
	dst = appendTime(dst, topics.Expiry, &m.Expiry)
	dst = appendText(dst, topics.CorrelationID, m.CorrelationID)
	dst = appendText(dst, topics.MessageID, m.ID)
	if len(to) > 0 {
		dst = topics.AppendSystem(dst, topics.To, to)
	}
	dst = appendText(dst, topics.To, m.To)
	dst = appendText(dst, topics.ContentType, m.ContentType)
	dst = appendText(dst, topics.ContentEncoding, m.ContentEncoding)
	dst = appendText(dst, topics.UserID, m.UserID)
	dst = appendTime(dst, topics.CreationTime, &m.CreationTime)
	dst = appendRest(dst, m)
	return appendProperties(dst, m.Properties)
}

// appendDeviceSystem appends the system properties of a device's message. They begin with what routing looks at.
func appendDeviceSystem(dst []byte, m *hubwire.Message) []byte {
	dst = appendText(dst, topics.MessageID, m.ID)
	dst = appendText(dst, topics.CorrelationID, m.CorrelationID)
	dst = appendText(dst, topics.UserID, m.UserID)
	dst = appendText(dst, topics.To, m.To)
	dst = appendText(dst, topics.ContentType, m.ContentType)
	dst = appendText(dst, topics.ContentEncoding, m.ContentEncoding)
	dst = appendTime(dst, topics.CreationTime, &m.CreationTime)
	dst = appendTime(dst, topics.Expiry, &m.Expiry)
	return appendRest(dst, m)
}

// appendRest appends the system properties that come last in either direction.
func appendRest(dst []byte, m *hubwire.Message) []byte {
	dst = appendText(dst, topics.Output, m.Output)
	dst = appendText(dst, topics.Component, m.Component)
	dst = appendText(dst, topics.InterfaceID, m.InterfaceID)
	dst = appendText(dst, topics.Schema, m.Schema)
	dst = appendText(dst, topics.DiagnosticID, m.DiagnosticID)
	dst = appendText(dst, topics.DiagnosticContext, m.DiagnosticContext)
	return appendText(dst, topics.Ack, string(m.Ack))
}

// appendText appends a system property that is set.
func appendText(dst []byte, s topics.System, text string) []byte {
	if text == "" {
		return dst
	}
	return topics.AppendSystem(dst, s, text)
}

// appendTime appends a system property that is a time, if it is set.
func appendTime(dst []byte, s topics.System, at *time.Time) []byte {
	if at.IsZero() {
		return dst
	}
	var room [len(systemtime.Layout) + 8]byte // AppendFormat wants some more while it is at work
	return topics.AppendSystem(dst, s, systemtime.Append(room[:0], *at))
}

func appendProperties(dst []byte, properties []hubwire.Property) []byte {
	for i := range properties {
		dst = topics.AppendProperty(dst, properties[i].Name, properties[i].Value)
	}
	return dst
}

// textField returns the field of m that holds s, or nil if that is no text.
func textField(m *hubwire.Message, s topics.System) *string {
	switch s {
	case topics.MessageID:
		return &m.ID
	case topics.CorrelationID:
		return &m.CorrelationID
	case topics.UserID:
		return &m.UserID
	case topics.To:
		return &m.To
	case topics.ContentType:
		return &m.ContentType
	case topics.ContentEncoding:
		return &m.ContentEncoding
	case topics.Output:
		return &m.Output
	case topics.Component:
		return &m.Component
	case topics.InterfaceID:
		return &m.InterfaceID
	case topics.Schema:
		return &m.Schema
	case topics.DiagnosticID:
		return &m.DiagnosticID
	case topics.DiagnosticContext:
		return &m.DiagnosticContext
	case topics.Ack:
		return (*string)(&m.Ack)
	}
	return nil
}

// timeField returns the field of m that holds s, or nil if that is no time.
func timeField(m *hubwire.Message, s topics.System) *time.Time {
	switch s {
	case topics.CreationTime:
		return &m.CreationTime
	case topics.Expiry:
		return &m.Expiry
	}
	return nil
}

// ParseMessage sets r.Message, r.Input and r.Source to what a PUBLISH says
// whose topic is t: telemetry, cloud-to-device or a module's input; any other,
// and a nil t or r, is [ErrNotMessage]. It leaves the rest of r alone. It copies: r does not
// alias the topic or the payload.
//
// Names and values are percent-decoded; where an escape is malformed they stay
// as they came (see [topics.AppendUnescape]). Of a system property that comes
// twice the last counts; application properties keep their order, and
// duplicates. A name without a value is an empty value. An unknown system
// property stands in Properties as "$.xyz"; so does a time in none of the forms
// that the SDKs send. In telemetry, $.cdid and $.cmid are dropped: a device
// must not say who it is.
//
// It allocates the body, one string for all text, and the slice of Properties.
func ParseMessage(t *topics.Topic, payload []byte, r *hubwire.Received) error {
	if t == nil || r == nil {
		return ErrNotMessage
	}
	switch t.Kind {
	case topics.Telemetry, topics.C2D, topics.Input:
	default:
		return ErrNotMessage
	}
	r.Message = hubwire.Message{Body: bytes.Clone(payload)}
	r.Input, r.Source = "", hubwire.Identity{}
	bag := t.Bag()
	name := t.Name() // empty but for an input
	var text texts
	text.b.Grow(len(name) + len(bag))
	r.Input = text.decode(name)
	for p, rest, ok := bag.Next(); ok; p, rest, ok = rest.Next() {
		s := p.System()
		value := text.decode(p.Value)
		if s != 0 && setSystem(r, t.Kind, s, value) {
			continue
		}
		if r.Properties == nil {
			r.Properties = make([]hubwire.Property, 0, 1+countPairs(rest))
		}
		r.Properties = append(r.Properties, hubwire.Property{Name: text.decode(p.Name), Value: value})
	}
	return nil
}

// countPairs returns at least how many pairs there are.
func countPairs(b topics.Bag) int {
	if len(b) == 0 {
		return 0
	}
	return 1 + bytes.Count(b, []byte{'&'})
}

// setSystem sets what of r the system property s is, and reports whether value
// fits it.
func setSystem(r *hubwire.Received, kind topics.Kind, s topics.System, value string) bool {
	if text := textField(&r.Message, s); text != nil {
		*text = value
		return true
	}
	if at := timeField(&r.Message, s); at != nil {
		v, ok := systemtime.Parse(value)
		if ok {
			*at = v
		}
		return ok
	}
	if kind != topics.Telemetry {
		switch s {
		case topics.ConnectionDeviceID:
			r.Source.DeviceID = value
		case topics.ConnectionModuleID:
			r.Source.ModuleID = value
		}
	}
	return true
}

// texts collects decoded text, so that all the strings of a message are pieces
// of one. Decoding never makes text longer, so with room for the whole bag it
// allocates once.
type texts struct{ b strings.Builder }

func (t *texts) decode(s []byte) string {
	start := t.b.Len()
	if bytes.IndexByte(s, '%') < 0 {
		t.b.Write(s)
	} else {
		var room [256]byte
		t.b.Write(topics.AppendUnescape(room[:0], s))
	}
	return t.b.String()[start:]
}
