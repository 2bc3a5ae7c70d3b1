package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/dialled"
)

// Client is the back end's way to a hub, from [New]. Its methods may be called from
// any goroutine. Of any other Client, nil included, and with a nil context, they fail
// with [hubwire.ArgumentInvalid]. Close it when done.
//
// It owns the goroutines of its connections: two for each of HTTPS; those of the one for AMQP, and of that to the events,
// while there are any (package amqp/links says which).
type Client struct {
	o         Options
	cred      Credentials
	tokens    *tokens
	transport *http.Transport
	wire      *wire
	conns     dialled.Conns

	life context.Context // ends with Close
	end  context.CancelCauseFunc

	mu    sync.Mutex
	calls int           // attempts and dials under way
	idle  chan struct{} // made by Close while there are calls; closed by the last of them
}

// New returns a Client for the connection string of a shared access policy. It connects to nothing yet.
//
//	HostName={hub};SharedAccessKeyName={policy};SharedAccessKey={key}
//
// [CredentialsFromConnectionString] has the other form. Every error is a
// [*hubwire.Error] with [hubwire.ArgumentInvalid].
func New(connectionString string, o *Options) (*Client, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	cred, err := credentials(connectionString, opts.TokenTTL)
	if err != nil {
		return nil, err
	}
	return newClient(cred, opts)
}

// NewWithCredentials is [New] for credentials that are not a connection string:
// Entra ID, a token source of one's own.
func NewWithCredentials(cred Credentials, o *Options) (*Client, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return newClient(cred, opts)
}

func newClient(cred Credentials, o Options) (*Client, error) {
	if err := cred.check(); err != nil {
		return nil, err
	}
	c := &Client{o: o, cred: cred, tokens: newTokens(cred.Tokens, cred.HostName), wire: newWire()}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.transport = c.newTransport()
	return c, nil
}

// HostName returns the hub's name.
func (c *Client) HostName() string {
	if c == nil {
		return ""
	}
	return c.cred.HostName
}

// Format prints which hub it is of, for every verb: what is inside is busy, and not for print.
func (c *Client) Format(f fmt.State, _ rune) { io.WriteString(f, "client of "+c.HostName()) }

// host is what stands in URLs.
func (c *Client) host() string {
	if c.o.Port == 443 {
		return c.cred.HostName
	}
	return c.cred.HostName + ":" + strconv.Itoa(c.o.Port)
}

func (c *Client) userAgent() string {
	if c.o.ProductInfo == "" {
		return product
	}
	return product + " " + c.o.ProductInfo
}

// ready returns why no call can begin.
func (c *Client) ready(ctx context.Context, op string) error {
	switch {
	case ctx == nil:
		return invalid(op, "the context is nil")
	case c == nil || c.transport == nil:
		return invalid(op, "a Client comes from New")
	}
	return nil
}

// Close ends the Client and the calls under way, which fail with an error that matches
// [net.ErrClosed], and closes its connections. It may be called more than once, at any time, also
// when the hub is stalled. The error is nil or, when [Options].Dial or a token source has not returned
// within CloseTimeout after its context ended, or a Close of Dial's net.Conn, one that matches [context.DeadlineExceeded]; the Client has
// ended all the same.
func (c *Client) Close() error {
	if c == nil || c.transport == nil {
		return nil
	}
	c.end(errClosed)
	defer c.transport.CloseIdleConnections()
	wire := make(chan error, 1)
	go func() { wire <- c.wire.close() }() // which is bounded itself
	idle := c.whenIdle()
	limit, stop := context.WithTimeout(context.Background(), c.o.CloseTimeout)
	defer stop()
	late := "Options.Dial has not returned after its context ended"
	select {
	case <-idle:
		if err := <-wire; err != nil {
			return err
		}
		c.transport.CloseIdleConnections()
		if c.conns.Wait(limit.Done()) {
			return nil
		}
		late = "a Close of the net.Conn has not returned"
	case <-limit.Done():
		<-wire
	}
	return &hubwire.Error{Op: "close", Outcome: hubwire.Unknown, Err: context.DeadlineExceeded, Message: late}
}

// begin counts an attempt or a dial, unless the Client has ended.
func (c *Client) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return false
	}
	c.calls++
	return true
}

// done ends what begin began.
func (c *Client) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls--; c.calls == 0 && c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// whenIdle returns a channel that is closed when nothing is under way. Nothing begins any more.
func (c *Client) whenIdle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := c.idle
	if idle == nil {
		idle = make(chan struct{})
		if c.calls == 0 {
			close(idle)
		} else {
			c.idle = idle
		}
	}
	return idle
}

// bounded gives ctx the time-out of operations, and what the hub may wait on
// purpose, when it has no deadline.
func (c *Client) bounded(ctx context.Context, waits time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.o.OperationTimeout+waits)
}

// until returns a context that ends with ctx or the Client, whichever is first.
func (c *Client) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(errClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// ended returns why a call whose context is ctx, or one of it, cannot go on, or nil.
func (c *Client) ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case c.life.Err() != nil:
		return errClosed
	case err == nil || errors.Is(cause, err):
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
