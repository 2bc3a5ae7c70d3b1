package service

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp/links"
)

// wire is a Client's side of AMQP: a connection to the hub, made when it is first used, and one to
// the Event Hubs-compatible endpoint while somebody reads from it.
type wire struct {
	connecting chan struct{} // full while a call connects to the hub; a mutex that a context can end
	following  chan struct{} // as that, to the endpoint

	mu       sync.Mutex
	over     bool
	conns    map[*links.Conn]struct{} // all that are open
	hub      *links.Conn
	service  *links.Service
	place    place // of the endpoint, as the hub said last; zero when it is to be asked
	endpoint *endpoint
}

func newWire() *wire {
	return &wire{connecting: make(chan struct{}, 1), following: make(chan struct{}, 1), conns: map[*links.Conn]struct{}{}}
}

// close ends all connections, and those to come.
func (w *wire) close() error {
	w.mu.Lock()
	w.over = true
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	errs := make(chan error, len(conns))
	for conn := range conns {
		go func() { errs <- conn.Close() }()
	}
	var err error
	for range conns {
		err = errors.Join(err, <-errs)
	}
	return err
}

// lock takes a mutex that ctx can end.
func lock(ctx context.Context, mu chan struct{}) error {
	select {
	case mu <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &hubwire.Error{Outcome: hubwire.NotSent, Retryable: true, Err: context.Cause(ctx)}
	}
}

// back returns the hub's side of AMQP, which it connects to if need be.
func (c *Client) back(ctx context.Context) (*links.Service, error) {
	if s := c.wire.standing(); s != nil {
		return s, nil
	}
	if err := lock(ctx, c.wire.connecting); err != nil {
		return nil, err
	}
	defer func() { <-c.wire.connecting }()
	if s := c.wire.standing(); s != nil {
		return s, nil
	}
	w := c.wire
	w.mu.Lock()
	conn := w.hub
	w.mu.Unlock()
	if conn == nil || conn.Err() != nil {
		var err error
		if conn, err = c.newConn(place{host: c.cred.HostName, port: c.o.AMQPPort, path: hubPath}); err != nil {
			return nil, err
		}
	}
	s, err := conn.Service(ctx, c.identity())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hub, w.service = conn, s
	return s, err
}

// standing returns what there is, if it has not ended.
func (w *wire) standing() *links.Service {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.service == nil || w.service.Err() != nil {
		return nil
	}
	return w.service
}

// identity is who a Client is over AMQP.
func (c *Client) identity() *links.ServiceOptions {
	return &links.ServiceOptions{Tokens: c.cred.Tokens, ClientVersion: c.userAgent()}
}

// newConn makes a connection to a place, which connects when it is used.
func (c *Client) newConn(at place) (*links.Conn, error) {
	conn, err := links.New(&links.Options{
		Dial:             func(ctx context.Context) (net.Conn, error) { return c.dialAMQP(ctx, at) },
		HostName:         at.host,
		KeepAlive:        c.o.KeepAlive,
		ConnectTimeout:   c.o.RequestTimeout,
		OperationTimeout: c.o.RequestTimeout,
		MinBackoff:       c.o.MinBackoff,
		MaxBackoff:       c.o.MaxBackoff,
		CloseTimeout:     c.o.CloseTimeout,
	})
	if err != nil {
		return nil, err
	}
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return nil, &hubwire.Error{Outcome: hubwire.NotSent, Err: errClosed}
	}
	for old := range w.conns {
		if old.Err() != nil {
			delete(w.conns, old)
		}
	}
	w.conns[conn] = struct{}{}
	return conn, nil
}

// drop closes a connection that nobody uses any more.
func (w *wire) drop(conn *links.Conn) {
	_ = conn.Close() // which ends it, whatever it says
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, conn)
}

// wired is an error of package links, or of a context, as that of the call op.
func (c *Client) wired(ctx context.Context, op string, err error) error {
	e := *asError(err)
	e.Op = op
	ended := c.ended(ctx)
	switch {
	case ended == nil, errors.Is(err, ended): // which says more, such as why it was waited
	case errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Err = ended
		e.Retryable = ended != errClosed
	}
	return &e
}
