package amqp

import (
	"bytes"
	"math"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// AppendSend appends the message that a service sends m to the device or module id with, over
// a link to [C2DSend]. It is that of [AppendTelemetry], whose property "to" is where it is for:
// if m.To is empty,
//
//	/devices/{device}[/modules/{module}]/messages/devicebound
//
// and m.To else, which must be such an address then. m must have passed
// [hubwire.Message.CheckC2D]. It allocates only to grow dst.
//
// Source: spec/amqp.md 5.1.
func AppendSend(dst []byte, id hubwire.Identity, m *hubwire.Message) []byte {
	m = orZero(m)
	e := openSection(dst, amqp10.DescMessageAnnotations)
	e.deviceAnnotations(m)
	var room [addressRoom]byte
	return appendRest(e.close(), m, Address{Node: C2D, Identity: id}.AppendTo(room[:0]))
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
	e := openSection(dst, amqp10.DescMessageAnnotations)
	e.text(KeyInputName, r.Input)
	e.text(KeyDeviceID, r.Source.DeviceID)
	e.text(KeyModuleID, r.Source.ModuleID)
	if !r.EnqueuedTime.IsZero() {
		e.time(KeyEnqueuedTime, r.EnqueuedTime)
		e.ubyte(KeyDeliveryCount, uint8(min(max(r.DeliveryCount, 0), math.MaxUint8)))
	}
	e.text(KeyLockToken, r.LockToken)
	if r.SequenceNumber != 0 {
		e.ulong(KeySequenceNumber, uint64(r.SequenceNumber))
	}
	e.deviceAnnotations(&r.Message)
	if r.Input != "" {
		return appendRest(e.close(), &r.Message, nil)
	}
	var room [addressRoom]byte
	return appendRest(e.close(), &r.Message, Address{Node: C2D, Identity: id}.AppendTo(room[:0]))
}

// addressRoom takes the address of any legal identity, but for one of many escapes.
const addressRoom = 512

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
