package amqpfront

import (
	"bytes"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Telemetry imitates the service's events link: a message or a batch for each transfer, and
// for each its outcome: accepted when all of it is in the log, rejected with a condition when
// none of it is. Over the rate of the throttle the outcome is late, and with it the credit
// for more; beyond that it is a rejection.

// throttledCredit is how many messages a link may have under way when there is a throttle, so that
// it is held back much as a connection of MQTT is.
const throttledCredit = 2

// announced is the size of messages that the links of telemetry announce, in bytes: the C SDK puts all that waits into
// one batch, up to 1,024 less than that, and then no batch of its is above the service's limit. What others send that has
// more around its bodies is taken, too.
const announced = hubwire.MaxTelemetrySize + 1024

// keepBatch is how much room for messages of a batch a link keeps for the next one.
const keepBatch = 16

// telemetry is the node that a device sends to.
type telemetry struct {
	linked
	one   [1]hubwire.Message // room for what comes
	batch []hubwire.Message

	mu     sync.Mutex
	late   map[*time.Timer]struct{} // outcomes that are held back
	closed bool
}

func (c *conn) attachTelemetry(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Receiver, error) {
	l, err := c.join(a, to)
	if err != nil {
		return nil, err
	}
	if c.server.core.Throttles() {
		a.Credit = throttledCredit
	}
	a.Reply.MaxMessageSize = amqp10.Some(min(a.Reply.MaxMessageSize.Or(announced), announced))
	return &telemetry{linked: l}, nil
}

// Detached implements [amqpserver.Node].
func (n *telemetry) Detached(why error) {
	n.mu.Lock()
	n.closed = true
	for t := range n.late {
		t.Stop()
	}
	n.late = nil
	n.mu.Unlock()
	n.leave(why)
}

// Deliver implements [amqpserver.Receiver].
func (n *telemetry) Deliver(d *amqpserver.Delivery) {
	c := n.device.conn
	ms, err := n.parse(d)
	var v core.Verdict
	var wait time.Duration
	if err == nil {
		v, err = n.show(ms)
	}
	if err == nil && c.server.core.Throttles() {
		wait, err = c.server.core.TelemetryTurn(sizes(ms)...)
	}
	if err == nil {
		err = n.take(ms)
	}
	clear(ms) // the bodies are views, and what they were of is used again
	if cap(n.batch) > keepBatch {
		n.batch = nil
	}
	switch e := refusal(err); {
	case e != nil:
		d.Settle(amqp10.Rejected(failure(e)))
	case err != nil: // the session is over, and the link about to be
	case wait > 0:
		n.settleIn(wait, d, v)
	default:
		c.settle(d.Receipt(), v)
	}
}

// parse returns the messages of a delivery, whose bodies are views.
func (n *telemetry) parse(d *amqpserver.Delivery) (ms []hubwire.Message, err error) {
	m, err := amqp.ParseMessage(d.Message)
	if err != nil {
		return nil, undecodable("send", err)
	}
	switch d.Format {
	case 0:
		return n.one[:], amqp.ParseTelemetry(&m, &n.one[0])
	case amqp.BatchFormat:
		n.batch, err = amqp.AppendBatch(n.batch[:0], &m)
		return n.batch, err
	}
	return nil, &hubwire.Error{Op: "send", Code: hubwire.FormatError, Outcome: hubwire.Refused, Message: "the message format is neither AMQP's own nor that of a batch"}
}

// undecodable is the refusal of what is no message.
func undecodable(op string, err error) error {
	return &hubwire.Error{Op: op, Code: hubwire.DeserializationError, Outcome: hubwire.Refused, Message: err.Error()}
}

// show shows the messages to those who may look at them, as copies that are no views.
func (n *telemetry) show(ms []hubwire.Message) (all core.Verdict, err error) {
	c := n.device.conn
	if c.server.opt.Published == nil && !c.server.core.Intercepts() {
		return all, nil
	}
	for i := range ms {
		ms[i].Body = bytes.Clone(ms[i].Body)
		seen := ms[i]
		v, err := c.intercept(&core.Op{Kind: core.OpPublish, Identity: n.device.id, Message: &seen})
		if err != nil {
			return all, err
		}
		all.DropAfter = all.DropAfter || v.DropAfter
		all.SwallowAck = all.SwallowAck || v.SwallowAck
	}
	return all, nil
}

func sizes(ms []hubwire.Message) []int {
	ns := make([]int, len(ms))
	for i := range ms {
		ns[i] = ms[i].Size()
	}
	return ns
}

// take puts the messages into the log, all of them or none.
func (n *telemetry) take(ms []hubwire.Message) error {
	c, d := n.device.conn, n.device
	var err error
	if len(ms) == 1 {
		err = d.session.Telemetry(c.ctx, &ms[0])
	} else {
		err = d.session.TelemetryBatch(c.ctx, ms)
	}
	if f := c.server.opt.Published; f != nil && err == nil {
		for i := range ms {
			f(c.ctx, d.id, &ms[i])
		}
	}
	return err
}

// settleIn accepts a delivery when its turn comes. One that wants no outcome holds back the link itself.
func (n *telemetry) settleIn(wait time.Duration, d *amqpserver.Delivery, v core.Verdict) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	if n.late == nil {
		n.late = map[*time.Timer]struct{}{}
	}
	receipt := d.Receipt()
	if d.Settled {
		n.link.Pause()
	}
	var t *time.Timer
	t = time.AfterFunc(wait, func() {
		n.mu.Lock()
		delete(n.late, t)
		last := len(n.late) == 0
		n.mu.Unlock()
		n.device.conn.settle(receipt, v)
		if last {
			n.link.Resume()
		}
	})
	n.late[t] = struct{}{}
}
