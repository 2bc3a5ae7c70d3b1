package amqpclient

import (
	"context"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// ReceiverOptions are what a link that receives is attached with. The zero value of each field means the default, and null.
type ReceiverOptions struct {
	// Name is unique among the session's receivers. Default: one that the connection makes.
	Name string
	// Source is the address to receive from, Target what this side calls its own end: null if empty.
	Source, Target string
	// Filter is a map from symbols to described values.
	Filter amqp10.Value
	// SendMode is the snd-settle-mode that is wanted; the peer sends as it likes, see [Delivery].Settled.
	SendMode amqp10.Opt[uint8]
	// Second asks for receiver-settle-mode second: the peer settles behind this side, see [Receiver.Settle].
	Second bool
	// Properties, a map with symbols as keys, and DesiredCapabilities, see [amqp10.Value.Items], are said as they are.
	Properties          amqp10.Value
	DesiredCapabilities amqp10.Value
	// MaxMessageSize is the largest message that is taken, in bytes of all its sections. Default 4 MiB.
	MaxMessageSize uint64
	// Credit is how many deliveries the peer may send to begin with.
	Credit uint32

	// OnDelivery is handed each whole message that comes. d and all that it has end with the call. It is called on the
	// goroutine that reads, perhaps before Attach has returned.
	OnDelivery func(d *Delivery)
	// OnEnd is as that of [SenderOptions].
	OnEnd func(reason error)
}

// Delivery is a message that has come in. It and its byte fields end with the call of OnDelivery.
type Delivery struct {
	Link    *Receiver
	ID      uint32 // what settles it, see [Receiver.Dispose]
	Tag     []byte // of at most 32 bytes
	Format  uint32 // message-format; 0 is AMQP's own
	Settled bool   // the peer wants no word about it
	Message []byte // the sections, as they came; not looked at
}

// Receiver is a link on which this side receives. Its methods may be called from any goroutine.
type Receiver struct {
	link
}

// Receiver attaches a link that receives, as [Session.Sender] does one that sends.
func (s *Session) Receiver(ctx context.Context, o *ReceiverOptions) (*Receiver, error) {
	panic("to come")
}

// AddCredit lets the peer send n deliveries more than it may. The peer is told at once when what it has left is no more
// than what it has not been told of, else when it has used up so much. On a link that has ended it does nothing.
func (r *Receiver) AddCredit(n uint32) { panic("to come") }

// Drain has the peer use up its credit or give it up, and waits until it has, or ctx ends. The error is that of ctx, or
// why the link ended. A sender that has ignored it may still send what it had credit for.
func (r *Receiver) Drain(ctx context.Context) error { panic("to come") }

// Dispose tells the peer the outcome of the deliveries first to last of the link, by [Delivery].ID, and settles them;
// null means accepted. In receiver-settle-mode second the peer has yet to settle them, of which nothing is told. What is settled
// already, or is another link's, is passed over. It does not wait: dispositions that are neighbours are joined
// until they are written. state is not kept. The error is why the link ended.
func (r *Receiver) Dispose(first, last uint32, state amqp10.State) error { panic("to come") }

// Settle is Dispose for one delivery that, in receiver-settle-mode second, waits for the peer to settle it, and returns the
// state that it gives then: null if none. In mode first it returns state at once.
//
// The error is that of ctx, [ErrNotUnsettled], or why the link ended. After an end of ctx the peer's answer may still come, and is
// then dropped; Settle may be called again, and waits again.
func (r *Receiver) Settle(ctx context.Context, id uint32, state amqp10.State) (amqp10.State, error) {
	panic("to come")
}
