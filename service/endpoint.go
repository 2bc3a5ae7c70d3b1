package service

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/amqp/links"
	"github.com/hubwire/hubwire/internal/backoff"
)

// endpoint is a connection to the Event Hubs-compatible endpoint, which all share that read from it.
// Its users are counted with wire.mu held.
type endpoint struct {
	place
	conn  *links.Conn
	hub   *links.EventHub
	users int
}

// maxRedirects is how often a call is sent on to another place before it is let in.
const maxRedirects = 5

// atEndpoint calls f with the endpoint, and again while it fails for a reason that waiting can mend, or
// because the endpoint has moved: until ctx ends. f reports whether it has got anything done.
func (c *Client) atEndpoint(ctx context.Context, op string, f func(context.Context, *links.EventHub) (progress bool, err error)) error {
	ctx, cancel := c.until(ctx)
	defer cancel()
	tries, redirects := 0, 0
	for {
		progress := false
		e, err := c.enter(ctx)
		if err == nil {
			progress, err = f(ctx, e.hub)
			c.wire.leave(e)
		}
		if err == nil {
			return nil
		}
		if progress {
			tries, redirects = 0, 0
		}
		switch to, moved := movedTo(err); {
		case ctx.Err() != nil:
			return c.wired(ctx, op, err)
		case moved:
			if redirects++; redirects > maxRedirects {
				return &hubwire.Error{Op: op, Code: hubwire.AMQPAddressNotFound, Outcome: hubwire.Refused, Err: ErrRedirects}
			}
			at, err := c.placeOf(to)
			if err != nil {
				return withOp(op, err)
			}
			c.wire.move(at)
			continue
		case !asError(err).Retryable, errors.Is(err, amqp.ResourceLimitExceeded): // readers, who do not go away by themselves
			return c.wired(ctx, op, err)
		}
		c.wire.move(place{})
		select {
		case <-time.After(backoff.Wait(tries, c.o.MinBackoff, c.o.MaxBackoff)):
			tries++
		case <-ctx.Done():
			return c.wired(ctx, op, err)
		}
	}
}

// movedTo returns where the peer sends on to that said err.
func movedTo(err error) (amqp.Redirect, bool) {
	e, ok := errors.AsType[*amqp.Error](err)
	if !ok || e.Redirect == (amqp.Redirect{}) {
		return amqp.Redirect{}, false
	}
	return e.Redirect, true
}

// enter returns the endpoint, which it finds and connects to if need be. The caller leaves it.
func (c *Client) enter(ctx context.Context) (*endpoint, error) {
	w := c.wire
	if err := lock(ctx, w.following); err != nil {
		return nil, err
	}
	defer func() { <-w.following }()
	w.mu.Lock()
	at, e := w.place, w.endpoint
	if e != nil && e.place == at && e.hub.Err() == nil {
		e.users++
		w.mu.Unlock()
		return e, nil
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if at == (place{}) {
		var err error
		if at, err = c.locate(ctx); err != nil {
			return nil, err
		}
	}
	e, err := c.connectTo(ctx, at)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.place, w.endpoint = at, e
	return e, nil
}

func (c *Client) connectTo(ctx context.Context, at place) (*endpoint, error) {
	conn, err := c.newConn(at)
	if err != nil {
		return nil, err
	}
	h, err := conn.EventHub(ctx, at.name, c.identity())
	if err != nil {
		c.wire.drop(conn)
		return nil, err
	}
	return &endpoint{place: at, conn: conn, hub: h, users: 1}, nil
}

// leave ends the connection when nobody uses it any more.
func (w *wire) leave(e *endpoint) {
	w.mu.Lock()
	e.users--
	last := e.users == 0
	if last && w.endpoint == e {
		w.endpoint = nil
	}
	w.mu.Unlock()
	if last {
		w.drop(e.conn)
	}
}

// move has who enters from now on go to another place, or have the hub asked for it. Who is at the
// old one may stay.
func (w *wire) move(to place) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.place, w.endpoint = to, nil
}

// locate asks the hub where its events are.
func (c *Client) locate(ctx context.Context) (place, error) {
	s, err := c.back(ctx)
	if err != nil {
		return place{}, err
	}
	to, err := s.EventsAt(ctx)
	if err != nil {
		return place{}, err
	}
	if to == (amqp.Redirect{}) { // it has them itself, under the name that an endpoint has there
		name, _, _ := strings.Cut(c.cred.HostName, ".")
		return place{host: c.cred.HostName, port: c.o.AMQPPort, path: hubPath, name: name}, nil
	}
	return c.placeOf(to)
}

// placeOf reads a redirect. Its address names the endpoint:
//
//	amqps://{host}:5671/{name}/$management
//
// Source: spec/amqp.md 6.1.
func (c *Client) placeOf(r amqp.Redirect) (place, error) {
	u, err := url.Parse(r.Address)
	if err != nil || r.Hostname == "" && u.Hostname() == "" {
		return place{}, badRedirect(r)
	}
	at := place{host: r.Hostname, dial: r.NetworkHost, port: int(r.Port), path: eventsPath}
	if at.host == "" {
		at.host = u.Hostname()
	}
	if at.port == 0 {
		at.port, _ = strconv.Atoi(u.Port())
	}
	if at.port == 0 {
		at.port = amqpPort
	}
	if at.host == c.cred.HostName && at.port == amqpPort { // itself, whose port the program knows better
		at.port = c.o.AMQPPort
	}
	at.name, _, _ = strings.Cut(strings.TrimLeft(u.Path, "/"), "/")
	if at.name == "" || strings.HasPrefix(at.name, "$") || !isHost(at.host) || at.dial != "" && !isHost(at.dial) {
		return place{}, badRedirect(r)
	}
	return at, nil
}

func badRedirect(r amqp.Redirect) error {
	return &hubwire.Error{Code: hubwire.FormatError, Outcome: hubwire.Refused,
		Message: "the hub redirects the events to " + strconv.Quote(r.Address) + ", which names no Event Hub"}
}
