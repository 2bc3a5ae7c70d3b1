package amqp

import (
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// Draft is a message to be written (part 3 section 3.2), for [AppendMessage]. The zero Draft
// is a message of no sections. It has no header, of which IoT Hub and its SDKs write none.
type Draft struct {
	DeliveryAnnotations   []Pair             // keys are symbols
	Annotations           []Pair             // of the message; keys are symbols
	Properties            Properties         // part 3 section 3.2.4
	ApplicationProperties []Pair             // keys are strings
	Text                  []hubwire.Property // more application properties, whose values are strings

	Body  BodyKind // which of the two that follow is written; NoBody for none
	Data  []byte   // of DataBody: one section, empty for nil
	Value Typed    // of ValueBody
}

// Pair is a key with its value, in a map.
type Pair struct {
	Key   string // a string or a symbol, as the map has it
	Value Typed  // of any type; what is null is written as null
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
	MessageID       Typed     // string, uuid, ulong or binary
	UserID          string    // user-id, binary on the wire
	To              string    // the address that the message is for
	Subject         string    // what it is about; IoT Hub makes nothing of it
	ReplyTo         string    // the address for the answer
	CorrelationID   Typed     // as MessageID
	ContentType     string    // a symbol: "application/json"
	ContentEncoding string    // a symbol: "utf-8"
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
		dst = appendSection(dst, amqp10.DescDeliveryAnnotations, d.DeliveryAnnotations, nil)
	}
	if len(d.Annotations) > 0 {
		dst = appendSection(dst, amqp10.DescMessageAnnotations, d.Annotations, nil)
	}
	dst = d.Properties.append(dst, nil)
	if len(d.ApplicationProperties)+len(d.Text) > 0 {
		dst = appendSection(dst, amqp10.DescApplicationProperties, d.ApplicationProperties, d.Text)
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
func AppendData(dst, data []byte) []byte { return amqp10.AppendData(dst, data) }

// append appends the section, or nothing when there is nothing in it. to stands for a p.To that is
// empty.
func (p *Properties) append(dst, to []byte) []byte {
	n := p.count(len(to) > 0)
	if n == 0 {
		return dst
	}
	at := len(dst) + descriptorSize
	dst = openAt(dst, amqp10.DescProperties)
	dst = p.MessageID.AppendTo(dst)
	if len(p.UserID)+len(p.To)+len(to)+len(p.Subject)+len(p.ReplyTo) == 0 { // as is usual
		dst = append(dst, amqp10.CodeNull, amqp10.CodeNull, amqp10.CodeNull, amqp10.CodeNull)
	} else {
		dst = p.appendAddresses(dst, to)
	}
	dst = p.CorrelationID.AppendTo(dst)
	dst = appendOrNull(dst, amqp10.CodeSymbol8, p.ContentType)
	dst = appendOrNull(dst, amqp10.CodeSymbol8, p.ContentEncoding)
	last := propContentEncoding
	if n > propExpiry {
		dst = appendTime(appendTime(dst, p.Expiry), p.Creation)
		last = propCreation
	}
	dst = dst[:len(dst)-(last+1-n)] // the nulls behind the last field, of a byte each
	return amqp10.CloseList(dst, at, n)
}

// appendAddresses appends the fields between the two ids.
func (p *Properties) appendAddresses(dst, to []byte) []byte {
	dst = appendOrNull(dst, amqp10.CodeBinary8, p.UserID)
	if p.To == "" && len(to) > 0 {
		dst = amqp10.AppendString(dst, to)
	} else {
		dst = appendOrNull(dst, amqp10.CodeString8, p.To)
	}
	dst = appendOrNull(dst, amqp10.CodeString8, p.Subject)
	return appendOrNull(dst, amqp10.CodeString8, p.ReplyTo)
}

// count returns how many fields there are, up to the last that is not null.
func (p *Properties) count(to bool) int {
	switch {
	case !p.Creation.IsZero():
		return propCreation + 1
	case !p.Expiry.IsZero():
		return propExpiry + 1
	case p.ContentEncoding != "":
		return propContentEncoding + 1
	case p.ContentType != "":
		return propContentType + 1
	case !p.CorrelationID.IsNull():
		return propCorrelationID + 1
	case p.ReplyTo != "":
		return propReplyTo + 1
	case p.Subject != "":
		return propSubject + 1
	case to || p.To != "":
		return propTo + 1
	case p.UserID != "":
		return propUserID + 1
	case !p.MessageID.IsNull():
		return propMessageID + 1
	}
	return 0
}
