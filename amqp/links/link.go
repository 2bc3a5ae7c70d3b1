package links

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
)

// generation numbers the attachments of a link, from 1 and rising: what a lower one has sent
// or received, a higher one knows nothing of. 0 is none.
type generation uint64

// linkConfig is what senders and receivers have in common. It does not change.
type linkConfig struct {
	node    amqp.Node
	address string // of the node: the target of a sender, the source of a receiver

	// eager links are attached when the entity opens, which is not up without them; a refusal
	// that waiting cannot mend ends the entity. Others are attached when link is first
	// called; such a refusal then ends only the calls of link that wait, and is returned by them.
	eager bool

	// lazy links are not brought back by themselves when they are lost, but by the next call of link.
	lazy bool

	// frank links return from link whatever the peer refuses an attach with, also what waiting can mend:
	// who calls it decides. The next call tries again, with back-off.
	frank bool

	// up tells of each attachment, down of its end, with the reason as [asError] has it. The
	// calls of one entity, onState among them, come one at a time, in order, on a goroutine
	// of its own; they may block the next of them, but nothing else. nil: nobody is told.
	up   func(gen generation)
	down func(gen generation, reason error)

	// arriving tells that a message comes by an attachment: it will be there soon, or its end. It is called with
	// each message on the goroutine that reads the connection, must not block, and holds no lock. nil: nobody is told.
	arriving func()
}

// senderConfig is what a sender is.
type senderConfig struct {
	linkConfig

	// options gives those of go-amqp for the next attach; it is asked each time, and may be
	// nil. Name is set by the link, and Properties get those of the entity beside their own.
	options func() goamqp.SenderOptions
}

// receiverConfig is what a receiver is.
type receiverConfig struct {
	linkConfig

	// options is as that of senderConfig. Credit is as go-amqp has it (0 means 1).
	options func() goamqp.ReceiverOptions
}

// sender is a link to a node, across its attachments.
type sender struct{ core link }

// receiver is a link from a node, across its attachments.
type receiver struct{ core link }

// link is what senders and receivers have in common. Its fields are guarded by Conn.mu.
type link struct {
	e      *entity
	cfg    linkConfig
	attach func(ctx context.Context, s *goamqp.Session, name string) (handle, error)

	live atomic.Pointer[attachment] // the attachment, while it is good; written with Conn.mu held

	wanted   bool
	closed   bool
	parting  bool // go-amqp has not let go of what was lost
	gen      generation
	patience retry
	failure  error         // of the last attempt
	refused  int           // attempts that ended in what waiting cannot mend
	changed  chan struct{} // closed when an attempt has ended; nil when nobody waits
}

// handle is a *goamqp.Sender or a *goamqp.Receiver.
type handle interface {
	Close(ctx context.Context) error
}

// sender makes a link of e to a node. It is attached when e opens if it is eager, and so made
// before, else when its link is first called.
func (e *entity) sender(cfg senderConfig) *sender {
	s := &sender{core: link{e: e, cfg: cfg.linkConfig, wanted: cfg.eager}}
	s.core.attach = func(ctx context.Context, session *goamqp.Session, name string) (handle, error) {
		var o goamqp.SenderOptions
		if cfg.options != nil {
			o = cfg.options()
		}
		o.Name, o.Properties = name, merged(e.cfg.properties, o.Properties)
		h, err := session.NewSender(ctx, cfg.address, &o)
		if err != nil {
			return nil, err // and no nil *Sender in an interface
		}
		return h, nil
	}
	e.adopt(&s.core)
	return s
}

// receiver makes a link of e from a node, as sender does to one.
func (e *entity) receiver(cfg receiverConfig) *receiver {
	r := &receiver{core: link{e: e, cfg: cfg.linkConfig, wanted: cfg.eager}}
	r.core.attach = func(ctx context.Context, session *goamqp.Session, name string) (handle, error) {
		var o goamqp.ReceiverOptions
		if cfg.options != nil {
			o = cfg.options()
		}
		o.Name, o.Properties = name, merged(e.cfg.properties, o.Properties)
		h, err := session.NewReceiver(ctx, cfg.address, &o)
		if err != nil {
			return nil, err
		}
		return h, nil
	}
	e.adopt(&r.core)
	return r
}

