package core

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Telemetry goes to the log that the built-in, Event Hubs-compatible endpoint
// reads: partitioned by device id, bounded, oldest first out. Left out:
// routing to other endpoints, and a retention by time.

// SourceTelemetry is the message source of what devices send.
const SourceTelemetry = "Telemetry"

// keepRecord is the largest buffer that is kept to encode another event in.
const keepRecord = 16 << 10

// eventStamp is what the hub adds to each event of a session, in the form of its
// record, and the partition that they go to.
type eventStamp struct {
	partition int
	head      []byte
}

func (c *Core) newStamp(e *entity, g *Grant, modelID string) eventStamp {
	b := []byte{recordFormat}
	for _, s := range [...]string{e.id.DeviceID, e.id.ModuleID, e.dev.GenerationID, g.method, SourceTelemetry, modelID} {
		b = appendString(b, s)
	}
	return eventStamp{c.partitionOf(e.id.DeviceID), b}
}

// Telemetry takes a message from the device and returns when it is in the
// log. It keeps nothing of m, which may be a view of a read buffer. Codes:
// MessageTooLarge, ArgumentInvalid.
func (s *Session) Telemetry(ctx context.Context, m *hubwire.Message) error {
	const op = "send"
	if why := s.over.Load(); why != nil {
		return ended(op, why)
	}
	now := time.Now()
	s.entity.touched(now)
	return s.entity.core.appendEvent(ctx, op, &s.stamp, now, m)
}

// Will takes the message that speaks for a device whose connection has ended
// without a good-bye. It is stamped as the session's own telemetry, and like that
// when the session is over; but not when its identity is gone (code DeviceNotFound or
// ModuleNotFound), even if the same id was registered again.
func (s *Session) Will(ctx context.Context, m *hubwire.Message) error {
	const op = "will"
	e := s.entity
	e.mu.Lock()
	deleted := e.deleted
	e.unlock()
	if deleted {
		return notFound(op, e.id)
	}
	return e.core.appendEvent(ctx, op, &s.stamp, time.Now(), m)
}

// Telemetry is [Session.Telemetry] without a session, as HTTPS does it.
func (c *Core) Telemetry(ctx context.Context, g *Grant, m *hubwire.Message) error {
	const op = "send"
	e, err := c.lock(op, g.Identity)
	if err != nil {
		return err
	}
	stamp, now := c.newStamp(e, g, ""), time.Now()
	e.touched(now)
	e.unlock()
	return c.appendEvent(ctx, op, &stamp, now, m)
}

func (c *Core) appendEvent(ctx context.Context, op string, st *eventStamp, now time.Time, m *hubwire.Message) error {
	if err := m.CheckTelemetry(); err != nil {
		return refused(op, err)
	}
	room, _ := c.records.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	b := append((*room)[:0], st.head...)
	b = appendMessage(b, m)
	_, err := c.store.Append(ctx, st.partition, now.UTC(), b)
	if cap(b) <= keepRecord {
		*room = b
		c.records.Put(room)
	}
	if err != nil {
		return broken(op, err)
	}
	c.arrived.broadcast()
	return nil
}

// partitionOf returns the partition that a device's events go to: always the same.
func (c *Core) partitionOf(deviceID string) int {
	h := fnv.New32a()
	h.Write([]byte(deviceID))
	return int(h.Sum32() % uint32(c.store.Partitions()))
}

// Event is an event as a service reads it: the message with its sequence
// number, enqueued time and source, and what else the hub stamped on it.
type Event struct {
	*hubwire.Received
	Partition     int
	Offset        int64
	GenerationID  string // iothub-connection-auth-generation-id
	AuthMethod    string // iothub-connection-auth-method, a JSON object
	MessageSource string // iothub-message-source
	ModelID       string // dt-dataschema; empty when none was announced
}

func decodeEvent(partition int, entry *store.Entry) (*Event, error) {
	if len(entry.Value) == 0 || entry.Value[0] != recordFormat {
		return nil, errRecord
	}
	r := newRecordReader(entry.Value[1:])
	ev := &Event{Received: &hubwire.Received{}, Partition: partition, Offset: entry.Offset}
	ev.Source = hubwire.Identity{DeviceID: r.string(), ModuleID: r.string()}
	ev.GenerationID, ev.AuthMethod, ev.MessageSource, ev.ModelID = r.string(), r.string(), r.string(), r.string()
	r.message(&ev.Message)
	ev.SequenceNumber, ev.EnqueuedTime = entry.Sequence, entry.Time
	return ev, r.err
}
