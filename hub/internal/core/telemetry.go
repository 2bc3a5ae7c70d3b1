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

// eventStamp is what the hub adds to each event of a session.
type eventStamp struct {
	id                              hubwire.Identity
	generation, authMethod, modelID string
}

// Telemetry takes a message from the device and returns when it is in the
// log. It keeps nothing of m, which may be a view of a read buffer. Codes:
// MessageTooLarge, ArgumentInvalid.
func (s *Session) Telemetry(ctx context.Context, m *hubwire.Message) error {
	const op = "send"
	if why := s.over.Load(); why != nil {
		return ended(op, why)
	}
	s.entity.touch()
	return s.entity.core.appendEvent(ctx, op, &s.stamp, m)
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
	return e.core.appendEvent(ctx, op, &s.stamp, m)
}

// Telemetry is [Session.Telemetry] without a session, as HTTPS does it.
func (c *Core) Telemetry(ctx context.Context, g *Grant, m *hubwire.Message) error {
	const op = "send"
	e, err := c.lock(op, g.Identity)
	if err != nil {
		return err
	}
	stamp := eventStamp{id: e.id, generation: e.dev.GenerationID, authMethod: g.method}
	e.touch()
	e.unlock()
	return c.appendEvent(ctx, op, &stamp, m)
}

func (c *Core) appendEvent(ctx context.Context, op string, st *eventStamp, m *hubwire.Message) error {
	if err := m.CheckTelemetry(); err != nil {
		return refused(op, err)
	}
	b := make([]byte, 0, 64+len(st.generation)+len(st.authMethod)+len(st.modelID)+len(st.id.DeviceID)+len(st.id.ModuleID)+
		m.Size()+4*len(m.Properties))
	b = append(b, recordFormat)
	for _, s := range [...]string{st.id.DeviceID, st.id.ModuleID, st.generation, st.authMethod, SourceTelemetry, st.modelID} {
		b = appendString(b, s)
	}
	b = appendMessage(b, m)
	if _, err := c.store.Append(ctx, c.partitionOf(st.id.DeviceID), time.Now().UTC(), b); err != nil {
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
	r := recordReader{b: entry.Value[1:]}
	ev := &Event{Received: &hubwire.Received{}, Partition: partition, Offset: entry.Offset}
	ev.Source = hubwire.Identity{DeviceID: r.string(), ModuleID: r.string()}
	ev.GenerationID, ev.AuthMethod, ev.MessageSource, ev.ModelID = r.string(), r.string(), r.string(), r.string()
	r.message(&ev.Message)
	ev.SequenceNumber, ev.EnqueuedTime = entry.Sequence, entry.Time
	return ev, r.err
}
