package device

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

// deliver gets each PUBLISH from the session, on its read loop. What is no
// message is done with when deliver returns.
func (l *mqttLink) deliver(d mqtt.Delivery) {
	t, err := topics.Parse(d.Topic)
	if err == nil && (t.Kind == topics.C2D || t.Kind == topics.Input) && t.Is(l.cfg.id) {
		l.messages.add(&t, d)
		return
	}
	if err == nil {
		err = l.dispatch(&t, d.Payload)
	}
	if err != nil {
		l.cfg.unexpected(fmt.Errorf("device: PUBLISH with topic %.300q: %w", d.Topic, err))
	}
	_ = d.Receipt.Ack() // fails only when the connection has gone
}

var (
	errNotOurs  = errors.New("it is not for this device or module")
	errNotAsked = errors.New("it is not of a kind that a hub sends")
)

// dispatch hands on what is no message.
func (l *mqttLink) dispatch(t *topics.Topic, payload []byte) error {
	switch t.Kind {
	case topics.TwinResponse:
		return l.requests.answer(t, payload)
	case topics.TwinDesired:
		return l.desired.add(t, payload)
	case topics.MethodRequest:
		return l.method(t, payload)
	case topics.C2D, topics.Input:
		return errNotOurs
	}
	return errNotAsked
}

// What waits for Receive is bounded, whatever the hub does. IoT Hub has never more
// than 50 messages for a device, of 64 KiB each.
const (
	maxWaiting      = 1000
	maxWaitingBytes = 8 << 20
)

// inbox holds the messages that came and were not received yet, and knows
// those that the program has.
type inbox struct {
	ready chan struct{} // has room for one: there may be something

	mu    sync.Mutex
	queue []waiting
	bytes int
	open  map[mqtt.Receipt]bool // of what is neither completed nor given up, on this connection
}

type waiting struct {
	m       *hubwire.Received
	receipt mqtt.Receipt // zero with QoS 0
}

// add takes a message in. One too many is passed over, and stays unacknowledged:
// the hub delivers it again.
func (b *inbox) add(t *topics.Topic, d mqtt.Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[d.Receipt] {
		return // its lock ran out on the hub; here it is still at work
	}
	if len(b.queue) >= maxWaiting || b.bytes+len(d.Payload) > maxWaitingBytes {
		return
	}
	m := &hubwire.Received{Redelivered: d.Dup}
	if mqtt.ParseMessage(t, d.Payload, m) != nil {
		return // cannot be: the topic is that of a message
	}
	if d.Receipt != (mqtt.Receipt{}) {
		if b.open == nil {
			b.open = map[mqtt.Receipt]bool{}
		}
		b.open[d.Receipt] = true
	}
	m.OnSettle(func(_ context.Context, how hubwire.Disposition) error { return b.settle(d.Receipt, how) })
	b.queue = append(b.queue, waiting{m, d.Receipt})
	b.bytes += len(d.Payload)
	b.signal()
}

func (b *inbox) signal() {
	select {
	case b.ready <- struct{}{}:
	default: // it has been told
	}
}

// pass lets another one who waits look, as the caller, who may have been told of
// a message, will not.
func (b *inbox) pass() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > 0 {
		b.signal()
	}
}

// settle completes a message. A message that is given up is taken anew when the
// hub delivers it again.
func (b *inbox) settle(r mqtt.Receipt, how hubwire.Disposition) error {
	var err error
	if how == hubwire.Complete {
		err = r.Ack()
	} else {
		err = &hubwire.Error{
			Op: how.String(), Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent,
			Message: "MQTT can only complete a message", Err: errors.ErrUnsupported,
		}
	}
	b.mu.Lock()
	delete(b.open, r)
	b.mu.Unlock()
	return withOp(how.String(), err)
}

// take returns the oldest message, or nil.
func (b *inbox) take() *hubwire.Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.queue = nil
		return nil
	}
	m := b.queue[0].m
	b.queue[0] = waiting{}
	b.queue, b.bytes = b.queue[1:], b.bytes-len(m.Body)
	if len(b.queue) > 0 {
		b.signal() // for whoever else waits
	}
	return m
}

// lost forgets what came by a connection that has gone: the hub delivers it
// again. What came with QoS 0 does not come again, and stays.
func (b *inbox) lost() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = nil
	b.queue = slices.DeleteFunc(b.queue, func(w waiting) bool {
		gone := w.receipt != mqtt.Receipt{}
		if gone {
			b.bytes -= len(w.m.Body)
		}
		return gone
	})
}

func (l *mqttLink) receive(ctx context.Context) (*hubwire.Received, error) {
	if err := l.insist(ctx, &l.c2d); err != nil {
		return nil, err
	}
	for {
		if ctx.Err() != nil || l.cfg.life.Err() != nil {
			l.messages.pass()
			return nil, ended(ctx, l.cfg.life)
		}
		if m := l.messages.take(); m != nil {
			return m, nil
		}
		if err := l.mayWait(); err != nil {
			return nil, err
		}
		select {
		case <-l.messages.ready:
		case <-ctx.Done():
		case <-l.cfg.life.Done():
		}
	}
}
