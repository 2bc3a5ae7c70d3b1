package amqp

import (
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// The system properties of a message are in three sections: most in its properties, some in
// application properties of names that begin with "iothub-", some in annotations.
// Source: spec/amqp.md 4.4, 4.6 and 5.1.

// deviceAnnotations writes those that a device may set.
func (e *entries) deviceAnnotations(m *hubwire.Message) {
	e.text(KeyInterfaceID, m.InterfaceID)
	e.text(KeyComponent, m.Component)
	e.text(KeyDiagnosticID, m.DiagnosticID)
	e.text(KeyDiagnosticContext, m.DiagnosticContext)
}

// appendRest appends the sections of m that follow its annotations. to stands for an m.To that is
// empty.
func appendRest(dst []byte, m *hubwire.Message, to []byte) []byte {
	p := Properties{
		UserID: m.UserID, To: m.To, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Expiry: m.Expiry,
	}
	if m.ID != "" {
		p.MessageID = String(m.ID)
	}
	if m.CorrelationID != "" {
		p.CorrelationID = String(m.CorrelationID)
	}
	dst = p.append(dst, to)
	e := openSection(dst, amqp10.DescApplicationProperties)
	e.systemTime(NameCreationTime, m.CreationTime)
	e.text(NameSchema, m.Schema)
	e.text(NameOutput, m.Output)
	e.text(NameAck, string(m.Ack))
	e.properties(m.Properties)
	return AppendData(e.close(), m.Body)
}

// parseInto sets r to what m says. The body is a view; the rest is not.
func parseInto(op string, m *Message, r *hubwire.Message) *hubwire.Error {
	var t texts
	if err := t.message(op, m, r); err != nil {
		return err
	}
	for key, v := range m.annotations.All() {
		t.annotation(key, v, r)
	}
	return nil
}

// message is parseInto, but for the annotations, for whose texts it makes room.
func (t *texts) message(op string, m *Message, r *hubwire.Message) *hubwire.Error {
	body, ok := m.content()
	if !ok {
		return refused(op, hubwire.FormatError, "the body of the message is neither data nor text")
	}
	*r = hubwire.Message{Body: body}
	t.b.Grow(len(m.properties) + len(m.annotations.entries) + len(m.application.entries))
	t.properties(m.properties, r)
	return t.applicationProperties(op, m.application, r)
}

// properties sets what the section of that name says.
func (t *texts) properties(b []byte, r *hubwire.Message) {
	s := t.add(b)
	for i, n := 0, 0; i < len(b); n++ {
		next := end(b, i)
		if n == propExpiry {
			t.expiry(viewAt(b, i, next), r)
		} else if field := propertyField(r, n); field != nil && b[i] != amqp10.CodeNull {
			*field, _ = t.at(s, b, i, next)
		}
		i = next
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

// annotation sets what one says that a device may set.
func (t *texts) annotation(key []byte, v Value, r *hubwire.Message) {
	if field := annotationField(r, key); field != nil {
		*field, _ = t.value(v)
	}
}

// annotationField returns the field of r that an annotation is, or nil for one that has none.
func annotationField[T ~string | ~[]byte](r *hubwire.Message, key T) *string {
	switch string(key) {
	case KeyInterfaceID:
		return &r.InterfaceID
	case KeyComponent:
		return &r.Component
	case KeyDiagnosticID:
		return &r.DiagnosticID
	case KeyDiagnosticContext:
		return &r.DiagnosticContext
	}
	return nil
}

func (t *texts) applicationProperties(op string, a Map, r *hubwire.Message) *hubwire.Error {
	b := a.entries
	s := t.add(b)
	for i := 0; i < len(b); {
		at := end(b, i)
		next := end(b, at)
		key := s[content(b, i):at]
		value, ok := t.at(s, b, at, next)
		if !ok {
			return refused(op, hubwire.ArgumentInvalid, "the application property %.100q is a %v", key, viewAt(b, at, next).Kind())
		}
		if i = next; setNamed(r, key, value) {
			continue
		}
		if key == NameCreationTime {
			key = "$.ctime" // which is no time
		}
		if r.Properties == nil {
			r.Properties = make([]hubwire.Property, 0, a.n)
		}
		r.Properties = append(r.Properties, hubwire.Property{Name: key, Value: value})
	}
	return nil
}

// setNamed sets the system property that an application property is, and reports whether it is one
// and the value fits it.
func setNamed(r *hubwire.Message, key, value string) bool {
	if !strings.HasPrefix(key, "iothub-") {
		return false
	}
	switch key {
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
