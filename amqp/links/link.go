package links

import (
	"context"
	"sync/atomic"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// generation numbers the attachments of a link, rising from 1: what a lower one has sent
// or received, a higher one knows nothing of. 0 is none.
type generation uint64

// linkConfig is what senders and receivers have in common. It does not change.
type linkConfig struct {
	node    amqp.Node
	address string // of the node: the target of a sender, the source of a receiver

	// properties go with each attach. Null: those of the entity.
	properties amqp10.Value

	// eager links are attached when the entity opens, which is not up without them; a refusal
	// that waiting cannot mend ends the entity. Others are attached when somebody first wants
	// them; such a refusal then ends only the calls that wait, and is returned by them.
	eager bool

	// lazy links are not brought back by themselves when they are lost, but when they are wanted again.
	lazy bool

	// keen links, once they have been attached, are asked for again whatever the peer refuses them with.
	keen bool

	// frank links return from link whatever the peer refuses an attach with, also what waiting can mend:
	// who calls it decides. The next call tries again, with back-off.
	frank bool

	// up tells of each attachment, down of its end, with the reason as [asError] has it. The
	// calls of one entity, onState among them, come one at a time, in order, on a goroutine
	// of its own; they may block the next of them, but nothing else. nil: nobody is told.
	up   func(gen generation)
	down func(gen generation, reason error)

	// ended tells that nothing more comes by an attachment: no message, no outcome. Like all callbacks of amqpclient
	// it must not block. It may come ahead of the attachment itself. nil: nobody is told.
	ended func(gen generation, reason error)

	// refused tells of refusals that waiting cannot mend, as link returns them. It must not block. nil: nobody is told.
	refused func(reason error)
}

// senderConfig is what a sender is.
type senderConfig struct {
	linkConfig
	sendMode amqp10.Opt[uint8]

	// Of each attachment: that it stands, and what amqpclient tells, see [amqpclient.SenderOptions]. They must not
	// block. nil: nobody is told.
	attached func(gen generation, s *amqpclient.Sender)
	settled  func(gen generation, first, last uint64, state amqp10.State)
	ready    func()
}

// receiverConfig is what a receiver is.
type receiverConfig struct {
	linkConfig
	target   string
	filter   func() amqp10.Value // asked for each attach; nil: none
	sendMode amqp10.Opt[uint8]
	second   bool
	wishes   amqp10.Value // desired capabilities
	credit   uint32       // to begin with

	// As those of senderConfig. delivery is handed each message; it may come ahead of the attachment itself.
	attached func(gen generation, r *amqpclient.Receiver)
	delivery func(gen generation, d *amqpclient.Delivery)
}

// sender is a link to a node, across its attachments.
type sender struct {
	core link
	cfg  senderConfig
}

// receiver is a link from a node, across its attachments.
type receiver struct {
	core link
	cfg  receiverConfig
}

// link is what senders and receivers have in common. Its fields are guarded by Conn.mu.
type link struct {
	e    *entity
	cfg  *linkConfig
	kind kind

	live atomic.Pointer[attachment] // the attachment, while it is good; written with Conn.mu held

	wanted   bool
	closed   bool
	attached bool       // has been
	gen      generation // of the latest attempt
	patience retry
	failure  error         // of the last attempt
	refused  int           // attempts that ended in what waiting cannot mend
	changed  chan struct{} // closed when who waits is to look again; nil when nobody waits
}

// kind is a sender or a receiver.
type kind interface {
	attach(ctx context.Context, at *attachment) error
	stands(at *attachment) // tells of it
}

// attachment is a link of amqpclient, from before its attach to its end.
type attachment struct {
	l       *link
	net     *network
	session *amqpclient.Session
	gen     generation
	out     *amqpclient.Sender // one of both
	in      *amqpclient.Receiver
}

// handle is what both have.
type handle interface {
	Err() error
	Detach(ctx context.Context, e *amqp10.Error) error
}

func (at *attachment) handle() handle {
	if at.out != nil {
		return at.out
	}
	return at.in
}

// sender makes a link of e to a node. It is attached when e opens if it is eager, and so made
// before, else when it is first wanted.
func (e *entity) sender(cfg senderConfig) *sender {
	s := &sender{cfg: cfg}
	e.adopt(&s.core, &s.cfg.linkConfig, s)
	return s
}

// receiver makes a link of e from a node, as sender does to one.
func (e *entity) receiver(cfg receiverConfig) *receiver {
	r := &receiver{cfg: cfg}
	e.adopt(&r.core, &r.cfg.linkConfig, r)
	return r
}

func (e *entity) adopt(l *link, cfg *linkConfig, k kind) {
	l.e, l.cfg, l.kind, l.wanted = e, cfg, k, cfg.eager
	if cfg.properties.IsNull() {
		cfg.properties = e.cfg.properties
	}
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	e.links = append(e.links, l)
}

func (s *sender) attach(ctx context.Context, at *attachment) (err error) {
	o := amqpclient.SenderOptions{
		Target: s.cfg.address, SendMode: s.cfg.sendMode, Properties: s.cfg.properties, OnReady: s.cfg.ready, OnEnd: at.ended,
	}
	if f := s.cfg.settled; f != nil {
		o.OnSettled = func(first, last uint64, state amqp10.State) { f(at.gen, first, last, state) }
	}
	at.out, err = at.session.Sender(ctx, &o)
	return err
}

func (s *sender) stands(at *attachment) {
	if f := s.cfg.attached; f != nil {
		f(at.gen, at.out)
	}
}

func (r *receiver) attach(ctx context.Context, at *attachment) (err error) {
	o := amqpclient.ReceiverOptions{
		Source: r.cfg.address, Target: r.cfg.target, SendMode: r.cfg.sendMode, Second: r.cfg.second, Properties: r.cfg.properties,
		DesiredCapabilities: r.cfg.wishes, Credit: r.cfg.credit, OnEnd: at.ended,
	}
	if f := r.cfg.filter; f != nil {
		o.Filter = f()
	}
	if f := r.cfg.delivery; f != nil {
		o.OnDelivery = func(d *amqpclient.Delivery) { f(at.gen, d) }
	}
	at.in, err = at.session.Receiver(ctx, &o)
	return err
}

func (r *receiver) stands(at *attachment) {
	if f := r.cfg.attached; f != nil {
		f(at.gen, at.in)
	}
}

// link returns the attachment that stands, and is later than after: one that was found to have ended is not returned again. It waits
// for one, and has it attached if it was not wanted before, until ctx ends or the entity does.
// Its errors are *hubwire.Error, NotSent; see linkConfig.eager for refusals, and [redirectOf].
//
// It neither blocks nor allocates nor locks while the link is attached.
func (s *sender) link(ctx context.Context, after generation) (*amqpclient.Sender, generation, error) {
	at, err := s.core.await(ctx, after)
	if err != nil {
		return nil, 0, err
	}
	return at.out, at.gen, nil
}

// link is as that of sender.
func (r *receiver) link(ctx context.Context, after generation) (*amqpclient.Receiver, generation, error) {
	at, err := r.core.await(ctx, after)
	if err != nil {
		return nil, 0, err
	}
	return at.in, at.gen, nil
}

// close detaches the link and forgets it: nobody will have it attached again. It waits for the
// peer's answer, for no longer than ctx lasts.
func (r *receiver) close(ctx context.Context) error { return r.core.close(ctx) }

// await is link for both.
func (l *link) await(ctx context.Context, after generation) (*attachment, error) {
	if at := l.live.Load(); at != nil && at.gen > after {
		return at, nil
	}
	c := l.e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for refused := l.refused; ; {
		switch at := l.live.Load(); {
		case at != nil && at.gen > after:
			return at, nil
		case l.e.life.Err() != nil:
			return nil, ended("attach", context.Cause(l.e.life))
		case l.closed:
			return nil, ended("attach", ErrClosed)
		case l.refused != refused:
			return nil, l.failure
		case ctx.Err() != nil:
			return nil, gaveUp("attach", ctx.Err(), l.lackLocked())
		}
		l.wantLocked()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		case <-l.e.life.Done():
		}
		c.mu.Lock()
	}
}

// wantLocked sees to it that l is, or will be, attached.
func (l *link) wantLocked() {
	if !l.wanted {
		l.wanted = true
		l.e.wakeLocked()
	}
}

// lackLocked is why l is not attached, as far as that is known.
func (l *link) lackLocked() error {
	switch {
	case l.live.Load() != nil:
		return nil
	case l.failure != nil:
		return l.failure
	}
	return l.e.failure
}

// tellLocked lets those look again who wait for l.
func (l *link) tellLocked() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// close is that of both.
func (l *link) close(ctx context.Context) error {
	c := l.e.c
	c.mu.Lock()
	l.closed, l.wanted = true, false
	at := l.live.Load()
	if at != nil {
		l.loseLocked(at, ended("detach", ErrClosed))
	}
	for i, other := range l.e.links {
		if other == l {
			l.e.links = append(l.e.links[:i:i], l.e.links[i+1:]...)
		}
	}
	l.tellLocked()
	c.mu.Unlock()
	if at == nil {
		return nil
	}
	if err := at.handle().Detach(ctx, nil); err != nil {
		return &hubwire.Error{Op: "detach", Outcome: hubwire.Unknown, Retryable: true, Err: err}
	}
	return nil
}

// loseLocked takes at from its link, if it is there.
func (l *link) loseLocked(at *attachment, reason error) {
	if l.live.Load() != at {
		return
	}
	l.live.Store(nil)
	if l.cfg.lazy {
		l.wanted = false
		l.tellLocked() // who waits wants it still
	}
	l.failure = reason
	l.patience.lost(&l.e.c.o)
	if f := l.cfg.down; f != nil {
		l.e.c.tellLocked(&l.e.tellers, func() { f(at.gen, reason) })
	}
}

// stands reports whether that attachment has not been lost.
func (l *link) stands(gen generation) bool {
	at := l.live.Load()
	return at != nil && at.gen == gen
}
