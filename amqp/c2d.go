package amqp

import (
	"bytes"
	"math"

	"github.com/hubwire/hubwire"
)

// AppendSend appends the message that a service sends m to the device or module id with, over
// a link to [C2DSend]. It is that of [AppendTelemetry], whose property "to" is where it is for:
// if m.To is empty,
//
//	/devices/{device}[/modules/{module}]/messages/devicebound
//
// and m.To else, which must be such an address then. m must have passed
// [hubwire.Message.CheckC2D]. It allocates only to grow dst, and for an id that must be escaped.
//
// Source: spec/amqp.md 5.1.
func AppendSend(dst []byte, id hubwire.Identity, m *hubwire.Message) []byte {
	var s system
	d := s.draft(orZero(m))
	if d.Properties.To == "" {
		d.Properties.To = Address{Node: C2D, Identity: id}.String()
	}
	return AppendMessage(dst, &d)
}

// ParseSend sets r to the message that a service sends with m, as [ParseTelemetry] does, and
// returns who it is for. r.To is what the service wrote. The error is a [*hubwire.Error]: one
// of ParseTelemetry, or that of [ParseDestination].
func ParseSend(m *Message, r *hubwire.Message) (hubwire.Identity, error) {
	const op = "send"
	if r == nil {
		return hubwire.Identity{}, noResult(op)
	}
	if err := parseInto(op, m.orZero(), r); err != nil {
		return hubwire.Identity{}, err
	}
	return ParseDestination(r.To)
}

// AppendC2D appends the message that r reaches the device or module id with, over a link to
// [C2D], or to [Input] when r.Input is set:
//
//	message-annotations      x-opt-input-name, iothub-connection-device-id, -module-id,
//	                         iothub-enqueuedtime, iothub-deliverycount, x-opt-lock-token,
//	                         x-opt-sequence-number, and those of [AppendTelemetry]
//	properties and the rest  as AppendTelemetry has them
//
// What is not set is left out, and iothub-deliverycount when the time is. If r.To is empty,
// "to" is the address of the link, but for an input. The transfer that carries it must have
// the delivery tag that [UUID.AppendTag] makes of r.LockToken.
//
// Source: spec/amqp.md 4.4 and 4.8.
func AppendC2D(dst []byte, id hubwire.Identity, r *hubwire.Received) []byte {
	r = orZero(r)
	var s system
	d := s.draft(&r.Message)
	a := s.annotations[:0]
	a = appendTextPair(a, KeyInputName, r.Input)
	a = appendTextPair(a, KeyDeviceID, r.Source.DeviceID)
	a = appendTextPair(a, KeyModuleID, r.Source.ModuleID)
	if !r.EnqueuedTime.IsZero() {
		count := uint8(min(max(r.DeliveryCount, 0), math.MaxUint8))
		a = append(a, Pair{KeyEnqueuedTime, Timestamp(r.EnqueuedTime)}, Pair{KeyDeliveryCount, Ubyte(count)})
	}
	a = appendTextPair(a, KeyLockToken, r.LockToken)
	if r.SequenceNumber != 0 {
		a = append(a, Pair{KeySequenceNumber, Ulong(uint64(r.SequenceNumber))})
	}
	d.Annotations = s.deviceAnnotations(a, &r.Message)
	if d.Properties.To == "" && r.Input == "" {
		d.Properties.To = Address{Node: C2D, Identity: id}.String()
	}
	return AppendMessage(dst, &d)
}

// ParseC2D sets r to the message that a device or module got in a transfer with this delivery
// tag, or that came to an input of a module. It sets the message as [ParseTelemetry] does,
// but copies the body too, and what the hub adds to it. The lock token is that of
// a tag of 16 bytes, else that of the annotation. It leaves alone how r is settled.
// Errors are those of ParseTelemetry.
func ParseC2D(m *Message, tag []byte, r *hubwire.Received) error {
	const op = "receive"
	if r == nil {
		return noResult(op)
	}
	m = m.orZero()
	if err := parseInto(op, m, &r.Message); err != nil {
		return err
	}
	r.Body = bytes.Clone(r.Body)
	a := m.annotations
	r.Input = string(a.text(KeyInputName))
	r.Source = hubwire.Identity{DeviceID: string(a.text(KeyDeviceID)), ModuleID: string(a.text(KeyModuleID))}
	r.EnqueuedTime = a.time(KeyEnqueuedTime)
	r.SequenceNumber, _ = a.number(KeySequenceNumber)
	count, _ := a.number(KeyDeliveryCount)
	r.DeliveryCount = int(min(max(count, 0), math.MaxInt32))
	r.LockToken = string(a.text(KeyLockToken))
	if u, ok := ParseTag(tag); ok {
		r.LockToken = u.String()
	}
	return nil
}
