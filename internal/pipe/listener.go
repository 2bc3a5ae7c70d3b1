package pipe

import (
	"context"
	"net"
	"sync"
)

// Listener is a [net.Listener] whose connections come from Dial and Offer.
type Listener struct {
	addr    net.Addr
	waiting chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// Listen returns a listener.
func Listen(addr net.Addr) *Listener {
	return &Listener{addr: addr, waiting: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial returns the client's end of a new connection when the server's end was
// accepted. The error is that of [Listener.Offer].
func (l *Listener) Dial(ctx context.Context, client net.Addr) (net.Conn, error) {
	c, s := New(client, l.addr)
	if err := l.Offer(ctx, s); err != nil {
		return nil, err
	}
	return c, nil
}

// Offer returns when a connection, by its server's end, was accepted. The error is
// [net.ErrClosed] when the listener is closed, or the context's.
func (l *Listener) Offer(ctx context.Context, server net.Conn) error {
	select {
	case l.waiting <- server:
		return nil
	case <-l.closed:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Accept waits for a connection. The error is [net.ErrClosed] after Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Connections live on.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.addr }
