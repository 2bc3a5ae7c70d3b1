package service

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/amqp/links"
)

// Of events, under the names that they have here.
type (
	Event           = amqp.Event
	EventSource     = amqp.EventSource
	PartitionMetric = amqp.PartitionMetric
	EventHubInfo    = amqp.EventHubInfo
	PartitionInfo   = amqp.PartitionInfo

	// EventStart is where to begin in a partition: the zero EventStart at the oldest event,
	// {At: Latest} with what comes from now on, {At: AtTime, Time: t}, and behind an event that was
	// seen {At: AtOffset, Offset: ev.Offset}.
	EventStart = amqp.Start
)

// What events can tell of, and where reading can begin.
const (
	SourceTelemetry          = amqp.SourceTelemetry
	SourceTwinChanges        = amqp.SourceTwinChanges
	SourceLifecycles         = amqp.SourceLifecycles
	SourceConnectionStates   = amqp.SourceConnectionStates
	SourceDigitalTwinChanges = amqp.SourceDigitalTwinChanges
	SourceJobLifecycles      = amqp.SourceJobLifecycles

	Earliest   = amqp.Earliest
	Latest     = amqp.Latest
	AtOffset   = amqp.AtOffset
	AtSequence = amqp.AtSequence
	AtTime     = amqp.AtTime
)

// ErrDisplaced is why a reader of events ended that another one took a partition from, with a
// higher owner level.
var ErrDisplaced = links.ErrDisplaced

// ErrRedirects is why reading of events ended that was sent from place to place, and nowhere let in.
var ErrRedirects = errors.New("service: the events are redirected again and again")

// EventOptions say which events to read. nil means all that are still there, and all to come.
type EventOptions struct {
	// ConsumerGroup is whose view of the events it is. Empty means "$Default". A group lets five
	// readers have a partition at a time.
	ConsumerGroup string

	// Partitions are the ids of those to read, as [Client.EventHubInfo] has them. None means all.
	Partitions []string

	// Start is where to begin in each partition, but for those that Starts has. The zero EventStart is
	// the oldest event.
	Start  EventStart
	Starts map[string]EventStart

	// OwnerLevel, when not nil, makes the reader the owner of its partitions in the consumer group:
	// readers with a lower level, or none, are sent away and not let in. A reader with a level as high or
	// higher ends this one with [ErrDisplaced].
	OwnerLevel *int64

	// Prefetch is how many events of each partition may be here before they are asked for. They
	// bound the memory that reading takes. 0 means 300; at most 5000.
	Prefetch int

	// Metrics asks for [Event.Metric] with each event: how far the partition is.
	Metrics bool
}

// Events yields the events of the devices, from all partitions at once, those of a partition in
// order, and waits for more. It goes over AMQP to the Event Hubs-compatible endpoint, which the hub
// redirects to: the Client needs nothing but its connection string, whose policy must have the right
// ServiceConnect.
//
//	for ev, err := range c.Events(ctx, &service.EventOptions{Start: service.EventStart{At: service.Latest}}) {
//		if err != nil { … }
//		fmt.Println(ev.Source, ev.Body)
//	}
//
// When a link, session or connection is lost, or the endpoint has moved, it goes on behind the last event, and
// none is lost or comes twice. It ends with an error, which it yields last: that of ctx, once it has ended; a
// refusal that waiting cannot mend; [ErrDisplaced]. Who wants to go on later, in another process, keeps
// [Event.Offset] for each [Event.Partition], and starts there.
//
// An event owns its bytes. The ranges of a Client share one connection, which is closed when the last of them has
// ended. Each has a goroutine for each partition, which have returned when it has.
func (c *Client) Events(ctx context.Context, o *EventOptions) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		if err := c.events(ctx, o, yield); err != nil {
			yield(nil, err)
		}
	}
}

// patience is how long a partition may be without its link, or the endpoint out of reach, before the
// hub is asked again where it is.
const patience = time.Minute

func (c *Client) events(ctx context.Context, o *EventOptions, yield func(*Event, error) bool) error {
	const op = "read events"
	if err := c.ready(ctx, op); err != nil {
		return err
	}
	if o == nil {
		o = new(EventOptions)
	}
	reader, err := links.NewEventReader(&links.EventOptions{
		ConsumerGroup: o.ConsumerGroup, Partitions: o.Partitions, Start: o.Start, Starts: o.Starts,
		OwnerLevel: o.OwnerLevel, Prefetch: o.Prefetch, Metrics: o.Metrics, Patience: patience,
	})
	if err != nil {
		return withOp(op, err)
	}
	return c.atEndpoint(ctx, op, func(ctx context.Context, h *links.EventHub) (progress bool, err error) {
		for ev, err := range reader.All(ctx, h) {
			if err != nil {
				return progress, err
			}
			progress = true
			if !yield(ev, nil) {
				return true, nil
			}
		}
		return progress, nil
	})
}

// EventHubEndpoint is where the Event Hubs-compatible endpoint is, for other clients of Event Hubs.
type EventHubEndpoint struct {
	HostName string // of the Event Hubs namespace
	Name     string // of the Event Hub, "EntityPath" in a connection string
}

// EventHubEndpoint asks the hub where its events are. The endpoint takes the keys of the hub's policies, as
// those of Event Hubs:
//
//	Endpoint=sb://{HostName}/;SharedAccessKeyName={policy};SharedAccessKey={key};EntityPath={Name}
func (c *Client) EventHubEndpoint(ctx context.Context) (*EventHubEndpoint, error) {
	const op = "find events"
	if err := c.ready(ctx, op); err != nil {
		return nil, err
	}
	bounded, cancel := c.bounded(ctx, 0)
	defer cancel()
	at, err := c.locate(bounded)
	if err != nil {
		return nil, c.wired(ctx, op, err)
	}
	return &EventHubEndpoint{HostName: at.host, Name: at.name}, nil
}

// EventHubInfo returns what the Event Hubs-compatible endpoint says of itself: its name, and the ids
// of its partitions.
func (c *Client) EventHubInfo(ctx context.Context) (*EventHubInfo, error) {
	return askEndpoint(ctx, c, "event hub info", (*links.EventHub).Info)
}

// PartitionInfo returns what the endpoint says of a partition: its first and last events.
func (c *Client) PartitionInfo(ctx context.Context, id string) (*PartitionInfo, error) {
	return askEndpoint(ctx, c, "partition info", func(h *links.EventHub, ctx context.Context) (PartitionInfo, error) {
		return h.Partition(ctx, id)
	})
}

func askEndpoint[T any](ctx context.Context, c *Client, op string, ask func(*links.EventHub, context.Context) (T, error)) (*T, error) {
	if err := c.ready(ctx, op); err != nil {
		return nil, err
	}
	ctx, cancel := c.bounded(ctx, 0)
	defer cancel()
	answer := new(T)
	err := c.atEndpoint(ctx, op, func(ctx context.Context, h *links.EventHub) (_ bool, err error) {
		*answer, err = ask(h, ctx)
		return false, err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}
