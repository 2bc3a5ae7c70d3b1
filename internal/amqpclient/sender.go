package amqpclient

import (
	"context"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// SenderOptions are what a link that sends is attached with. The zero value of each field means the default, and null.
type SenderOptions struct {
	// Name is unique among the session's senders. Default: one that the connection makes.
	Name string
	// Target is the address to send to, Source what this side calls its own end: null if empty.
	Target, Source string
	// SendMode is the snd-settle-mode that is wanted. The peer's word goes before it, see [Sender.SendMode].
	SendMode amqp10.Opt[uint8]
	// Properties, a map with symbols as keys, and DesiredCapabilities, see [amqp10.Value.Items], are said as they are.
	Properties          amqp10.Value
	DesiredCapabilities amqp10.Value
	// Secret keeps messages from [Options].Trace.
	Secret bool

	// OnSettled is told of outcomes: of the deliveries with the tokens first to last, which have followed each other, state is
	// what the peer made of them. Each delivery that was not sent settled is told of once, unless the link ends
	// first. state is a view that ends with the call, and null when the peer settled without one. A state that is no
	// outcome is passed over. It is called on the goroutine that reads.
	OnSettled func(first, last uint64, state amqp10.State)
	// OnReady is told once, after [Sender.TrySend] has returned false, that it may be different now. It may come before
	// TrySend has returned, and from a goroutine of the connection's.
	OnReady func()
	// OnEnd is told once why the link ended, when Attach has succeeded; it may be told before that has returned. No other
	// callback comes after it. The reason is an [*Error] of [LevelLink], [LevelSession] or [LevelConn].
	OnEnd func(reason error)
}

// Sender is a link on which this side sends. Its methods may be called from any goroutine.
type Sender struct {
	link
	onSettled func(first, last uint64, state amqp10.State)
	onReady   func()

	// Guarded by the lock of the connection.
	waits   bool // somebody is to be told when there is credit, window and room
	crowded bool // in conn.crowded
	secret  bool
}

// Sender attaches a link that sends, and waits for the peer's answer. When ctx ends first, the link is detached
// when the peer does answer, and its handle and name are taken until then.
//
// The error is that of ctx, [ErrLimit], [ErrNameInUse], [ErrFrameSize], or an [*Error], of [LevelAttach] when the peer refuses
// the link: then Remote has the peer's condition, and its info when it sends on to somewhere else.
func (s *Session) Sender(ctx context.Context, o *SenderOptions) (*Sender, error) {
	l := &Sender{
		link:      link{session: s, name: o.Name, onEnd: o.OnEnd},
		onSettled: o.OnSettled, onReady: o.OnReady, secret: o.Secret,
	}
	l.link.out = l
	err := s.attach(ctx, &l.link, &amqp10.Attach{
		Role: amqp10.RoleSender, SendMode: o.SendMode,
		Source:               amqp10.Some(amqp10.Source{Address: address(o.Source)}),
		Target:               amqp10.Some(amqp10.Target{Address: address(o.Target)}),
		InitialDeliveryCount: amqp10.Some[uint32](0),
		Properties:           o.Properties, DesiredCapabilities: o.DesiredCapabilities,
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// accepted takes what the peer has answered.
func (l *Sender) accepted(p *amqp10.Attach) {
	l.maxMessage = p.MaxMessageSize.Or(0)
	l.sendMode = p.SendMode.Or(amqp10.SendMixed)
}

// Outgoing is what goes with a message.
type Outgoing struct {
	// Format is the message-format; 0 is AMQP's own.
	Format uint32
	// Settled sends the message settled: no outcome is told. A link whose [Sender.SendMode] is not mixed has its own way.
	Settled bool
	// Token is the caller's name for the delivery in OnSettled. Deliveries whose tokens rise by one are told of
	// together.
	Token uint64
	// Hold leaves it to a call of [Sender.Flush], which must follow, to have the message written: for who sends with a lock held, and
	// flushes without.
	Hold bool
}

// TrySend sends msg, sections as they go over the wire, if there is credit, window and room to write: it returns true
// when the connection has taken a copy. If not it returns false, and OnReady will be told. It does not wait, nor allocate in the
// steady state, and may be called with locks held that OnSettled needs: outcomes are told by another goroutine.
//
// The error is [ErrMessageSize], or why the link ended: an [*Error].
func (l *Sender) TrySend(msg []byte, o Outgoing) (ok bool, err error) {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok, err = l.trySend(msg, &o); ok && !o.Hold {
		c.wakeWriter()
		c.wakeTeller()
	}
	return ok, err
}

// Flush has what was sent on hold written, together with all else that waits. Where each message on the connection is sent after the
// outcome of the one before, the caller writes it itself, which saves it the wait for a goroutine; so it should hold no
// lock. The peer has then read all that was sent before: the write does not wait for it.
func (l *Sender) Flush() {
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
}

// Send is TrySend that waits until it can, or ctx ends: the message is then not sent. OnReady may be told of it, too.
func (l *Sender) Send(ctx context.Context, msg []byte, o Outgoing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := l.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		ok, err := l.trySend(msg, &o)
		if ok && !o.Hold {
			c.flush()
		}
		if ok || err != nil {
			return err
		}
		if err := c.wait(ctx, &l.gate); err != nil {
			return err
		}
	}
}

// MaxMessageSize is the largest message that the peer takes on the link, in bytes of all its sections. 0 is no limit.
func (l *Sender) MaxMessageSize() uint64 { return l.maxMessage }

// SendMode is the snd-settle-mode that the peer has answered with.
func (l *Sender) SendMode() uint8 { return l.sendMode }
