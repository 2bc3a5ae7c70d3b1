package amqpfront

import (
	"encoding/binary"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Direct methods imitate the service's pair of links: requests go out on one, answers come in by
// the other, and a device has methods while it has both. The correlation id is a uuid of
// version 4, which all SDKs take; some answer with its text. An answer that nobody waits for is accepted.

// callID returns the uuid that stands for the core's id of a call.
func callID(id uint64) (u amqp.UUID) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], id)
	copy(u[:6], b[:6])
	u[6], u[7] = 0x40, b[6] // version 4
	u[8], u[9] = 0x80, b[7] // the variant of RFC 9562
	return u
}

// parseCallID returns the id that callID made a uuid of.
func parseCallID(u amqp.UUID) (id uint64, ok bool) {
	b := [8]byte{u[0], u[1], u[2], u[3], u[4], u[5], u[7], u[9]}
	id = binary.BigEndian.Uint64(b[:])
	return id, callID(id) == u
}

// methodRequests is the node that a device gets calls from.
type methodRequests struct {
	linked
	outbox
}

func (c *conn) attachMethodRequests(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	l, err := c.join(a, to)
	if err != nil {
		return nil, err
	}
	n := &methodRequests{l, outbox{conn: c, link: a.Link}}
	d := n.device
	c.mu.Lock()
	old := d.methods
	d.methods = &n.outbox
	c.mu.Unlock()
	if old != nil {
		old.link.Detach(stolen)
	}
	d.tell()
	return n, nil
}

// Detached implements [amqpserver.Node].
func (n *methodRequests) Detached(why error) {
	c, d := n.device.conn, n.device
	c.mu.Lock()
	if d.methods == &n.outbox {
		d.methods = nil
	}
	c.mu.Unlock()
	n.close()
	n.unsubscribe(why)
}

// Method implements [core.Link].
func (d *device) Method(call core.MethodCall) {
	d.conn.mu.Lock()
	o := d.methods
	d.conn.mu.Unlock()
	if o == nil {
		return
	}
	p := parcel{message: amqp.AppendMethodRequest(nil, callID(call.RequestID), &call.MethodRequest)}
	if d.conn.server.core.Intercepts() {
		p.op = &core.Op{Kind: core.OpMethod, Identity: d.id, Name: call.Name, Body: call.Payload}
	}
	o.push(p)
}

// methodResponses is the node that a device answers calls to.
type methodResponses struct{ linked }

func (c *conn) attachMethodResponses(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Receiver, error) {
	l, err := c.join(a, to)
	if err != nil {
		return nil, err
	}
	n := &methodResponses{l}
	n.count(1)
	n.device.tell()
	return n, nil
}

func (n *methodResponses) count(by int) {
	n.device.conn.mu.Lock()
	defer n.device.conn.mu.Unlock()
	n.device.answers += by
}

// Detached implements [amqpserver.Node].
func (n *methodResponses) Detached(why error) {
	n.count(-1)
	n.leave(why)
}

// Deliver implements [amqpserver.Receiver].
func (n *methodResponses) Deliver(d *amqpserver.Delivery) {
	c := n.device.conn
	m, err := amqp.ParseMessage(d.Message)
	if err != nil {
		d.Settle(amqp10.Rejected(failure(undecodable("method response", err))))
		return
	}
	id, r, err := amqp.ParseMethodResponse(&m)
	if err != nil {
		d.Settle(amqp10.Rejected(failure(err)))
		return
	}
	v, err := c.intercept(&core.Op{Kind: core.OpMethodResponse, Identity: n.device.id, Body: r.Payload})
	if e := refusal(err); e != nil {
		d.Settle(amqp10.Rejected(failure(e)))
	} else if err == nil {
		n.pass(id, &r)
		c.settle(d.Receipt(), v)
	}
}

// pass passes an answer on.
func (n *methodResponses) pass(id amqp.UUID, r *hubwire.MethodResponse) {
	call, ok := parseCallID(id)
	if !ok {
		return // nobody has asked
	}
	if err := n.device.session.MethodResponse(call, r); err != nil {
		n.device.conn.server.opt.Log.Info("amqp: method response", "device", n.device.id, "error", err)
	}
}
