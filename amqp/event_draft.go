package amqp

import (
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// EventOf returns the event that the message which d describes is: what [ParseEvent] makes of
// the bytes that [AppendMessage] makes of it, without them. It is for who gets messages from a
// library that has taken them apart. Strings and the body stay those of d; what
// d.Text has comes behind d.ApplicationProperties. Errors are those of ParseEvent. A nil d is the zero Draft.
func EventOf(d *Draft) (*Event, error) {
	d = orZero(d)
	both := new(struct {
		event    Event
		received hubwire.Received
	})
	e := &both.event
	e.Received = &both.received
	r := &e.Received.Message
	if err := d.body(r); err != nil {
		return nil, err
	}
	d.properties(r)
	for i := range d.Annotations {
		e.draftAnnotation(r, &d.Annotations[i])
	}
	if err := d.applicationProperties(r); err != nil {
		return nil, err
	}
	e.draftMetric(d.DeliveryAnnotations)
	return e, nil
}

const opReadEvents = "read events"

// body sets the body, of one data section or of a value.
func (d *Draft) body(r *hubwire.Message) error {
	switch d.Body {
	case NoBody:
		return nil
	case DataBody:
		r.Body = d.Data
		return nil
	}
	v := d.Value.Value()
	b, ok := v.Binary()
	if !ok {
		b, ok = v.Text()
	}
	if d.Body != ValueBody || !ok && !v.IsNull() {
		return refused(opReadEvents, hubwire.FormatError, "the body of the message is neither data nor text")
	}
	r.Body = b
	return nil
}

// properties sets what the section of that name says.
func (d *Draft) properties(r *hubwire.Message) {
	p := &d.Properties
	r.ID, _ = p.MessageID.asText()
	r.CorrelationID, _ = p.CorrelationID.asText()
	r.To, r.ContentType, r.ContentEncoding = p.To, p.ContentType, p.ContentEncoding
	if p.UserID != "" {
		user := Binary([]byte(p.UserID))
		r.UserID, _ = user.asText()
	}
	if !p.Expiry.IsZero() {
		var t texts
		t.expiry(Timestamp(p.Expiry).Value(), r)
	}
}

// applicationProperties sets what the section of that name says.
func (d *Draft) applicationProperties(r *hubwire.Message) error {
	set := func(key, value string) {
		if setNamed(r, key, value) {
			return
		}
		if key == NameCreationTime {
			key = "$.ctime" // which is no time
		}
		if r.Properties == nil {
			r.Properties = make([]hubwire.Property, 0, len(d.ApplicationProperties)+len(d.Text))
		}
		r.Properties = append(r.Properties, hubwire.Property{Name: key, Value: value})
	}
	for i := range d.ApplicationProperties {
		p := &d.ApplicationProperties[i]
		value, ok := p.Value.asText()
		if !ok {
			return refused(opReadEvents, hubwire.ArgumentInvalid, "the application property %.100q is a %v", p.Key, p.Value.Value().Kind())
		}
		set(p.Key, value)
	}
	for i := range d.Text {
		set(d.Text[i].Name, d.Text[i].Value)
	}
	return nil
}

// draftAnnotation sets what a message annotation says.
func (e *Event) draftAnnotation(r *hubwire.Message, p *Pair) {
	if field := annotationField(r, p.Key); field != nil {
		*field, _ = p.Value.asText()
		return
	}
	if field := eventField(e, p.Key); field != nil {
		*field = p.Value.onlyText()
		return
	}
	switch p.Key {
	case KeySequenceNumber:
		e.SequenceNumber, _ = p.Value.number()
	case KeyEnqueuedTime:
		e.EnqueuedTime = p.Value.time()
	case KeyStoredTime:
		e.StoredTime = p.Value.time()
	}
}

// draftMetric sets what the delivery annotations say, if they are those of a reader that asked for it.
func (e *Event) draftMetric(pairs []Pair) {
	if len(pairs) == 0 {
		return
	}
	m, found := new(PartitionMetric), false
	for i := range pairs {
		v := &pairs[i].Value
		switch pairs[i].Key {
		case keyLastSequence:
			m.LastSequence, found = v.number()
		case keyLastOffset:
			m.LastOffset = v.onlyText()
		case keyLastTime:
			m.LastTime = v.time()
		case keyRetrieved:
			m.Retrieved = v.time()
		}
	}
	if found {
		e.Metric = m
	}
}

// asText returns t as text, see [appendText]: a string as it is.
func (t *Typed) asText() (text string, ok bool) {
	if t.isText() {
		return t.text, true
	}
	if t.IsNull() {
		return "", true
	}
	var room [64]byte
	b, ok := appendText(room[:0], t.Value())
	return string(b), ok
}

// isText reports whether t is a string or symbol that was made of a string.
func (t *Typed) isText() bool {
	return (t.kind == amqp10.KindString || t.kind == amqp10.KindSymbol) && t.data == nil
}

// onlyText returns the string or symbol that t is, or nothing.
func (t *Typed) onlyText() string {
	if t.isText() {
		return t.text
	}
	s, _ := t.Value().Text()
	return string(s)
}

// number returns the whole number that t is.
func (t *Typed) number() (int64, bool) {
	if t.kind == amqp10.KindLong {
		return int64(t.bits), true
	}
	return t.Value().Int()
}

// time returns the timestamp that t is, see [timeOf].
func (t *Typed) time() time.Time {
	if t.kind != amqp10.KindTimestamp {
		return time.Time{}
	}
	return timeOfMilli(int64(t.bits))
}