func merged(a, b map[string]any) map[string]any {
	if len(a) == 0 {
		return b
	}
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

func (e *entity) adopt(l *link) {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	e.links = append(e.links, l)
}

// link returns the go-amqp sender of the attachment that stands, and its generation. It waits
// for one, and has it attached if it was not wanted before, until ctx ends or the entity does.
// Its errors are *hubwire.Error, NotSent; see linkConfig.eager for refusals, and [redirectOf].
//
// It neither blocks nor allocates nor locks while the link is attached. ctx may be given to
// go-amqp with any deadline: that bounds no write of the connection, see tap.
func (s *sender) link(ctx context.Context) (*goamqp.Sender, generation, error) {
	at, err := s.core.await(ctx)
	if err != nil {
		return nil, 0, err
	}
	return at.handle.(*goamqp.Sender), at.gen, nil
}

// link returns the go-amqp receiver of the attachment that stands, as that of sender does.
func (r *receiver) link(ctx context.Context) (*goamqp.Receiver, generation, error) {
	at, err := r.core.await(ctx)
	if err != nil {
		return nil, 0, err
	}
	return at.handle.(*goamqp.Receiver), at.gen, nil
}

// failed tells what go-amqp said of that generation. When it was the end of the link, session
// or connection, and nobody knows of it yet, that is mended now; anything else is passed over.
func (s *sender) failed(gen generation, err error) { s.core.failed(gen, err) }

// failed is as that of sender.
func (r *receiver) failed(gen generation, err error) { r.core.failed(gen, err) }

// close detaches the link and forgets it: nobody will have it attached again. It waits for the
// peer's answer, for no longer than ctx lasts.
func (s *sender) close(ctx context.Context) error { return s.core.close(ctx) }

// close is as that of sender.
func (r *receiver) close(ctx context.Context) error { return r.core.close(ctx) }

// await is link for both.
func (l *link) await(ctx context.Context) (*attachment, error) {
	if at := l.live.Load(); at != nil {
		return at, nil
	}
	c := l.e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for refused := l.refused; ; {
		switch at := l.live.Load(); {
		case at != nil:
			return at, nil
		case l.e.life.Err() != nil:
			return nil, ended("attach", context.Cause(l.e.life))
		case l.closed:
			return nil, ended("attach", ErrClosed)
		case l.refused != refused:
			return nil, l.failure
		case ctx.Err() != nil:
			last := l.failure
			if last == nil {
				last = l.e.failure
			}
			return nil, gaveUp("attach", ctx.Err(), last)
		}
		if !l.wanted {
			l.wanted = true
			l.e.wakeLocked()
		}
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

// tellLocked lets those look again who wait for l.
func (l *link) tellLocked() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// failed is that of both.
func (l *link) failed(gen generation, err error) {
	lv, _ := ending(err)
	if lv <= levelRefusal {
		return
	}
	c := l.e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := l.live.Load(); at != nil && at.gen == gen {
		c.endedLocked(at, lv, err)
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
		at.net.tap.forget(at)
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
	if err := at.handle.Close(ctx); err != nil {
		lv, _ := ending(err)
		if lv == levelNone && errors.Is(err, ctx.Err()) {
			return &hubwire.Error{Op: "detach", Outcome: hubwire.Unknown, Retryable: true, Err: err}
		}
	}
	return nil // it may have ended by itself in that moment, which comes to the same
}

// loseLocked takes at from its link, if it is there.
func (l *link) loseLocked(at *attachment, reason error) {
	if l.live.Load() != at {
		return
	}
	l.live.Store(nil)
	if l.cfg.lazy {
		l.wanted = false
	}
	l.failure = reason
	l.patience.lost(&l.e.c.o)
	if f := l.cfg.down; f != nil {
		l.e.c.tellLocked(&l.e.tellers, func() { f(at.gen, reason) })
	}
}
