package amqpserver

import "github.com/hubwire/hubwire/internal/amqp10"

// Handler is the address space of one connection. Its functions are called on the goroutine of
// [Conn.Serve], one at a time, with no lock held; what the peer sends meanwhile waits, so one that waits for long
// calls [Conn.Flush] first. Views that they are given end with the call. All but Receiver and Sender may be nil; nil
// for one of those means that no link in that direction is accepted.
type Handler struct {
	// Authenticate judges a sasl-init: initial is the initial response, nil when there was none. It is only
	// called for a mechanism of [Config].Mechanisms. Nil lets everybody in. Who skips the SASL layer, as many
	// clients do, comes to Opened without it.
	Authenticate func(c *Conn, mechanism string, initial []byte, hostname string) amqp10.SASLCode

	// Opened is told of the peer's open. An error is what the connection is closed with, behind our own open.
	Opened func(c *Conn, open *amqp10.Open) *amqp10.Error

	// Begun and Ended are told of sessions. Ended is the last that is heard of one: its nodes have been told. err is
	// as that of [Node].
	Begun func(s *Session)
	Ended func(s *Session, err error)

	// Receiver finds the node for a link on which the peer sends, and Sender for one on which the peer
	// receives. An error refuses the link: an attach without the terminus, and a detach with the error.
	Receiver func(a *Attach) (Receiver, *amqp10.Error)
	Sender   func(a *Attach) (Sender, *amqp10.Error)
}

// Attach is a link that a peer wants.
type Attach struct {
	// Link is the link to be. A node keeps it to call its methods, which work from the start.
	Link *Link
	// Peer is what the peer sent. Its byte fields are views that end with the call.
	Peer *amqp10.Attach
	// Reply is what an accepted link is answered with, and may be changed, but for name, handle and role: it has the
	// peer's termini and modes, the default for modes that the peer left out, and [Config].MaxMessageSize or what the
	// peer wants at most. Messages of up to MaxMessageSize are taken also where less is announced.
	Reply amqp10.Attach
	// Credit is [Config].Credit of this link. For receivers only.
	Credit uint32
	// SettleFirst has us settle what comes at once with its outcome, also in receiver-settle-mode second, which is
	// answered as it was asked for. For receivers only: uAMQP asks for that mode, and waits for us to settle (observed).
	SettleFirst bool
	// AnySize has us send what the node has, also when it is larger than the peer's max-message-size, which is answered
	// as it was asked for: the peer may end the link then. Else we do. For senders only: the C SDK names the size of a
	// message of IoT Hub's without what comes with it, and takes larger ones.
	AnySize bool
}

// Node is what a link leads to.
type Node interface {
	// Detached is the last call, once for each node that the handler gave: the link has ended, and what was unsettled
	// is void. err is nil when the peer ended it without an error, the [*amqp10.Error] that one of both sides gave,
	// or else why the connection is over. It may come from any goroutine.
	Detached(err error)
}

// Receiver is a node that the peer sends to.
type Receiver interface {
	Node
	// Deliver is handed a message. d and all that it has end with the call: keep [Delivery.Receipt] to settle later. It
	// is called on the goroutine of [Conn.Serve], so it may act at once but should not wait: without
	// settlements, credit runs out and holds the peer back, as does [Link.Pause].
	Deliver(d *Delivery)
}

// Sender is a node that the peer receives from.
type Sender interface {
	Node
	// Next appends the next message, as it is encoded, to dst. Without one it returns ok false, and is asked again after
	// [Link.Wake], or when the peer gives credit. It is called by one goroutine at a time, which is whoever writes, and
	// should not wait.
	Next(dst []byte) (msg []byte, out Outgoing, ok bool)
	// Settled tells what the peer says of a delivery by its token, once for each that was not sent settled, unless the
	// link ends first. With settled false the peer waits for our word (receiver-settle-mode second), which is the state
	// that Settled returns: accepted when the outcome could be carried out. Else what it returns is not looked at. state
	// is a view that ends with the call, and null when the peer settles without one. It is called on the
	// goroutine of [Conn.Serve].
	Settled(token uint64, state amqp10.State, settled bool) amqp10.State
}

// Outgoing is what goes with a message.
type Outgoing struct {
	// Tag is the delivery-tag, of at most 32 bytes, unique among the unsettled ones of the link. It is read before
	// Next is called again. Empty means that the engine makes one.
	Tag []byte
	// Format is the message-format; 0 is AMQP's own.
	Format uint32
	// Settled sends the message settled. The link's snd-settle-mode goes before it: "settled" and "unsettled" are for all.
	Settled bool
	// Token is the node's name for the delivery in Settled.
	Token uint64
}
