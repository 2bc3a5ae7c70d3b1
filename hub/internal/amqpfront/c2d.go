package amqpfront

import (
	"slices"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/topics"
)

// Messages for a device, and for the inputs of a module, imitate the guide's "Send cloud-to-device
// messages": as many are locked as the link has credit for, the delivery tag is the lock token, and
// the disposition is what becomes of the message. SDKs of one kind settle at once; to those that wait
// for the hub's word it says whether the lock still held. A link that is lost gives back
// what it has, at once.

// messages is the node that a device gets messages from.
type messages struct {
	linked
	feature core.Feature
	settled bool // the peer wants them settled: they are completed as they go out

	mu       sync.Mutex
	closed   bool
	out      []sent            // what is not settled, in the order of sending
	sent     uint64            // counts them
	ready    *hubwire.Received // was shown to the intercept function
	cut      bool              // the connection is to be cut behind it
	judging  bool
	tagBytes [16]byte
}

// sent is a message that is out.
type sent struct {
	token uint64
	lock  string
}

func (c *conn) attachC2D(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	l, err := c.join(a, to)
	if err != nil {
		return nil, err
	}
	n := &messages{linked: l, feature: core.FeatureC2D, settled: a.Reply.SendMode.Or(amqp10.SendMixed) == amqp10.SendSettled}
	if to.Node == amqp.Input {
		n.feature = core.FeatureInputs
	}
	place := n.place()
	c.mu.Lock()
	old := *place
	*place = n
	c.mu.Unlock()
	if old != nil {
		old.stop()
		old.link.Detach(stolen)
	}
	n.device.tell()
	return n, nil
}

// place is where the device knows n.
func (n *messages) place() **messages {
	if n.feature == core.FeatureInputs {
		return &n.device.messages[1]
	}
	return &n.device.messages[0]
}

// Detached implements [amqpserver.Node].
func (n *messages) Detached(why error) {
	c := n.device.conn
	c.mu.Lock()
	if place := n.place(); *place == n {
		*place = nil
	}
	c.mu.Unlock()
	n.stop()
	n.unsubscribe(why)
}

// stop gives back what is out, unless that was done.
func (n *messages) stop() {
	n.mu.Lock()
	closed := n.closed
	n.closed, n.out = true, nil
	n.mu.Unlock()
	if !closed {
		n.device.session.Release(n.feature)
	}
}

// Next implements [amqpserver.Sender].
func (n *messages) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.next()
	if r == nil {
		return dst, amqpserver.Outgoing{}, false
	}
	if n.cut {
		n.device.conn.line.last.Store(true)
	}
	n.sent++
	lock, _ := amqp.ParseUUID(r.LockToken)
	o := amqpserver.Outgoing{Tag: lock.AppendTag(n.tagBytes[:0]), Token: n.sent}
	if n.settled {
		n.settle(r.LockToken, hubwire.Complete)
	} else {
		n.out = append(n.out, sent{n.sent, r.LockToken})
	}
	tellSource(r)
	return amqp.AppendC2D(dst, n.device.id, r), o, true
}

// tellSource puts whom a message to an input is from, which a route has among its properties, where AMQP has it.
func tellSource(r *hubwire.Received) {
	if r.Input == "" {
		return
	}
	r.Properties = slices.DeleteFunc(slices.Clone(r.Properties), func(p hubwire.Property) bool {
		switch p.Name {
		case topics.ConnectionDeviceID.Name():
			r.Source.DeviceID = p.Value
		case topics.ConnectionModuleID.Name():
			r.Source.ModuleID = p.Value
		default:
			return false
		}
		return true
	})
}

// next returns the next message, if there is one and nobody is to see it first. The caller holds the lock.
func (n *messages) next() (r *hubwire.Received) {
	c := n.device.conn
	switch {
	case n.closed || n.judging:
		return nil
	case !c.server.core.Intercepts():
		return n.device.session.NextOf(n.feature)
	case n.ready == nil:
		n.judging = true
		c.judge(n.show)
		return nil
	}
	r, n.ready = n.ready, nil
	return r
}

// show shows the next message to the intercept function. What is not sent stays locked, and is
// visible again when its lock is over.
func (n *messages) show() {
	c := n.device.conn
	r := n.lock()
	for r != nil && c.ctx.Err() == nil {
		send, cut := c.present(&core.Op{Kind: core.OpC2D, Identity: n.device.id, Name: r.Input, Message: &r.Message})
		if send {
			n.cut = cut
			break
		}
		r = n.lock()
	}
	n.mu.Lock()
	n.ready, n.judging = r, false
	n.mu.Unlock()
	if r != nil {
		n.link.Wake()
	}
}

// lock locks the next message, if there is one and the link has not given back what it has.
func (n *messages) lock() *hubwire.Received {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	return n.device.session.NextOf(n.feature)
}

// Settled implements [amqpserver.Sender].
func (n *messages) Settled(token uint64, state amqp10.State, settled bool) amqp10.State {
	lock := n.take(token)
	v, err := n.device.conn.intercept(&core.Op{Kind: core.OpAck, Identity: n.device.id, Name: lock})
	if err == nil {
		err = n.settle(lock, dispositionOf(state))
	}
	if v.DropAfter {
		n.device.conn.cut()
	}
	if err != nil {
		return amqp10.Rejected(failure(err))
	}
	return amqp10.Accepted()
}

// take takes a message off those that are out, and returns its lock token.
func (n *messages) take(token uint64) (lock string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.out, func(s sent) bool { return s.token == token })
	if i < 0 {
		return ""
	}
	lock = n.out[i].lock
	n.out = slices.Delete(n.out, i, i+1)
	return lock
}

// dispositionOf returns what the peer's word means. Who settles without an outcome has not said that
// the message is dealt with.
func dispositionOf(state amqp10.State) hubwire.Disposition {
	switch state.Kind() {
	case amqp10.DescAccepted:
		return hubwire.Complete
	case amqp10.DescRejected:
		return hubwire.Reject
	case amqp10.DescModified:
		if m, err := state.Modified(); err == nil && m.UndeliverableHere.Or(false) {
			return hubwire.Reject
		}
	}
	return hubwire.Abandon
}

// settle ends a delivery.
func (n *messages) settle(lock string, d hubwire.Disposition) error {
	err := n.device.session.Settle(n.device.conn.ctx, lock, d)
	if err != nil {
		n.device.conn.server.opt.Log.Info("amqp: message not settled", "device", n.device.id, "error", err)
	}
	return err
}
