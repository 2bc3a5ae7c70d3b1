package amqpfront

import (
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Sending to devices imitates /messages/devicebound: each message says in its property "to" whom it
// is for. The outcome is accepted when it waits in the device's queue, or rejected with the reason. Which
// messages the device has taken feedback tells, to who asked with iothub-ack.

// c2dSend is the node that a service sends to.
type c2dSend struct{ serving }

func (c *conn) attachC2DSend(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Receiver, error) {
	n, err := c.serve(a, to, "/messages/devicebound")
	if err != nil {
		return nil, err
	}
	return &c2dSend{n}, nil
}

// Detached implements [amqpserver.Node].
func (n *c2dSend) Detached(error) { n.leave() }

// Deliver implements [amqpserver.Receiver].
func (n *c2dSend) Deliver(d *amqpserver.Delivery) {
	v, err := n.send(d)
	switch e := refusal(err); {
	case e != nil:
		d.Settle(amqp10.Rejected(failure(e)))
	case err == nil:
		n.conn.settle(d.Receipt(), v)
	}
}

func (n *c2dSend) send(d *amqpserver.Delivery) (v core.Verdict, err error) {
	view, err := amqp.ParseMessage(d.Message)
	if err != nil {
		return v, undecodable("send c2d", err)
	}
	var m hubwire.Message
	to, err := amqp.ParseSend(&view, &m)
	if err != nil {
		return v, err
	}
	if v, err = n.conn.intercept(&core.Op{Kind: core.OpPublish, Name: m.To, Message: &m}); err != nil {
		return v, err
	}
	c := n.conn.server.core
	if err = c.Admit("send c2d", core.MeterC2DSends); err != nil {
		return v, err
	}
	return v, c.SendC2D(n.conn.ctx, to, &m)
}
