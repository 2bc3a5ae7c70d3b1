package links

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqpclient"
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

	mu     sync.Mutex
	gen    generation    // that the answer comes by
	id     string        // of the question
	answer chan response // has room for one
}

// response is the message with an answer, or why there will be none.
type response struct {
	message []byte
	lost    error
}

// managementCredit is how many answers may be on their way, of which all but one are late.
const managementCredit = 10

func newManager(e *entity, eventHub string) *manager {
	m := &manager{replyTo: "hubwire-" + rand.Text(), turn: make(chan struct{}, 1)}
	cfg := linkConfig{node: amqp.Management, address: amqp.Address{Node: amqp.Management, EventHub: eventHub}.String(), lazy: true}
	m.out.init(e, cfg, e.c.o.OperationTimeout)
	cfg.ended = m.lost
	m.from = e.receiver(receiverConfig{linkConfig: cfg, target: m.replyTo, credit: managementCredit, delivery: m.answered})
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
	for gen := generation(0); ; {
		var got response
		if got, gen, err = m.exchange(ctx, r, gen); err != nil {
			return answer, asError("read", amqp.Management, err)
		}
		if got.lost == nil {
			return read(got.message, func(view *amqp.Message) (T, error) {
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
	}
}

// exchange sends a request, to be answered over an attachment later than after, and waits for the answer.
func (m *manager) exchange(ctx context.Context, r amqp.ReadRequest, after generation) (got response, gen generation, err error) {
	from, gen, err := m.from.link(ctx, after)
	if err != nil {
		return got, gen, err
	}
	id, answer := m.begin(gen)
	if err := from.Err(); err != nil { // lost may have been told before
		return response{lost: err}, gen, nil
	}
	r.ID, r.ReplyTo = amqp.String(id).Value(), m.replyTo
	if _, _, err := m.out.deliver(ctx, "read", amqp.AppendReadRequest(nil, &r)); err != nil {
		select {
		case got = <-answer: // the link for it was lost before, and what was then asked over the next one, refused for that
			return got, gen, nil
		default:
			return got, gen, err
		}
	}
	inTime, cancel := context.WithTimeout(ctx, m.from.core.e.c.o.OperationTimeout)
	defer cancel()
	select {
	case got = <-answer:
		return got, gen, nil
	case <-inTime.Done():
		return got, gen, inTime.Err()
	}
}

// begin returns the id of the next question, and where its answer comes.
func (m *manager) begin(gen generation) (id string, answer chan response) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gen, m.id, m.answer = gen, rand.Text(), make(chan response, 1)
	return m.id, m.answer
}

// answered is told of an answer.
func (m *manager) answered(_ generation, d *amqpclient.Delivery) {
	take(d.Link, d.ID, d.Settled)
	v, err := amqp.ParseMessage(d.Message)
	if err != nil {
		return
	}
	id, _ := v.CorrelationID().Text()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answer != nil && string(id) == m.id {
		m.answer <- response{message: bytes.Clone(d.Message)}
		m.answer = nil
	}
}

// lost is told that the link for answers has ended.
func (m *manager) lost(gen generation, reason error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answer != nil && gen == m.gen {
		m.answer <- response{lost: reason}
		m.answer = nil
	}
}
