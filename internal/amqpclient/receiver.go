package amqpclient

import (
	"cmp"
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
	onDelivery func(d *Delivery)

	// Guarded by the lock of the connection.
	partial    *amqp10.Partial // the message that has come in part
	more       uint32          // credit that the peer has not been told of
	second     bool            // receiver-settle-mode second: the peer settles behind us
	drain      bool            // the peer is to use up its credit or give it up
	tellCredit bool            // in its session's credits
}

// Receiver attaches a link that receives, as [Session.Sender] does one that sends.
func (s *Session) Receiver(ctx context.Context, o *ReceiverOptions) (*Receiver, error) {
	r := &Receiver{
		link:       link{session: s, name: o.Name, onEnd: o.OnEnd, maxMessage: cmp.Or(o.MaxMessageSize, 4<<20)},
		onDelivery: o.OnDelivery, more: min(o.Credit, maxCredit), second: o.Second,
	}
	r.link.in = r
	a := amqp10.Attach{
		Role: amqp10.RoleReceiver, SendMode: o.SendMode,
		Source:         amqp10.Some(amqp10.Source{Address: address(o.Source), Filter: o.Filter}),
		Target:         amqp10.Some(amqp10.Target{Address: address(o.Target)}),
		MaxMessageSize: amqp10.Some(r.maxMessage),
		Properties:     o.Properties, DesiredCapabilities: o.DesiredCapabilities,
	}
	if o.Second {
		a.ReceiveMode = amqp10.Some(amqp10.ReceiveSecond)
	}
	if err := s.attach(ctx, &r.link, &a); err != nil {
		return nil, err
	}
	return r, nil
}

// accepted takes what the peer has answered, and gives it the first credit.
func (r *Receiver) accepted(p *amqp10.Attach) {
	r.deliveryCount = p.InitialDeliveryCount.Or(0)
	r.sendMode = p.SendMode.Or(amqp10.SendMixed)
	r.second = r.second && p.ReceiveMode.Or(amqp10.ReceiveFirst) == amqp10.ReceiveSecond
	r.topUp()
}

// AddCredit lets the peer send n deliveries more than it may. The peer is told at once when what it has left is no more
// than what it has not been told of, else when it has used up so much. On a link that has ended it does nothing.
func (r *Receiver) AddCredit(n uint32) {
	c := r.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	r.more += min(n, maxCredit-min(r.credit+r.more, maxCredit))
	r.topUp()
	c.wakeWriter()
}

// maxCredit is the most that a peer may have: credit is a serial number.
const maxCredit = 1<<31 - 1

// topUp sees to it that the peer is told of more credit when it has used up half.
func (r *Receiver) topUp() {
	if r.state == linkAttached && r.more > 0 && r.more >= r.credit {
		r.dueCredit()
	}
}

// dueCredit sees to it that the peer is told of its credit.
func (r *Receiver) dueCredit() {
	if !r.tellCredit {
		r.tellCredit = true
		r.session.credits = append(r.session.credits, r)
		r.session.setDue()
	}
}

// Drain has the peer use up its credit or give it up, and waits until it has, or ctx ends. Credit that it has not been told of
// is taken back. The error is that of ctx, or why the link ended.
func (r *Receiver) Drain(ctx context.Context) error {
	c := r.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	r.more = 0
	for {
		switch {
		case r.why != nil:
			return r.why
		case r.credit == 0 && r.partial == nil:
			r.drain = false
			return nil
		case !r.drain && r.credit > 0:
			r.drain = true
			r.dueCredit()
			c.wakeWriter()
		}
		if err := c.wait(ctx, &r.gate); err != nil {
			r.drain = false
			return err
		}
	}
}
