package amqpfront

import (
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// The address space: what a link leads to is a matter of its address and direction only. Names
// and properties of links are not looked at for that, since SDKs use them in their own ways. The
// other terminus is the client's own text. An address that is none is answered with amqp:not-found.

// receivers are the nodes that peers send to, and senders those that they receive from.
var (
	receivers = map[amqp.Node]func(*conn, *amqpserver.Attach, *amqp.Address) (amqpserver.Receiver, error){
		amqp.CBS:             (*conn).attachTokens,
		amqp.Telemetry:       (*conn).attachTelemetry,
		amqp.MethodResponses: (*conn).attachMethodResponses,
		amqp.TwinRequests:    (*conn).attachTwinRequests,
		amqp.C2DSend:         (*conn).attachC2DSend,
		amqp.Events:          (*conn).attachEventsSender,
		amqp.Management:      (*conn).attachManagement,
	}
	senders = map[amqp.Node]func(*conn, *amqpserver.Attach, *amqp.Address) (amqpserver.Sender, error){
		amqp.CBS:               (*conn).attachTokenAnswers,
		amqp.C2D:               (*conn).attachC2D,
		amqp.Input:             (*conn).attachC2D,
		amqp.MethodRequests:    (*conn).attachMethodRequests,
		amqp.TwinResponses:     (*conn).attachTwinResponses,
		amqp.Feedback:          (*conn).attachFeedback,
		amqp.FileNotifications: (*conn).attachFileNotifications,
		amqp.Events:            (*conn).attachEventsReceiver,
		amqp.Partition:         (*conn).attachPartition,
		amqp.Management:        (*conn).attachManager,
	}
)

// receiver finds the node of a link on which the peer sends.
func (c *conn) receiver(a *amqpserver.Attach) (n amqpserver.Receiver, refused *amqp10.Error) {
	to, err := amqp.ParseAddress(amqp.Sender, addressOf(a.Peer.Target.Value.Address))
	if err == nil {
		if attach := receivers[to.Node]; attach != nil {
			a.SettleFirst = true
			n, err = attach(c, a, &to)
		}
	}
	if err != nil {
		return nil, c.refused(a, err)
	}
	return n, nil
}

// sender finds the node of a link on which the peer receives.
func (c *conn) sender(a *amqpserver.Attach) (n amqpserver.Sender, refused *amqp10.Error) {
	to, err := amqp.ParseAddress(amqp.Receiver, addressOf(a.Peer.Source.Value.Address))
	if err == nil {
		if attach := senders[to.Node]; attach != nil {
			a.AnySize = true
			n, err = attach(c, a, &to)
		}
	}
	if err != nil {
		return nil, c.refused(a, err)
	}
	return n, nil
}

func addressOf(v amqp10.Value) string {
	text, _ := v.Text()
	return string(text)
}

// refused is the error that a link is refused with. The log gets no address, which may hold
// whatever somebody has pasted there.
func (c *conn) refused(a *amqpserver.Attach, err error) *amqp10.Error {
	e := failure(err)
	c.server.opt.Log.Info("amqp: link refused", "protocol", c.peer.Protocol, "peer", c.peer.Raw.RemoteAddr(),
		"role", a.Peer.Role, "condition", e.Condition)
	return e
}

// answered heeds what the verdict on an attach says about its answer. Without one, whatever the peer
// says from here on has none either.
func (c *conn) answered(v core.Verdict) error {
	if v.DropAfter {
		c.cut()
		return core.ErrDrop
	}
	if v.SwallowAck {
		c.line.mute.Store(true)
	}
	return nil
}
