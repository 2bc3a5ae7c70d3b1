package amqp

import (
	"errors"
	"iter"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Message is a view of a message (part 3 section 3.2), all of which has been looked at: what
// its methods return cannot fail. The zero Message has no sections.
type Message struct {
	deliveryAnnotations Map
	annotations         Map
	application         Map
	properties          []byte // the fields
	body                BodyKind
	data                []byte // of the first data section, or the encoded value or list
	more                []byte // what follows that, if there may be another section of the body
}

// SyntaxError says what is wrong with a message or value, and where.
type SyntaxError = amqp10.SyntaxError

// What can be wrong with a message beside its values: a [*SyntaxError] wraps one of these.
var (
	ErrSection = errors.New("no such section of a message")
	ErrTwice   = errors.New("comes twice")
	ErrBody    = errors.New("stands in a body of another kind")
	ErrFields  = errors.New("there are more fields than the section has")
)

// ParseMessage returns a view of b, which is one whole message.
//
// Sections may come in any order, for the C SDK writes some in its own. Each may come once,
// but data and sequences, of which there may be any number. Keys of annotations and of
// application properties may be strings or symbols, values of any type; entries of annotations
// whose keys are ulongs are passed over. A property has the types of part 3, with symbol and string the one for the other, and an id is a ulong, uuid,
// binary, string or null. Text is not looked at: who needs UTF-8 checks it.
//
// The error is a [*SyntaxError], which is shared by calls that find the same fault. It does
// not allocate but for that, and for annotations of which some are passed over: they are a copy.
func ParseMessage(b []byte) (m Message, err error) {
	p := parser{b: b[:len(b):len(b)]}
	for p.i < len(b) && p.err == nil {
		p.section(&m)
	}
	if p.err != nil {
		m = Message{}
	}
	return m, p.err
}

// Map is a view of annotations or application properties. Keys keep their order, and may
// come twice. The zero Map is empty.
type Map struct {
	entries []byte // looked at: whole pairs, keys are text
	n       int
}

// Len returns how many entries m has.
func (m Map) Len() int { return m.n }

// Lookup returns the value of the first entry with that key, or null.
func (m Map) Lookup(key string) (v Value, ok bool) {
	for i := 0; i < len(m.entries); {
		at := end(m.entries, i)
		next := end(m.entries, at)
		if string(m.entries[content(m.entries, i):at]) == key {
			return viewAt(m.entries, at, next), true
		}
		i = next
	}
	return Value{}, false
}

// text returns the string or symbol that a key has, as a view, or nil.
func (m Map) text(key string) []byte {
	v, _ := m.Lookup(key)
	s, _ := v.Text()
	return s
}

// number returns the whole number that a key has.
func (m Map) number(key string) (n int64, ok bool) {
	v, _ := m.Lookup(key)
	return v.Int()
}

// time returns the timestamp that a key has, or the zero time.
func (m Map) time(key string) time.Time {
	v, _ := m.Lookup(key)
	return timeOf(v)
}

// timeOf returns the timestamp v, or the zero time when v is none or outside of the years
// that a message may have. What is not after 1970 is what some clients write for none.
func timeOf(v Value) time.Time {
	ms, ok := v.Timestamp()
	if !ok {
		return time.Time{}
	}
	return timeOfMilli(ms)
}

func timeOfMilli(ms int64) time.Time {
	if ms <= 0 || ms > maxTimestamp {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// The first millisecond of the year 1, and the last of 9999.
const (
	minTimestamp = -62135596800000
	maxTimestamp = 253402300799999
)

// All gives the entries in their order.
func (m Map) All() iter.Seq2[[]byte, Value] {
	return func(yield func(key []byte, v Value) bool) {
		for i, b := 0, m.entries; i < len(b); {
			at := end(b, i)
			next := end(b, at)
			if !yield(b[content(b, i):at:at], viewAt(b, at, next)) {
				return
			}
			i = next
		}
	}
}

// DeliveryAnnotations returns the section of that name.
func (m *Message) DeliveryAnnotations() Map { return m.orZero().deliveryAnnotations }

// Annotations returns the message annotations.
func (m *Message) Annotations() Map { return m.orZero().annotations }

// ApplicationProperties returns the section of that name.
func (m *Message) ApplicationProperties() Map { return m.orZero().application }

var noMessage Message

func (m *Message) orZero() *Message {
	if m == nil {
		return &noMessage
	}
	return m
}

// The properties, by their place in the section.
const (
	propMessageID = iota
	propUserID
	propTo
	propSubject
	propReplyTo
	propCorrelationID
	propContentType
	propContentEncoding
	propExpiry
	propCreation
	propGroupID
	propGroupSequence
	propReplyToGroupID
	propCount
)

// property returns a field of the section, or null.
func (m *Message) property(field int) Value {
	b, i := m.orZero().properties, 0
	for ; field > 0 && i < len(b); field-- {
		i = end(b, i)
	}
	if i >= len(b) {
		return Value{}
	}
	return viewAt(b, i, end(b, i))
}

func (m *Message) textProperty(field int) []byte {
	s, _ := m.property(field).Text()
	return s
}

// MessageID returns the message's id, of whatever type, or null.
func (m *Message) MessageID() Value { return m.property(propMessageID) }

// CorrelationID returns the correlation id, of whatever type, or null.
func (m *Message) CorrelationID() Value { return m.property(propCorrelationID) }

// UserID returns the user's id, or nil.
func (m *Message) UserID() []byte { return bytesOf(m.property(propUserID)) }

// bytesOf returns the bytes of a binary, string or symbol, as a view, or nil.
func bytesOf(v Value) []byte {
	b, ok := v.Binary()
	if !ok {
		b, _ = v.Text()
	}
	return b
}

// To returns the address that the message is for, or nil.
func (m *Message) To() []byte { return m.textProperty(propTo) }

// ReplyTo returns the address that an answer is wanted at, or nil.
func (m *Message) ReplyTo() []byte { return m.textProperty(propReplyTo) }

// ContentType returns the content type, or nil.
func (m *Message) ContentType() []byte { return m.textProperty(propContentType) }

// ContentEncoding returns the content encoding, or nil.
func (m *Message) ContentEncoding() []byte { return m.textProperty(propContentEncoding) }

// Expiry returns the absolute expiry time, or the zero time when there is none: also for a
// time that is not after 1970, which is what some clients write for none.
func (m *Message) Expiry() time.Time { return timeOf(m.property(propExpiry)) }

// Body returns what kind of body the message has.
func (m *Message) Body() BodyKind { return m.orZero().body }

// Data returns the first data section, or nil when the body is of another kind. It is not nil
// for a section of no bytes.
func (m *Message) Data() []byte {
	if m.Body() != DataBody {
		return nil
	}
	return m.data
}

// Value returns the value of a [ValueBody], or null.
func (m *Message) Value() Value {
	if m.Body() != ValueBody {
		return Value{}
	}
	return amqp10.ValueOf(m.data)
}

// Sections gives the data sections in their order: in the batch format each is a message.
func (m *Message) Sections() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if m.Body() != DataBody || !yield(m.data) {
			return
		}
		for p := (parser{b: m.more}); p.i < len(p.b); {
			if d := p.descriptor(); d != amqp10.DescData {
				p.skip()
			} else if !yield(p.binary()) {
				return
			}
		}
	}
}

// content returns the body as the bytes that a device's message has: all data sections, or the
// bytes of a value that is binary or text. It is a view unless there are several sections.
// ok is false for a body that has no bytes to give.
func (m *Message) content() (body []byte, ok bool) {
	switch m.Body() {
	case NoBody:
		return nil, true
	case DataBody:
		if len(m.more) == 0 {
			return m.data, true
		}
		for s := range m.Sections() {
			if body == nil {
				body = s // whose capacity is its length: what is appended is not a view
			} else {
				body = append(body, s...)
			}
		}
		return body, true
	case ValueBody:
		v := m.Value()
		if b, ok := v.Binary(); ok {
			return b, true
		}
		s, ok := v.Text()
		return s, ok || v.IsNull()
	}
	return nil, false
}
