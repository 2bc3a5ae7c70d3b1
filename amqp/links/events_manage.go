package links

import (
	"context"
	"crypto/rand"
	"errors"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// Info asks the endpoint about itself.
//
// Source: spec/amqp.md 6.5.
func (h *EventHub) Info(ctx context.Context) (amqp.EventHubInfo, error) {
	const op = "event hub info"
	if err := h.ready(ctx, op); err != nil {
		return amqp.EventHubInfo{}, err
	}
	i, err := ask(ctx, h.manager, amqp.ReadRequest{EventHub: h.name}, amqp.ParseEventHubInfo)
	return i, withOp(op, err)
}

// Partition asks the endpoint about a partition.
func (h *EventHub) Partition(ctx context.Context, id string) (amqp.PartitionInfo, error) {
	const op = "partition info"
	if err := h.ready(ctx, op); err != nil {
		return amqp.PartitionInfo{}, err
	}
	if id == "" {
		return amqp.PartitionInfo{}, invalid(op, "the partition has no id")
	}
	i, err := ask(ctx, h.manager, amqp.ReadRequest{EventHub: h.name, Partition: id}, amqp.ParsePartitionInfo)
	if e, ok := errors.AsType[*hubwire.Error](err); ok && e.Code == hubwire.DeviceNotFound { // what a 404 is elsewhere
		e.Code = hubwire.PartitionNotFound
	}
	return i, withOp(op, err)
}

// manager is the pair of links to $management. One question is asked at a time: an answer that is
// late is known by its id, and passed over.
type manager struct {
	out     outgoing
	from    *receiver
	replyTo string
	turn    chan struct{}
}

// managementCredit is how many answers may be on their way, of which all but one are late.
const managementCredit = 10

func newManager(e *entity, eventHub string) *manager {
	m := &manager{replyTo: "hubwire-" + rand.Text(), turn: make(chan struct{}, 1)}
	cfg := linkConfig{node: amqp.Management, address: amqp.Address{Node: amqp.Management, EventHub: eventHub}.String(), lazy: true}
	m.out.init(e.sender(senderConfig{linkConfig: cfg}), amqp.Management, 0)
	m.from = e.receiver(receiverConfig{linkConfig: cfg, options: func() goamqp.ReceiverOptions {
		return goamqp.ReceiverOptions{Credit: managementCredit, TargetAddress: m.replyTo}
	}})
	return m
}

// ask sends a request, and returns what parse makes of its answer. Reading twice is as good as once,
// so it is asked again when a link is lost, until ctx ends.
func ask[T any](ctx context.Context, m *manager, r amqp.ReadRequest, parse func(*amqp.Message) (T, error)) (answer T, err error) {
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return answer, gaveUp("read", ctx.Err(), nil)
	}
	for {
		var msg *goamqp.Message
		if msg, err = m.exchange(ctx, r); err == nil {
			return decode(msg, func(view *amqp.Message) (T, error) {
				var none T
				response, err := amqp.ParseResponse(view)
				if err == nil {
					err = response.Err("read")
				}
				if err != nil {
					return none, err
				}
				return parse(view)
			})
		}
		if level, _ := ending(err); level <= levelRefusal || ctx.Err() != nil {
			return answer, asError("read", amqp.Management, err)
		}
	}
}

// exchange sends a request and waits for the answer.
func (m *manager) exchange(ctx context.Context, r amqp.ReadRequest) (*goamqp.Message, error) {
	from, fromGen, err := m.from.link(ctx)
	if err != nil {
		return nil, err
	}
	id := rand.Text()
	r.ID, r.ReplyTo = amqp.String(id).Value(), m.replyTo
	msg, err := encode(amqp.AppendReadRequest(nil, &r))
	if err != nil {
		return nil, err
	}
	if _, err := m.out.deliver(ctx, "read", msg); err != nil {
		return nil, err
	}
	inTime, cancel := context.WithTimeout(ctx, m.from.core.e.c.o.OperationTimeout)
	defer cancel()
	for {
		answer, err := from.Receive(inTime, nil)
		if err != nil {
			m.from.failed(fromGen, err)
			return nil, err
		}
		_ = from.AcceptMessage(ctx, answer)
		if p := answer.Properties; p != nil && p.CorrelationID == id {
			return answer, nil
		}
	}
}
