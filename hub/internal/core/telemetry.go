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

// keepRecord is the largest buffer that is kept to encode another event in.
const keepRecord = 16 << 10

// eventStamp is what the hub adds to each event of a session, in the form of its
// record, and the partition that they go to.
type eventStamp struct {
	partition int
	head      []byte
}

func (c *Core) newStamp(e *entity, g *Grant, modelID string) eventStamp {
	return c.stampFrom(SourceTelemetry, e.id, e.dev.GenerationID, g.method, modelID)
}

func (c *Core) stampFrom(source EventSource, id hubwire.Identity, generationID, authMethod, modelID string) eventStamp {
	var room [512]byte // mostly enough
	origin := room[:0]
	for _, s := range [...]string{id.DeviceID, id.ModuleID, generationID, authMethod, string(source), modelID} {
		origin = appendString(origin, s)
	}
	head := append(make([]byte, 0, len(origin)+8), recordFormat)
	return eventStamp{c.partitionOf(id.DeviceID), appendString(head, origin)}
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
	return s.entity.core.appendEvent(ctx, op, s.stamp.Load(), now, m)
}

// TelemetryBatch is [Session.Telemetry] for several messages, of which all are taken or, when one
// of them cannot be, none. Together they may be as large as one.
func (s *Session) TelemetryBatch(ctx context.Context, ms []hubwire.Message) error {
	const op = "send batch"
	total := 0
	for i := range ms {
		if err := ms[i].CheckTelemetry(); err != nil {
			return refused(op, err)
		}
		total += ms[i].Size()
	}
	if total > hubwire.MaxTelemetrySize {
		return refuse(op, hubwire.MessageTooLarge, "the batch has %d bytes, the limit is %d", total, hubwire.MaxTelemetrySize)
	}
	for i := range ms {
		if err := s.Telemetry(ctx, &ms[i]); err != nil {
			return err
		}
	}
	return nil
}

// publishWill publishes the will of a session that has ended. The caller holds the lock.
func (e *entity) publishWill(s *Session) {
	w := s.opts.Will
	if w == nil {
		return
	}
	s.opts.Will = nil
	if err := e.core.appendEvent(context.Background(), "will", s.stamp.Load(), time.Now(), w.Message); err != nil {
		e.post(func() { e.core.cfg.Log.Info("will not published", "device", e.id, "error", err) })
		return
	}
	if w.Published != nil {
		e.post(w.Published)
	}
}

// Telemetry is [Session.Telemetry] without a session, as HTTPS does it. Codes: also those of
// [Core.AuthenticateRequest], for a grant that holds no more.
func (c *Core) Telemetry(ctx context.Context, g *Grant, m *hubwire.Message) error {
	const op = "send"
	stamp, now, err := c.stampOf(op, g)
	if err != nil {
		return err
	}
	return c.appendEvent(ctx, op, &stamp, now, m)
}

// TelemetryBatch is [Core.Telemetry] for several messages, of which all are taken or,
// when one of them cannot be, none.
func (c *Core) TelemetryBatch(ctx context.Context, g *Grant, ms []hubwire.Message) error {
	const op = "send batch"
	for i := range ms {
		if err := ms[i].CheckTelemetry(); err != nil {
			return refused(op, err)
		}
	}
	stamp, now, err := c.stampOf(op, g)
	if err != nil {
		return err
	}
	for i := range ms {
		if err := c.appendEvent(ctx, op, &stamp, now, &ms[i]); err != nil {
			return err
		}
	}
	return nil
}

// stampOf is the stamp of events that have no session. The grant may be of a while ago, when the body
// came slowly or the throttle held it back, and the identity not what it was.
func (c *Core) stampOf(op string, g *Grant) (eventStamp, time.Time, error) {
	e, err := c.lock(op, g.Identity)
	if err != nil {
		return eventStamp{}, time.Time{}, err
	}
	defer e.unlock()
	switch err := c.stillValid(e, g); {
	case err == errDisabled:
		return eventStamp{}, time.Time{}, disabled(op, e.id)
	case err != nil:
		return eventStamp{}, time.Time{}, e.unauthorized(op, "https", err)
	}
	now := time.Now()
	e.touched(now)
	if e.stamp.head == nil || e.stampedBy != g.method {
		e.stamp, e.stampedBy = c.newStamp(e, g, ""), g.method
	}
	return e.stamp, now, nil
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
	c.consumers[st.partition].bell.ring()
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
	OffsetText    string      // Offset in decimal; only of what a Consumer reads
	GenerationID  string      // iothub-connection-auth-generation-id
	AuthMethod    string      // iothub-connection-auth-method, a JSON object
	MessageSource EventSource // iothub-message-source
	ModelID       string      // dt-dataschema; empty when none was announced
}

// eventDecoder makes events of a partition's entries.
type eventDecoder struct {
	partition int
	origin    origin // of the event before, which many have too
}

// origin is what all events of a session have in common.
type origin struct {
	record string // what it was read from
	source hubwire.Identity

	generationID, authMethod, modelID string
	messageSource                     EventSource
}

// decode makes ev of an entry, of which it keeps nothing.
func (d *eventDecoder) decode(ev *Event, entry *store.Entry) error {
	r, err := d.stamps(ev, entry)
	if err != nil {
		return err
	}
	r.message(&ev.Message)
	return r.err
}

// view is decode that allocates nothing, if ev has room for the properties: the body is
// a piece of the entry, and texts are pieces of text, which is [behindBody] of the entry's value.
func (d *eventDecoder) view(ev *Event, entry *store.Entry, text string) error {
	r, err := d.stamps(ev, entry)
	if err != nil {
		return err
	}
	r.text = text
	ev.Message = hubwire.Message{Properties: ev.Properties[:0]}
	r.messageView(&ev.Message)
	return r.err
}

// behindBody returns what stands behind the body in the record of an event: all that texts are
// made of. It is nil in a record that is damaged.
func behindBody(record []byte) []byte {
	if len(record) == 0 {
		return nil
	}
	r := recordReader{b: record[1:]}
	r.bytes() // the origin
	r.bytes()
	return r.b
}

// stamps sets what the hub has added, and returns a reader of the rest, a message.
func (d *eventDecoder) stamps(ev *Event, entry *store.Entry) (r recordReader, err error) {
	if len(entry.Value) == 0 || entry.Value[0] != recordFormat {
		return r, errRecord
	}
	r = recordReader{b: entry.Value[1:]}
	if record := r.bytes(); d.origin.record != string(record) {
		h := recordReader{b: record, text: string(record)}
		o := origin{
			record: h.text, source: hubwire.Identity{DeviceID: h.string(), ModuleID: h.string()},
			generationID: h.string(), authMethod: h.string(), messageSource: EventSource(h.string()), modelID: h.string(),
		}
		if h.err != nil {
			return r, h.err
		}
		d.origin = o
	}
	o := &d.origin
	ev.Source, ev.SequenceNumber, ev.EnqueuedTime = o.source, entry.Sequence, entry.Time
	ev.Partition, ev.Offset = d.partition, entry.Offset
	ev.GenerationID, ev.AuthMethod, ev.MessageSource, ev.ModelID = o.generationID, o.authMethod, o.messageSource, o.modelID
	return r, nil
}
