package amqp

import (
	"bytes"
	"math"

	"github.com/hubwire/hubwire"
)

// AppendMethodRequest appends the message that calls a direct method, over a link to
// [MethodRequests]: the call's id in correlation-id, the name in the application property
// IoThub-methodname, and the payload in a data section, which is there also when it is
// empty. It allocates only to grow dst.
//
// Source: spec/amqp.md 4.5.
func AppendMethodRequest(dst []byte, id UUID, r *hubwire.MethodRequest) []byte {
	r = orZero(r)
	name := [...]Pair{{NameMethod, String(r.Name)}}
	return AppendMessage(dst, &Draft{
		Properties:            Properties{CorrelationID: ID(id)},
		ApplicationProperties: name[:],
		Body:                  DataBody,
		Data:                  r.Payload,
	})
}

// ParseMethodRequest returns the call that m makes, and its id. The request owns its bytes. The
// error is a [*hubwire.Error] with code [hubwire.FormatError]: there is no id, no name or no
// data.
func ParseMethodRequest(m *Message) (id UUID, r hubwire.MethodRequest, err error) {
	const op = "method"
	if id, err = m.callID(op); err != nil {
		return UUID{}, r, err
	}
	name := m.ApplicationProperties().text(NameMethod)
	if len(name) == 0 {
		return UUID{}, r, refused(op, hubwire.FormatError, "the request has no property %s", NameMethod)
	}
	payload, ok := m.orZero().content()
	if !ok {
		return UUID{}, r, refused(op, hubwire.FormatError, "the body of the request is not data")
	}
	return id, hubwire.MethodRequest{Name: string(name), Payload: bytes.Clone(payload)}, nil
}

// AppendMethodResponse appends the message that answers the call id, over a link to
// [MethodResponses]: its status is in the application property IoThub-status, the payload in
// a data section. It allocates only to grow dst.
func AppendMethodResponse(dst []byte, id UUID, r *hubwire.MethodResponse) []byte {
	r = orZero(r)
	pair := [...]Pair{{NameMethodStatus, Int(toInt32(r.Status))}}
	return AppendMessage(dst, &Draft{
		Properties:            Properties{CorrelationID: ID(id)},
		ApplicationProperties: pair[:],
		Body:                  DataBody,
		Data:                  r.Payload,
	})
}

// ParseMethodResponse returns the answer that m is, and the id of its call. The response owns its
// bytes. The error is a [*hubwire.Error] with code [hubwire.FormatError]: there is no id, no
// status that is a whole number, or the body is not data.
func ParseMethodResponse(m *Message) (id UUID, r hubwire.MethodResponse, err error) {
	const op = "method response"
	if id, err = m.callID(op); err != nil {
		return UUID{}, r, err
	}
	status, ok := m.ApplicationProperties().number(NameMethodStatus)
	if !ok || status != int64(int32(status)) {
		return UUID{}, r, refused(op, hubwire.FormatError, "the response has no property %s that is an int", NameMethodStatus)
	}
	payload, ok := m.orZero().content()
	if !ok {
		return UUID{}, r, refused(op, hubwire.FormatError, "the body of the response is not data")
	}
	return id, hubwire.MethodResponse{Status: int(status), Payload: bytes.Clone(payload)}, nil
}

// callID returns the id of a direct method's call: a uuid, or the 36 characters or 16 bytes of one
// (observed: the Node SDK answers with a string what its library does not take for a uuid).
func (m *Message) callID(op string) (UUID, error) {
	v := m.CorrelationID()
	if u, ok := v.UUID(); ok {
		return u, nil
	}
	if s, ok := v.Text(); ok {
		if u, ok := ParseUUID(s); ok {
			return u, nil
		}
	}
	if b, ok := v.Binary(); ok && len(b) == len(UUID{}) {
		return UUID(b), nil
	}
	return UUID{}, refused(op, hubwire.FormatError, "the correlation id is no uuid but a %v", v.Kind())
}

// toInt32 returns the int32 that is the nearest to n.
func toInt32(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }
