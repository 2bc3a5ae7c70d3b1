package links

import (
	"context"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/sas"
)

// ServiceOptions are who a [Service] or an [EventHub] is. Tokens is required; of the rest the
// zero value means the defaults.
type ServiceOptions struct {
	// Tokens gives what is put to $cbs: a shared access signature of a policy with the right
	// ServiceConnect, or "Bearer " and a token of Microsoft Entra ID.
	Tokens sas.TokenSource

	// Audience is what a token is asked for. Empty means the name of the hub, and for an
	// EventHub "sb://{host}/{name}".
	Audience string

	// ClientVersion goes into the properties of the links. Empty: none.
	ClientVersion string

	// OnState tells of each change, one at a time, in order, with its reason: nil for
	// Connected, and for Closed after Close. nil: nobody is told.
	OnState func(State, error)
}

// open makes an entity of that name, and returns when it is up.
func (c *Conn) open(ctx context.Context, name, audience string, o *ServiceOptions) (*entity, error) {
	const op = "connect"
	switch {
	case !c.begun():
		return nil, invalid(op, "a Conn comes from New")
	case ctx == nil:
		return nil, invalid(op, "the context is nil")
	case o == nil || o.Tokens == nil:
		return nil, invalid(op, "ServiceOptions have no Tokens")
	}
	if o.Audience != "" {
		audience = o.Audience
	}
	e, err := c.add(entityConfig{
		name: name, audience: audience, tokens: o.Tokens, onState: o.OnState,
		properties: wire(amqp.LinkProperties{ClientVersion: o.ClientVersion}),
	})
	if err != nil {
		return nil, err
	}
	if err := e.open(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// host is the name of the host that c is to.
func (c *Conn) host() string {
	if c == nil {
		return ""
	}
	return c.o.HostName
}

// Service is a back end on a [Conn]: it sends to devices, and gets feedback and notifications of
// files. Its links are attached on first use, and from then on restored. Its methods may be called
// from any goroutine. Every error is a [*hubwire.Error].
type Service struct {
	e        *entity
	c2d      outgoing
	feedback *inbox
	files    *inbox
}

// Service puts a token, and returns when the hub has accepted it, or surely will not. There is
// one Service on a Conn at a time.
func (c *Conn) Service(ctx context.Context, o *ServiceOptions) (*Service, error) {
	e, err := c.open(ctx, "service", c.host(), o)
	if err != nil {
		return nil, err
	}
	s := &Service{
		e:        e,
		feedback: newNotifications(e, "receive feedback", amqp.Feedback),
		files:    newNotifications(e, "receive file notification", amqp.FileNotifications),
	}
	s.c2d.init(e, linkTo(amqp.C2DSend), c.o.OperationTimeout)
	return s, nil
}

// linkTo is the configuration of a link to a node that has one address.
func linkTo(n amqp.Node) linkConfig {
	return linkConfig{node: n, address: amqp.Address{Node: n}.String()}
}

// ready returns why no call can begin.
func (s *Service) ready(ctx context.Context, op string) error {
	switch {
	case ctx == nil:
		return invalid(op, "the context is nil")
	case s == nil || s.e == nil:
		return invalid(op, "a Service comes from Conn.Service")
	}
	return nil
}

// Close ends the Service and its calls, and leaves the Conn alone.
func (s *Service) Close(ctx context.Context) error {
	if err := s.ready(ctx, "close"); err != nil {
		return err
	}
	return s.e.close(ctx)
}

// Err returns nil while the Service lives, and then why it has ended: [ErrClosed], or what
// waiting cannot mend.
func (s *Service) Err() error {
	if s == nil || s.e == nil {
		return nil
	}
	return s.e.err()
}

// EventsAt asks the hub where its events are. The zero Redirect, without an error, means that it
// serves them itself.
//
// Source: spec/amqp.md 6.1.
func (s *Service) EventsAt(ctx context.Context) (amqp.Redirect, error) {
	const op = "find events"
	if err := s.ready(ctx, op); err != nil {
		return amqp.Redirect{}, err
	}
	r := s.e.receiver(receiverConfig{
		linkConfig: linkConfig{node: amqp.Events, address: amqp.Address{Node: amqp.Events, Tail: "/$management"}.String(), lazy: true},
	})
	defer r.close(ctx)
	_, _, err := r.link(ctx, 0)
	if err == nil {
		return amqp.Redirect{}, nil
	}
	if to, ok := redirectOf(err); ok {
		return to, nil
	}
	return amqp.Redirect{}, withOp(op, err)
}
