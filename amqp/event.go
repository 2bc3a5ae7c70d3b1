package amqp

import (
	"bytes"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// Event is what a service reads from a [Partition]: a message of a device, or one that the hub
// itself made. Of Received, Source, SequenceNumber and EnqueuedTime are what they
// say; Input, DeliveryCount and LockToken are not used.
type Event struct {
	*hubwire.Received // nil is the zero Received

	// Partition is the id of the one that the event is in. It is not in the message: whose
	// link it came over knows it.
	Partition string

	Offset       string    // x-opt-offset; opaque
	StoredTime   time.Time // x-opt-enqueued-time; the zero time stands for EnqueuedTime
	PartitionKey string    // x-opt-partition-key; IoT Hub sets none

	AuthMethod    string      // a JSON object
	GenerationID  string      // of the identity
	MessageSource EventSource // iothub-message-source: what made the event
	ModelID       string      // dt-dataschema

	Metric *PartitionMetric // nil unless the reader asked for it: see [RuntimeMetric]
}

// EventSource says what an event tells of: iothub-message-source.
type EventSource string

// The sources of events. Of all but telemetry the body is JSON, and Source is who the event is about.
// Source: spec/amqp.md 5.4; IoT Hub developer guide, "Use IoT Hub message routing".
const (
	SourceTelemetry          EventSource = "Telemetry"
	SourceTwinChanges        EventSource = "twinChangeEvents"
	SourceLifecycles         EventSource = "deviceLifecycleEvents" // of devices and modules
	SourceConnectionStates   EventSource = "deviceConnectionStateEvents"
	SourceDigitalTwinChanges EventSource = "digitalTwinChangeEvents"
	SourceJobLifecycles      EventSource = "deviceJobLifecycleEvents"
)

// PartitionMetric is what a partition holds at the moment, for a reader that wants it with each
// event.
type PartitionMetric struct {
	LastSequence int64     // the sequence number of the newest event
	LastOffset   string    // of the newest event
	LastTime     time.Time // when the newest event came
	Retrieved    time.Time // when this was found out
}

// AppendEvent appends the message of e:
//
//	delivery-annotations   those of e.Metric
//	message-annotations    iothub-connection-device-id, -module-id, -auth-method, -auth-generation-id,
//	                       iothub-enqueuedtime, iothub-message-source, dt-dataschema, those of
//	                       [AppendTelemetry], x-opt-sequence-number, x-opt-offset,
//	                       x-opt-enqueued-time, x-opt-partition-key
//	the rest               as AppendTelemetry has it
//
// What is not set is left out, but for x-opt-sequence-number (a long), x-opt-offset and
// x-opt-enqueued-time, without which it is no event to its readers. A nil e is the zero Event.
// It allocates only to grow dst.
//
// Source: spec/amqp.md 6.4.
func AppendEvent(dst []byte, e *Event) []byte {
	e = orZero(e)
	r := orZero(e.Received)
	if e.Metric != nil {
		dst = e.Metric.append(dst)
	}
	a := openSection(dst, amqp10.DescMessageAnnotations)
	a.text(KeyDeviceID, r.Source.DeviceID)
	a.text(KeyModuleID, r.Source.ModuleID)
	a.text(KeyAuthMethod, e.AuthMethod)
	a.text(KeyGenerationID, e.GenerationID)
	a.time(KeyEnqueuedTime, r.EnqueuedTime)
	a.text(KeyMessageSource, string(e.MessageSource))
	a.text(KeyModelID, e.ModelID)
	a.deviceAnnotations(&r.Message)
	a.long(KeySequenceNumber, r.SequenceNumber)
	a.dst = amqp10.AppendString(a.key(KeyOffset), e.Offset)
	stored := e.StoredTime
	if stored.IsZero() {
		stored = r.EnqueuedTime
	}
	a.dst = amqp10.AppendTimestamp(a.key(KeyStoredTime), stored.UnixMilli())
	a.text(KeyPartitionKey, e.PartitionKey)
	return appendRest(a.close(), &r.Message, nil)
}

// append appends the delivery annotations.
func (m *PartitionMetric) append(dst []byte) []byte {
	a := openSection(dst, amqp10.DescDeliveryAnnotations)
	a.long(keyLastSequence, m.LastSequence)
	a.dst = amqp10.AppendString(a.key(keyLastOffset), m.LastOffset)
	a.dst = amqp10.AppendTimestamp(a.key(keyLastTime), m.LastTime.UnixMilli())
	a.dst = amqp10.AppendTimestamp(a.key(keyRetrieved), m.Retrieved.UnixMilli())
	return a.close()
}

const opReadEvents = "read events"

// ParseEvent returns the event that m is. It sets the message as [ParseTelemetry] does, but
// copies the body too. Errors are those of ParseTelemetry.
func ParseEvent(m *Message) (*Event, error) {
	m = m.orZero()
	var both struct { // which are for the same time
		Event
		received hubwire.Received
	}
	e := &both.Event
	e.Received = &both.received
	var t texts
	if err := t.message(opReadEvents, m, &e.Received.Message); err != nil {
		return nil, err
	}
	e.Received.Body = bytes.Clone(e.Received.Body)
	for key, v := range m.annotations.All() {
		e.annotation(key, v, &t)
	}
	if d := m.deliveryAnnotations; d.Len() > 0 {
		if last, ok := d.number(keyLastSequence); ok {
			e.Metric = &PartitionMetric{last, string(d.text(keyLastOffset)), d.time(keyLastTime), d.time(keyRetrieved)}
		}
	}
	return e, nil
}

// annotation sets what a message annotation says.
func (e *Event) annotation(key []byte, v Value, t *texts) {
	if field := eventField(e, key); field != nil {
		s, _ := v.Text()
		*field = t.add(s)
		return
	}
	switch string(key) {
	case KeySequenceNumber:
		e.Received.SequenceNumber, _ = v.Int()
	case KeyEnqueuedTime:
		e.Received.EnqueuedTime = timeOf(v)
	case KeyStoredTime:
		e.StoredTime = timeOf(v)
	default:
		t.annotation(key, v, &e.Received.Message)
	}
}

// eventField returns the field of e that an annotation is for, or nil if that is none of text.
func eventField[T ~string | ~[]byte](e *Event, key T) *string {
	switch string(key) {
	case KeyDeviceID:
		return &e.Received.Source.DeviceID
	case KeyModuleID:
		return &e.Received.Source.ModuleID
	case KeyAuthMethod:
		return &e.AuthMethod
	case KeyGenerationID:
		return &e.GenerationID
	case KeyMessageSource:
		return (*string)(&e.MessageSource)
	case KeyModelID:
		return &e.ModelID
	case KeyOffset:
		return &e.Offset
	case KeyPartitionKey:
		return &e.PartitionKey
	}
	return nil
}
