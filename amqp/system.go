package amqp

import (
	"bytes"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// The system properties of a message are in three sections: most in its properties, some in
// application properties of names that begin with "iothub-", some in annotations.
// Source: spec/amqp.md 4.4, 4.6 and 5.1.

// system is the room for what those of a message become.
type system struct {
	annotations [16]Pair
	names       [4]Pair
	time        [len(systemtime.Layout) + 8]byte // AppendFormat wants some more while it is at work
}

// draft returns the message with the body and all properties of m. Its annotations are the
// device's own, without those of the hub.
func (s *system) draft(m *hubwire.Message) Draft {
	return Draft{
		Annotations: s.deviceAnnotations(s.annotations[:0], m),
		Properties: Properties{
			MessageID: text(m.ID), UserID: m.UserID, To: m.To, CorrelationID: text(m.CorrelationID),
			ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Expiry: m.Expiry,
		},
		ApplicationProperties: s.named(m),
		Text:                  m.Properties,
		Body:                  DataBody,
		Data:                  m.Body,
	}
}

// text is a string, or null for none.
func text(s string) Typed {
	if s == "" {
		return Typed{}
	}
	return String(s)
}

func appendTextPair(pairs []Pair, key, s string) []Pair {
	if s == "" {
		return pairs
	}
	return append(pairs, Pair{key, String(s)})
}

func (s *system) deviceAnnotations(pairs []Pair, m *hubwire.Message) []Pair {
	pairs = appendTextPair(pairs, KeyInterfaceID, m.InterfaceID)
	pairs = appendTextPair(pairs, KeyComponent, m.Component)
	pairs = appendTextPair(pairs, KeyDiagnosticID, m.DiagnosticID)
	return appendTextPair(pairs, KeyDiagnosticContext, m.DiagnosticContext)
}

func (s *system) named(m *hubwire.Message) []Pair {
	pairs := s.names[:0]
	if !m.CreationTime.IsZero() {
		at := Typed{kind: amqp10.KindString, data: systemtime.Append(s.time[:0], m.CreationTime)}
		pairs = append(pairs, Pair{NameCreationTime, at})
	}
	pairs = appendTextPair(pairs, NameSchema, m.Schema)
	pairs = appendTextPair(pairs, NameOutput, m.Output)
	return appendTextPair(pairs, NameAck, string(m.Ack))
}

// parseInto sets r to what m says. The body is a view; the rest is not.
func parseInto(op string, m *Message, r *hubwire.Message) *hubwire.Error {
	body, ok := m.content()
	if !ok {
		return refused(op, hubwire.FormatError, "the body of the message is neither data nor text")
	}
	*r = hubwire.Message{Body: body}
	var t texts
	t.b.Grow(len(m.properties) + len(m.annotations.entries) + len(m.application.entries))
	t.properties(m, r)
	t.annotations(m.annotations, r)
	return t.applicationProperties(op, m.application, r)
}

// properties sets what the section of that name says.
func (t *texts) properties(m *Message, r *hubwire.Message) {
	fields := amqp10.NewReader(m.properties)
	for i := 0; fields.More(); i++ {
		v := fields.Value()
		if i == propExpiry {
			t.expiry(v, r)
		} else if field := propertyField(r, i); field != nil && !v.IsNull() {
			*field, _ = t.value(v)
		}
	}
}

// propertyField returns the field of r that the property at i is, or nil for one that has none.
func propertyField(r *hubwire.Message, i int) *string {
	switch i {
	case propMessageID:
		return &r.ID
	case propUserID:
		return &r.UserID
	case propTo:
		return &r.To
	case propCorrelationID:
		return &r.CorrelationID
	case propContentType:
		return &r.ContentType
	case propContentEncoding:
		return &r.ContentEncoding
	}
	return nil
}

// expiry sets the expiry, or the property that stands for one that no message can have.
func (t *texts) expiry(v Value, r *hubwire.Message) {
	r.Expiry = timeOf(v)
	if ms, _ := v.Timestamp(); ms > maxTimestamp {
		s, _ := t.value(v)
		r.Properties = append(r.Properties, hubwire.Property{Name: "$.exp", Value: s})
	}
}

// annotations sets what those say that a device may set.
func (t *texts) annotations(a Map, r *hubwire.Message) {
	for key, v := range a.All() {
		var field *string
		switch string(key) {
		case KeyInterfaceID:
			field = &r.InterfaceID
		case KeyComponent:
			field = &r.Component
		case KeyDiagnosticID:
			field = &r.DiagnosticID
		case KeyDiagnosticContext:
			field = &r.DiagnosticContext
		default:
			continue
		}
		*field, _ = t.value(v)
	}
}

func (t *texts) applicationProperties(op string, a Map, r *hubwire.Message) *hubwire.Error {
	for key, v := range a.All() {
		value, ok := t.value(v)
		if !ok {
			return refused(op, hubwire.ArgumentInvalid, "the application property %.100q is a %v", key, v.Kind())
		}
		if setNamed(r, key, value) {
			continue
		}
		name := "$.ctime" // a time that is none
		if string(key) != NameCreationTime {
			name = t.add(key)
		}
		if r.Properties == nil {
			r.Properties = make([]hubwire.Property, 0, a.Len())
		}
		r.Properties = append(r.Properties, hubwire.Property{Name: name, Value: value})
	}
	return nil
}

// namePrefix is what the names begin with that [setNamed] knows.
var namePrefix = []byte("iothub-")

// setNamed sets the system property that an application property is, and reports whether it is one
// and the value fits it.
func setNamed(r *hubwire.Message, key []byte, value string) bool {
	if !bytes.HasPrefix(key, namePrefix) {
		return false
	}
	switch string(key) {
	case NameCreationTime:
		at, ok := systemtime.Parse(value)
		if ok {
			r.CreationTime = at
		}
		return ok || value == ""
	case NameSchema:
		r.Schema = value
	case NameOutput:
		r.Output = value
	case NameAck:
		r.Ack = hubwire.Ack(value)
	default:
		return false
	}
	return true
}
