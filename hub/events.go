package hub

import (
	"context"
	"iter"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Event is telemetry as a service reads it: with the sequence number, time
// and source that the hub stamped on it, and what else it knows. With
// [Config.EventSources] it can be something else; then only Partition and MessageSource are set.
type Event struct {
	*hubwire.Received
	Partition     int         // from 0
	GenerationID  string      // of the device when it sent it
	AuthMethod    string      // how it had logged in, a JSON object
	ModelID       string      // Plug and Play model that it announced
	MessageSource EventSource // what made the event
}

// EventSource says what an event tells of: iothub-message-source.
type EventSource = core.EventSource

// The sources. Source: "IoT Hub non-telemetry event schemas", which shows the events' bodies and
// properties. Left out: digital twin changes and lives of jobs.
const (
	SourceTelemetry        = core.SourceTelemetry // always there
	SourceTwinChanges      = core.SourceTwinChanges
	SourceLifecycles       = core.SourceLifecycles       // of devices and modules
	SourceConnectionStates = core.SourceConnectionStates // of devices and modules
)

// EventOptions choose events. nil means all that are still there, and all to come.
type EventOptions struct {
	// Identity is whose events to read; a device's do not include those of its
	// modules. Zero means everybody's.
	Identity hubwire.Identity

	// Latest skips what is there already.
	Latest bool

	// Since, when not zero, skips what was enqueued before.
	Since time.Time
}

// EventReader reads events by the time at which the hub took them, each
// device's in order. The log is bounded, see the package: a reader that is far too
// slow misses the oldest, as sequence numbers show. It is not for concurrent use, and needs no closing.
type EventReader struct {
	r      *core.EventReader
	filter hubwire.Identity
}

// Events returns a reader. What is sent after the call is never missed, also
// with Latest.
func (h *Hub) Events(ctx context.Context, o *EventOptions) (*EventReader, error) {
	c, err := h.ask(ctx, "events")
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = new(EventOptions)
	}
	r, err := c.Events(ctx, core.AllPartitions, core.Start{Latest: o.Latest, Time: o.Since})
	if err != nil {
		return nil, err
	}
	return &EventReader{r: r, filter: o.Identity}, nil
}

func (r *EventReader) check(ctx context.Context) error {
	switch {
	case r == nil || r.r == nil:
		return badCall("events", "an EventReader comes from Hub.Events")
	case ctx == nil:
		return badCall("events", "the context is nil")
	}
	return nil
}

// Next returns the next event, and waits for it until ctx ends or the hub is closed.
func (r *EventReader) Next(ctx context.Context) (*Event, error) {
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	for {
		ev, err := r.r.Next(ctx)
		if err != nil {
			return nil, err
		}
		if r.filter == (hubwire.Identity{}) || ev.Source == r.filter {
			return fromEvent(ev), nil
		}
		if err := over(ctx); err != nil {
			return nil, err
		}
	}
}

// over is the error of a context that has ended, which a reader looks at between events
// that it passes over: there may be no end of those.
func over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &hubwire.Error{Op: "read events", Outcome: hubwire.NotSent, Err: err}
	}
	return nil
}

// TryNext returns the next event, or nil when there is none now. Its errors are those of Next.
func (r *EventReader) TryNext(ctx context.Context) (*Event, error) {
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	for {
		ev, err := r.r.TryNext(ctx)
		if ev == nil || err != nil {
			return nil, err
		}
		if r.filter == (hubwire.Identity{}) || ev.Source == r.filter {
			return fromEvent(ev), nil
		}
		if err := over(ctx); err != nil {
			return nil, err
		}
	}
}

// All yields events as Next gives them, until an error, which it yields last.
func (r *EventReader) All(ctx context.Context) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for {
			ev, err := r.Next(ctx)
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

func fromEvent(ev *core.Event) *Event {
	return &Event{
		Received: ev.Received, Partition: ev.Partition,
		GenerationID: ev.GenerationID, AuthMethod: ev.AuthMethod, ModelID: ev.ModelID, MessageSource: ev.MessageSource,
	}
}
