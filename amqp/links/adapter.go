package links

import (
	"cmp"
	"slices"
	"sync"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// What goes over a link is mapped by package amqp, which knows bytes; go-amqp knows only messages
// that it has decoded, or is to encode. This is the way from the one to the other.

// encode returns the message that package amqp has appended, for go-amqp to send. It copies.
func encode(b []byte) (*goamqp.Message, error) {
	m := new(goamqp.Message)
	if err := m.UnmarshalBinary(b); err != nil {
		return nil, &hubwire.Error{Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: "the message cannot be encoded", Err: err}
	}
	return m, nil
}

// decode returns what f, a parse function of package amqp, makes of a message that go-amqp has
// received. f must keep no view of its argument.
//
// Types are kept, but for a symbol, which go-amqp takes for a string. It keeps maps without their order:
// application properties are in that of their names. What package amqp does not look at is left
// out: header, footer, the properties of groups, and annotations whose keys are numbers.
func decode[T any](m *goamqp.Message, f func(*amqp.Message) (T, error)) (T, error) {
	d := decoders.Get().(*decoder)
	defer d.done()
	if err := d.read(m); err != nil {
		var none T
		return none, notDecoded(err)
	}
	return f(&d.view)
}

// decoders are kept, since none of it outlives a message.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// maxKept bounds what a decoder may hold between messages.
const maxKept = 64 << 10

// decoder has the room in which a message is put together again.
type decoder struct {
	draft amqp.Draft
	bytes []byte
	view  amqp.Message
}

// done gives d back, without what it refers to.
func (d *decoder) done() {
	if cap(d.bytes) > maxKept {
		return
	}
	delivery, annotations, application := d.draft.DeliveryAnnotations, d.draft.Annotations, d.draft.ApplicationProperties
	clear(delivery)
	clear(annotations)
	clear(application)
	d.draft = amqp.Draft{DeliveryAnnotations: delivery[:0], Annotations: annotations[:0], ApplicationProperties: application[:0]}
	d.view = amqp.Message{}
	decoders.Put(d)
}

// eventOf returns the event that go-amqp has received. It is decode with [amqp.ParseEvent], which would cost
// half of what go-amqp itself takes, without the bytes in between.
func eventOf(m *goamqp.Message) (*amqp.Event, error) {
	if len(m.Data) != 1 || m.Value != nil || m.Sequence != nil {
		return decode(m, amqp.ParseEvent)
	}
	d := decoders.Get().(*decoder)
	defer d.done()
	if err := d.take(m); err != nil {
		return nil, notDecoded(err)
	}
	d.draft.Body, d.draft.Data = amqp.DataBody, m.Data[0]
	return amqp.EventOf(&d.draft)
}

func notDecoded(err error) error {
	return &hubwire.Error{Code: hubwire.DeserializationError, Outcome: hubwire.Refused, Err: err}
}

// read sets the view to what m says.
func (d *decoder) read(m *goamqp.Message) (err error) {
	if err = d.take(m); err != nil {
		return err
	}
	if err = d.body(m); err != nil {
		return err
	}
	d.view, err = amqp.ParseMessage(d.bytes)
	return err
}

// take sets the draft to what m says but for its body.
func (d *decoder) take(m *goamqp.Message) (err error) {
	if d.draft.DeliveryAnnotations, err = annotations(d.draft.DeliveryAnnotations, m.DeliveryAnnotations); err != nil {
		return err
	}
	if d.draft.Annotations, err = annotations(d.draft.Annotations, m.Annotations); err != nil {
		return err
	}
	if err = d.properties(m.Properties); err != nil {
		return err
	}
	for key, v := range m.ApplicationProperties {
		if err = add(&d.draft.ApplicationProperties, key, v); err != nil {
			return err
		}
	}
	slices.SortFunc(d.draft.ApplicationProperties, func(a, b amqp.Pair) int { return cmp.Compare(a.Key, b.Key) })
	return nil
}

// body writes the message with its body. All of that but one data section is rare, and written by
// go-amqp itself.
func (d *decoder) body(m *goamqp.Message) error {
	rest := goamqp.Message{Value: m.Value, Sequence: m.Sequence}
	if len(m.Data) > 0 {
		d.draft.Body, d.draft.Data = amqp.DataBody, m.Data[0]
		rest.Data = m.Data[1:]
	}
	d.bytes = amqp.AppendMessage(d.bytes[:0], &d.draft)
	if len(rest.Data) == 0 && rest.Value == nil && rest.Sequence == nil {
		return nil
	}
	b, err := rest.MarshalBinary()
	d.bytes = append(d.bytes, b...)
	return err
}

// properties sets the section of that name.
func (d *decoder) properties(p *goamqp.MessageProperties) (err error) {
	if p == nil {
		return nil
	}
	to := &d.draft.Properties
	if to.MessageID, err = typed(p.MessageID); err != nil {
		return err
	}
	if to.CorrelationID, err = typed(p.CorrelationID); err != nil {
		return err
	}
	to.UserID = string(p.UserID)
	to.To, to.Subject, to.ReplyTo = deref(p.To), deref(p.Subject), deref(p.ReplyTo)
	to.ContentType, to.ContentEncoding = deref(p.ContentType), deref(p.ContentEncoding)
	to.Expiry, to.Creation = deref(p.AbsoluteExpiryTime), deref(p.CreationTime)
	return nil
}

// deref returns what p points to, or the zero value.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// annotations adds the entries of a to dst.
func annotations(dst []amqp.Pair, a goamqp.Annotations) ([]amqp.Pair, error) {
	for key, v := range a {
		if key, ok := key.(string); ok {
			if err := add(&dst, key, v); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

func add(pairs *[]amqp.Pair, key string, v any) error {
	t, err := typed(v)
	*pairs = append(*pairs, amqp.Pair{Key: key, Value: t})
	return err
}

// typed returns v, which go-amqp has decoded, with its type.
func typed(v any) (amqp.Typed, error) {
	switch v := v.(type) {
	case nil:
		return amqp.Typed{}, nil
	case string:
		return amqp.String(v), nil
	case bool:
		return amqp.Bool(v), nil
	case uint8:
		return amqp.Ubyte(v), nil
	case uint32:
		return amqp.Uint(v), nil
	case uint64:
		return amqp.Ulong(v), nil
	case int32:
		return amqp.Int(v), nil
	case int64:
		return amqp.Long(v), nil
	case time.Time:
		return amqp.Timestamp(v), nil
	case []byte:
		return amqp.Binary(v), nil
	case goamqp.UUID:
		return amqp.ID(amqp.UUID(v)), nil
	}
	return typedOther(v)
}

// typedOther has go-amqp encode what package amqp has no name for: other numbers, lists, maps and arrays.
func typedOther(v any) (amqp.Typed, error) {
	const descriptor = 3 // bytes that stand before the value of a body
	b, err := (&goamqp.Message{Value: v}).MarshalBinary()
	if err != nil {
		return amqp.Typed{}, err
	}
	return amqp.Echo(amqp10.ValueOf(b[descriptor:])), nil
}
