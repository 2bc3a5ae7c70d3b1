package amqp

import (
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// Draft is a message to be written (part 3 section 3.2), for [AppendMessage]. The zero Draft
// is a message of no sections. It has no header, of which IoT Hub and its SDKs write none.
type Draft struct {
	DeliveryAnnotations   []Pair // keys are symbols
	Annotations           []Pair // of the message; keys are symbols
	Properties            Properties
	ApplicationProperties []Pair             // keys are strings
	Text                  []hubwire.Property // more application properties, whose values are strings

	Body  BodyKind
	Data  []byte // of DataBody: one section, empty for nil
	Value Typed  // of ValueBody
}

// Pair is a key with its value, in a map.
type Pair struct {
	Key   string
	Value Typed
}

// BodyKind is what the body of a message is made of.
type BodyKind uint8

// The kinds of bodies. Part 3 wants one of the last three; IoT Hub and the SDKs also send none.
const (
	NoBody       BodyKind = iota
	DataBody              // binary
	ValueBody             // one value
	SequenceBody          // lists; IoT Hub has no use for them
)

// Properties are what part 3 section 3.2.4 has of them, but for those of groups, which
// IoT Hub does not use. An empty text or zero time means absent.
type Properties struct {
	MessageID       Typed // string, uuid, ulong or binary
	UserID          string
	To              string
	Subject         string
	ReplyTo         string
	CorrelationID   Typed // as MessageID
	ContentType     string
	ContentEncoding string
	Expiry          time.Time // absolute-expiry-time
	Creation        time.Time // creation-time
}

// AppendMessage appends the message that d describes, in sections of rising code and each value
// in its smallest form. Sections that would be empty are left out. A nil d is the zero
// Draft. It allocates only to grow dst.
func AppendMessage(dst []byte, d *Draft) []byte {
	if d == nil {
		return dst
	}
	if len(d.DeliveryAnnotations) > 0 {
		dst = amqp10.AppendDescriptor(dst, amqp10.DescDeliveryAnnotations)
		dst = appendMap(dst, amqp10.CodeSymbol8, d.DeliveryAnnotations)
	}
	if len(d.Annotations) > 0 {
		dst = amqp10.AppendDescriptor(dst, amqp10.DescMessageAnnotations)
		dst = appendMap(dst, amqp10.CodeSymbol8, d.Annotations)
	}
	dst = d.Properties.append(dst)
	if len(d.ApplicationProperties)+len(d.Text) > 0 {
		dst = amqp10.AppendDescriptor(dst, amqp10.DescApplicationProperties)
		dst = appendApplicationProperties(dst, d.ApplicationProperties, d.Text)
	}
	switch d.Body {
	case DataBody:
		dst = AppendData(dst, d.Data)
	case ValueBody:
		dst = amqp10.AppendDescriptor(dst, amqp10.DescValue)
		dst = d.Value.AppendTo(dst)
	}
	return dst
}

// AppendData appends a data section. A message in the batch format is nothing but such
// sections, each a whole message; see [BatchFormat].
func AppendData(dst, data []byte) []byte {
	return amqp10.AppendBinary(amqp10.AppendDescriptor(dst, amqp10.DescData), data)
}

// appendMap appends a map whose keys are strings or symbols.
func appendMap(dst []byte, key byte, pairs []Pair) []byte {
	at := len(dst)
	dst = amqp10.OpenCompound(dst)
	for i := range pairs {
		dst = appendPair(dst, key, &pairs[i])
	}
	return amqp10.CloseMap(dst, at, 2*len(pairs))
}

func appendPair(dst []byte, key byte, p *Pair) []byte {
	if key == amqp10.CodeSymbol8 {
		dst = amqp10.AppendSymbol(dst, p.Key)
	} else {
		dst = amqp10.AppendString(dst, p.Key)
	}
	return p.Value.AppendTo(dst)
}

func appendApplicationProperties(dst []byte, pairs []Pair, text []hubwire.Property) []byte {
	at := len(dst)
	dst = amqp10.OpenCompound(dst)
	for i := range pairs {
		dst = appendPair(dst, amqp10.CodeString8, &pairs[i])
	}
	for i := range text {
		dst = amqp10.AppendString(dst, text[i].Name)
		dst = amqp10.AppendString(dst, text[i].Value)
	}
	return amqp10.CloseMap(dst, at, 2*(len(pairs)+len(text)))
}

// append appends the section, or nothing when there is nothing in it.
func (p *Properties) append(dst []byte) []byte {
	start := len(dst)
	dst = amqp10.AppendDescriptor(dst, amqp10.DescProperties)
	at := len(dst)
	l := fields{dst: amqp10.OpenCompound(dst)}
	l.typed(&p.MessageID)
	l.sized(amqp10.CodeBinary8, p.UserID)
	l.sized(amqp10.CodeString8, p.To)
	l.sized(amqp10.CodeString8, p.Subject)
	l.sized(amqp10.CodeString8, p.ReplyTo)
	l.typed(&p.CorrelationID)
	l.sized(amqp10.CodeSymbol8, p.ContentType)
	l.sized(amqp10.CodeSymbol8, p.ContentEncoding)
	l.time(p.Expiry)
	l.time(p.Creation)
	if l.n == 0 {
		return dst[:start]
	}
	return amqp10.CloseList(l.dst, at, l.n)
}

// fields appends the fields of a list. Nulls are held back until another field follows.
type fields struct {
	dst      []byte
	n, nulls int
}

func (f *fields) next() []byte {
	for ; f.nulls > 0; f.nulls-- {
		f.dst = amqp10.AppendNull(f.dst)
		f.n++
	}
	f.n++
	return f.dst
}

func (f *fields) typed(t *Typed) {
	if t.IsNull() {
		f.nulls++
	} else {
		f.dst = t.AppendTo(f.next())
	}
}

func (f *fields) sized(code byte, s string) {
	switch {
	case s == "":
		f.nulls++
	case code == amqp10.CodeBinary8:
		f.dst = amqp10.AppendBinary(f.next(), s)
	case code == amqp10.CodeSymbol8:
		f.dst = amqp10.AppendSymbol(f.next(), s)
	default:
		f.dst = amqp10.AppendString(f.next(), s)
	}
}

func (f *fields) time(t time.Time) {
	if t.IsZero() {
		f.nulls++
	} else {
		f.dst = amqp10.AppendTimestamp(f.next(), t.UnixMilli())
	}
}
