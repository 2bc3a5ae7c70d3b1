package amqpfront

import (
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Twins imitate the service's pair of links: requests come in by one, and each is accepted and then
// answered on the other, with the correlation id as it was; without that link there is no
// answer. Changes of the desired properties come the same way, without a correlation id, after PUT
// was answered and until DELETE, or the end of the link.

// twinCredit is how many requests may be under way on one link.
const twinCredit = 50

// twinResponses is the node that a device gets answers and changes from.
type twinResponses struct {
	linked
	outbox
}

func (c *conn) attachTwinResponses(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	l, err := c.join(a, to)
	if err != nil {
		return nil, err
	}
	n := &twinResponses{l, outbox{conn: c, link: a.Link}}
	d := n.device
	c.mu.Lock()
	old := d.twin
	d.twin, d.desired = &n.outbox, false
	c.mu.Unlock()
	if old != nil {
		old.link.Detach(stolen)
	}
	d.tell()
	return n, nil
}

// Detached implements [amqpserver.Node].
func (n *twinResponses) Detached(why error) {
	c, d := n.device.conn, n.device
	c.mu.Lock()
	if d.twin == &n.outbox {
		d.twin, d.desired = nil, false
	}
	c.mu.Unlock()
	n.close()
	n.unsubscribe(why)
}

// Desired implements [core.Link].
func (d *device) Desired(change hubwire.DesiredChange) {
	d.conn.mu.Lock()
	o := d.twin
	d.conn.mu.Unlock()
	if o == nil {
		return
	}
	body := core.WithVersion(change.JSON, change.Version)
	p := parcel{message: amqp.AppendTwinResponse(nil, &amqp.TwinResponse{Version: change.Version, Body: body})}
	if d.conn.server.core.Intercepts() {
		p.op = &core.Op{Kind: core.OpTwinDesired, Identity: d.id, Body: body}
	}
	o.push(p)
}

// twinRequests is the node that a device asks.
type twinRequests struct{ linked }

func (c *conn) attachTwinRequests(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Receiver, error) {
	l, err := c.join(a, to)
	if err != nil {
		return nil, err
	}
	a.Credit = twinCredit
	return &twinRequests{l}, nil
}

// Detached implements [amqpserver.Node].
func (n *twinRequests) Detached(why error) { n.leave(why) }

// Deliver implements [amqpserver.Receiver].
func (n *twinRequests) Deliver(d *amqpserver.Delivery) {
	c := n.device.conn
	m, err := amqp.ParseMessage(d.Message)
	if err != nil {
		d.Settle(amqp10.Rejected(failure(undecodable("twin", err))))
		return
	}
	r, err := amqp.ParseTwinRequest(&m)
	if err != nil && r.ID.IsNull() {
		d.Settle(amqp10.Rejected(failure(err)))
		return
	}
	var v core.Verdict
	if err == nil {
		v, err = c.intercept(n.shown(&r))
	}
	answer := amqp.TwinResponse{ID: r.ID, Status: http.StatusOK}
	if err == nil {
		err = n.ask(&r, &answer)
	}
	if err != nil {
		e := refusal(err)
		if e == nil {
			return // the session is over, and the link about to be
		}
		answer.Status, answer.Body = e.Code.Status(), httpsx.AppendError(nil, e, httpsx.Numeric, time.Now())
	}
	if c.settle(d.Receipt(), v); v.DropAfter {
		return
	}
	release := n.hold() // who hears the answer misses no change from then on, and hears none before
	defer release()
	if !v.SwallowAck {
		n.answer(&answer)
	}
	if err == nil {
		n.notify(r.Operation)
	}
}

// hold has what goes out by the link for answers wait until release.
func (n *twinRequests) hold() (release func()) {
	n.device.conn.mu.Lock()
	o := n.device.twin
	n.device.conn.mu.Unlock()
	if o == nil {
		return func() {}
	}
	o.hold(true)
	return func() { o.hold(false) }
}

// shown is how the intercept function sees a request.
func (n *twinRequests) shown(r *amqp.TwinRequest) *core.Op {
	op := &core.Op{Identity: n.device.id}
	switch r.Operation {
	case amqp.TwinGet:
		op.Kind = core.OpTwinGet
	case amqp.TwinReport:
		op.Kind, op.Body = core.OpTwinReport, r.Body
	case amqp.TwinSubscribe:
		op.Kind, op.Name = core.OpSubscribe, desiredResource
	case amqp.TwinUnsubscribe:
		op.Kind, op.Name = core.OpUnsubscribe, desiredResource
	}
	return op
}

// desiredResource is what is subscribed to.
const desiredResource = "/notifications/twin/properties/desired"

// ask carries out a request that has an answer of its own.
func (n *twinRequests) ask(r *amqp.TwinRequest, answer *amqp.TwinResponse) error {
	ctx, session := n.device.conn.ctx, n.device.session
	switch r.Operation {
	case amqp.TwinGet:
		twin, err := session.Twin(ctx)
		if err != nil {
			return err
		}
		answer.Body = core.TwinBody(twin)
	case amqp.TwinReport:
		version, err := session.PatchReported(ctx, r.Body, r.IfVersion)
		if err != nil {
			return err
		}
		answer.Version = version
	}
	return nil
}

// answer sends an answer, if there is a link for it.
func (n *twinRequests) answer(a *amqp.TwinResponse) {
	n.device.conn.mu.Lock()
	o := n.device.twin
	n.device.conn.mu.Unlock()
	if o != nil {
		o.answer(n.link, parcel{message: amqp.AppendTwinResponse(nil, a)})
	}
}

// notify begins or ends the changes of the desired properties, behind the answer to that.
func (n *twinRequests) notify(o amqp.TwinOperation) {
	if o != amqp.TwinSubscribe && o != amqp.TwinUnsubscribe {
		return
	}
	n.device.conn.mu.Lock()
	n.device.desired = o == amqp.TwinSubscribe
	n.device.conn.mu.Unlock()
	n.device.tell()
}
