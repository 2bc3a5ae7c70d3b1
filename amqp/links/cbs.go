package links

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/sas"
)

// cbs puts tokens (claims-based security): all those of a connection, over one pair of links to
// $cbs in a session of their own, which is attached for the first. An answer belongs to the
// request whose message-id it repeats.
type cbs struct {
	n    *network
	lock chan struct{} // whose holder may attach; waiting for it can end

	mu      sync.Mutex
	pair    *cbsPair // nil: to be attached
	pending map[uint64]chan error
	last    uint64 // message-id
	mute    int    // requests in a row that were not answered
}

// cbsPair is the links.
type cbsPair struct {
	c        *cbs
	session  *amqpclient.Session
	sender   *amqpclient.Sender
	receiver *amqpclient.Receiver
}

const (
	cbsAddress  = "$cbs"
	cbsReplyTo  = "cbs"
	cbsCredit   = 2 * atOnce
	bearer      = "Bearer "
	bearerType  = "Bearer" // of Azure AD's tokens, which the hub knows by what they begin with
	putTokenOp  = "put-token"
	maxMutePuts = 3 // requests in a row without an answer, after which the links are attached anew
)

func (c *cbs) init(n *network) {
	c.n, c.lock, c.pending = n, make(chan struct{}, 1), make(map[uint64]chan error)
}

// put shows a token and returns when it is accepted. A refusal is a *hubwire.Error with
// outcome Refused: its code is that of the description, else of the status.
func (c *cbs) put(ctx context.Context, audience, token string) error {
	pair, err := c.ready(ctx)
	if err != nil {
		return err
	}
	id, answer := c.register()
	defer c.settle(id, nil)
	if err := pair.sender.Send(ctx, putTokenMessage(id, audience, token), amqpclient.Outgoing{Token: id}); err != nil {
		return c.failed(ctx, pair, err)
	}
	select {
	case err := <-answer:
		if !hasEnded(err) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.mute = 0
		}
		return err
	case <-ctx.Done():
		return c.failed(ctx, pair, ctx.Err())
	}
}

func putTokenMessage(id uint64, audience, token string) []byte {
	kind := amqp.SASTokenType
	if strings.HasPrefix(token, bearer) {
		kind = bearerType
	}
	return amqp.AppendPutToken(nil, &amqp.PutToken{
		ID: amqp.String(strconv.FormatUint(id, 10)).Value(), To: cbsAddress, ReplyTo: cbsReplyTo,
		Type: kind, Name: audience, Token: sas.NewSecret(token),
	})
}

// register makes room for an answer: nil is the token's acceptance.
func (c *cbs) register() (id uint64, answer chan error) {
	answer = make(chan error, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.pending[c.last] = answer
	return c.last, answer
}

// settle ends the request, if that has not happened yet: it is too late then, or nobody's.
func (c *cbs) settle(id uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer := c.pending[id]; answer != nil {
		delete(c.pending, id)
		answer <- err
	}
}

// ready returns the links, attached if need be.
func (c *cbs) ready(ctx context.Context) (*cbsPair, error) {
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c.mu.Lock()
	pair := c.pair
	c.mu.Unlock()
	if pair != nil {
		return pair, nil
	}
	pair, err := c.attach(ctx)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			c.n.fail(ErrStalled) // where there is no answer at all, the connection is of no use to anybody
		}
		return nil, err
	}
	return pair, nil
}

// attach attaches the links in a session of their own.
func (c *cbs) attach(ctx context.Context) (_ *cbsPair, err error) {
	n := c.n
	p := &cbsPair{c: c}
	if p.session, err = n.conn.Begin(ctx, nil); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.leave()
		}
	}()
	p.sender, err = p.session.Sender(ctx, &amqpclient.SenderOptions{
		Target: cbsAddress, Source: cbsReplyTo, Secret: true, OnSettled: p.settled, OnEnd: p.ended,
	})
	if err != nil {
		return nil, err
	}
	p.receiver, err = p.session.Receiver(ctx, &amqpclient.ReceiverOptions{
		Source: cbsAddress, Target: cbsReplyTo, Credit: cbsCredit, OnDelivery: p.answered, OnEnd: p.ended,
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pair, c.mute = p, 0
	for _, l := range []handle{p.sender, p.receiver} {
		if err := l.Err(); err != nil { // in that moment
			c.pair = nil
			return nil, err
		}
	}
	return p, nil
}

// failed notes how a request failed that was not answered.
func (c *cbs) failed(ctx context.Context, pair *cbsPair, err error) error {
	c.mu.Lock()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.mute++
	}
	useless := c.pair == pair && (hasEnded(err) || c.mute >= maxMutePuts)
	if useless {
		c.pair = nil // the next request has the links attached anew
	}
	c.mu.Unlock()
	if useless {
		pair.leave()
	}
	return err
}

// settled is told what becomes of requests. One that was accepted is still to be answered; and some answer before they settle, or
// never do.
func (p *cbsPair) settled(first, last uint64, state amqp10.State) {
	if state.Kind() != amqp10.DescRejected {
		return
	}
	err := verdict(putTokenOp, amqp.CBS, state)
	for id := first; id <= last; id++ {
		p.c.settle(id, err)
	}
}

// answered gives an answer to whoever waits for it.
func (p *cbsPair) answered(d *amqpclient.Delivery) {
	take(d.Link, d.ID, d.Settled)
	m, err := amqp.ParseMessage(d.Message)
	if err != nil {
		return
	}
	r, err := amqp.ParseResponse(&m)
	text, _ := r.ID.Text()
	id, syntax := strconv.ParseUint(string(text), 10, 64)
	if syntax != nil {
		return
	}
	if err == nil {
		err = r.Err(putTokenOp)
	}
	p.c.settle(id, err)
}

// ended is told that one of the links has ended. No request on them will be answered.
func (p *cbsPair) ended(reason error) {
	c := p.c
	c.mu.Lock()
	if c.pair != p {
		c.mu.Unlock()
		return
	}
	c.pair = nil
	for id, answer := range c.pending {
		delete(c.pending, id)
		answer <- reason
	}
	c.mu.Unlock()
	p.leave()
}

// leave ends the session, which nobody wants any more.
func (p *cbsPair) leave() {
	n := p.c.n
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.c.closeLocked(n, p.session, nil)
}
