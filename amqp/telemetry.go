package amqp

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

func orZero[T any](v *T) *T {
	if v == nil {
		return new(T)
	}
	return v
}

// AppendTelemetry appends the message that a device or module sends m with, to its node
// [Telemetry]:
//
//	message-annotations      iothub-interface-id, dt-subject, Diagnostic-Id, Correlation-Context
//	properties               message-id, user-id, to, correlation-id, content-type,
//	                         content-encoding, absolute-expiry-time
//	application-properties   iothub-creation-time-utc, iothub-message-schema, iothub-outputname,
//	                         iothub-ack, and m.Properties in their order
//	data                     m.Body
//
// What is not set is left out. m must have passed [hubwire.Message.CheckTelemetry]. A nil m
// is the zero Message. It allocates only to grow dst.
//
// Source: spec/amqp.md 4.6.
func AppendTelemetry(dst []byte, m *hubwire.Message) []byte {
	m = orZero(m)
	e := openSection(dst, amqp10.DescMessageAnnotations)
	e.deviceAnnotations(m)
	return appendRest(e.close(), m, nil)
}

// AppendToBatch appends m to a message of the batch format, which is nothing else than what
// this appends. See [BatchFormat].
func AppendToBatch(dst []byte, m *hubwire.Message) []byte {
	dst = amqp10.AppendDescriptor(dst, amqp10.DescData)
	at := len(dst)
	dst = AppendTelemetry(append(dst, amqp10.CodeBinary8, 0), m)
	size := len(dst) - at - 2
	if size <= math.MaxUint8 {
		dst[at+1] = byte(size)
		return dst
	}
	dst = append(dst, 0, 0, 0)
	copy(dst[at+5:], dst[at+2:])
	dst[at] = amqp10.CodeBinary32
	binary.BigEndian.PutUint32(dst[at+1:], uint32(size))
	return dst
}

// ParseTelemetry sets r to the message that m is, as a device sent it.
//
// r.Body is a view of m, if m has one data section; several are put together, and the bytes of a
// value that is text or binary will do. All else is copied, into one string. Ids and
// application properties that are not text become text, and their type is lost:
//
//	whole numbers in decimal, booleans as true or false, a uuid as its 36 characters,
//	a timestamp as 2006-01-02T15:04:05.0000000Z, a float as the shortest decimal,
//	binary as it is when it is UTF-8, else in base64, null as nothing
//
// Of a system property that comes twice the last counts. An expiry that is not after
// 1970 is none; what is no time stands in Properties as "$.ctime" or "$.exp". All other
// annotations are dropped, those among them that say who sends: that is for the hub to
// know. Whether the hub takes the message [hubwire.Message.CheckTelemetry] tells.
//
// The error is a [*hubwire.Error] with code [hubwire.FormatError], for a body that has no
// bytes, or [hubwire.ArgumentInvalid], for an application property that is a list or map.
// A nil m is the zero Message. A nil r is an error of code ArgumentInvalid.
func ParseTelemetry(m *Message, r *hubwire.Message) error {
	if r == nil {
		return noResult("send")
	}
	if err := parseInto("send", m.orZero(), r); err != nil {
		return err
	}
	return nil
}

func noResult(op string) error {
	return refused(op, hubwire.ArgumentInvalid, "there is nothing to parse into")
}

// MaxBatch is how many messages of a batch are read. The service's limit is one of bytes, below
// which nobody has more; here it bounds what a peer can make of empty ones.
const MaxBatch = 10_000

// AppendBatch appends to ms the messages of m, whose transfer has the format [BatchFormat], each
// as [ParseTelemetry] reads it. An error is about the first that is broken, names its place,
// and is that of ParseTelemetry or has the code [hubwire.DeserializationError]; ms is then
// returned as it was. So is it for a batch without any message, with the code
// [hubwire.ArgumentInvalid], and for one of more than [MaxBatch], with
// [hubwire.MessageTooLarge]. Nothing that is in the messages of a batch is a batch again.
func AppendBatch(ms []hubwire.Message, m *Message) ([]hubwire.Message, error) {
	const op = "send batch"
	all := ms
	for section := range m.Sections() {
		n := len(all) - len(ms)
		if n == MaxBatch {
			return ms, refused(op, hubwire.MessageTooLarge, "the batch has more than %d messages", n)
		}
		inner, err := ParseMessage(section)
		if err != nil {
			return ms, refused(op, hubwire.DeserializationError, "message %d of the batch: %v", n, err)
		}
		all = append(all, hubwire.Message{})
		if err := parseInto(op, &inner, &all[len(all)-1]); err != nil {
			err.Message = fmt.Sprintf("message %d of the batch: %s", n, err.Message)
			return ms, err
		}
	}
	if len(all) == len(ms) {
		return ms, refused(op, hubwire.ArgumentInvalid, "a batch has data sections, one for each message, and this has none")
	}
	return all, nil
}
