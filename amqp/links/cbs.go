package links

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/sas"
)

// cbs puts tokens (claims-based security): all those of a connection, over one pair of links to
// $cbs in a session of their own, which is attached for the first. An answer belongs to the
// request whose message-id it repeats. While there are requests, one goroutine waits for
// answers.
type cbs struct {
	n    *network
	lock chan struct{} // whose holder may attach; waiting for it can end

	mu      sync.Mutex
	pair    *cbsPair // nil: to be attached
	pending map[string]*put
	pumping bool
	idle    context.CancelFunc // ends the wait for an answer when none is due
	last    uint64             // message-id
	mute    int                // requests in a row that were not answered
}

// cbsPair is the links.
type cbsPair struct {
	session  *goamqp.Session
	desk     desk
	sender   *goamqp.Sender
	receiver *goamqp.Receiver
}

// put is a request under way.
type put struct {
	answered context.Context // ends when err is set
	answer   context.CancelFunc
	err      error // of the answer; nil is the token's acceptance
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
	c.n, c.lock, c.pending = n, make(chan struct{}, 1), make(map[string]*put)
}

// put shows a token and returns when it is accepted. A refusal is a *hubwire.Error with
// outcome Refused: its code is that of the description, else of the status.
func (c *cbs) put(ctx context.Context, audience, token string) error {
	pair, err := c.ready(ctx)
	if err != nil {
		return err
	}
	id, p := c.register()
	defer c.settle(id, p, nil)
	msg, err := putTokenMessage(id, audience, token)
	if err != nil {
		return err
	}
	receipt, err := pair.desk.send(ctx, pair.sender, msg)
	if err != nil {
		return c.failed(ctx, pair, err)
	}
	c.pump()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.answered, cancel)() // some answer before they settle the request, or never do
	if receipt != nil {
		if state, _ := receipt.Wait(waiting); state != nil {
			if _, ok := state.(*goamqp.StateRejected); ok {
				return verdict(putTokenOp, amqp.CBS, state)
			}
		}
	}
	select {
	case <-p.answered.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.mute = 0
		return p.err
	case <-ctx.Done():
		return c.failed(ctx, pair, ctx.Err())
	}
}

func putTokenMessage(id, audience, token string) (*goamqp.Message, error) {
	kind := amqp.SASTokenType
	if strings.HasPrefix(token, bearer) {
		kind = bearerType
	}
	m := new(goamqp.Message)
	err := m.UnmarshalBinary(amqp.AppendPutToken(nil, &amqp.PutToken{
		ID: amqp.String(id).Value(), To: cbsAddress, ReplyTo: cbsReplyTo,
		Type: kind, Name: audience, Token: sas.NewSecret(token),
	}))
	return m, err
}

// register makes room for an answer.
func (c *cbs) register() (id string, p *put) {
	p = new(put)
	p.answered, p.answer = context.WithCancel(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	id = strconv.FormatUint(c.last, 10)
	c.pending[id] = p
	return id, p
}

// settle ends the request, if that has not happened yet.
func (c *cbs) settle(id string, p *put, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked(id, p, err)
}

func (c *cbs) settleLocked(id string, p *put, err error) {
	if c.pending[id] != p {
		return
	}
	delete(c.pending, id)
	p.err = err
	p.answer()
	if len(c.pending) == 0 && c.idle != nil {
		c.idle()
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
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pair, c.mute = pair, 0
	return pair, nil
}

// attach attaches the links in a session of their own.
func (c *cbs) attach(ctx context.Context) (pair *cbsPair, err error) {
	n := c.n
	session, err := n.conn.NewSession(ctx, nil)
	if err != nil {
		c.silent(ctx, err)
		return nil, err
	}
	pair = &cbsPair{session: session, desk: newDesk(n.c)}
	defer func() {
		if err != nil {
			c.silent(ctx, err)
			n.c.mu.Lock()
			defer n.c.mu.Unlock()
			n.c.closeLocked(n, session, nil)
		}
	}()
	out, in := n.attachment(nil, session), n.attachment(nil, session)
	defer n.tap.forget(out)
	defer n.tap.forget(in)
	pair.sender, err = session.NewSender(ctx, cbsAddress, &goamqp.SenderOptions{Name: out.name, SourceAddress: cbsReplyTo})
	if err != nil {
		return nil, err
	}
	pair.receiver, err = session.NewReceiver(ctx, cbsAddress, &goamqp.ReceiverOptions{Name: in.name, TargetAddress: cbsReplyTo, Credit: cbsCredit})
	if err != nil {
		return nil, err
	}
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if out.over || in.over {
		return nil, errors.New("links: the links to $cbs were detached at once")
	}
	return pair, nil
}

// silent notes that the links could not be had: where there is no answer at all, the
// connection is of no use to anybody.
func (c *cbs) silent(ctx context.Context, err error) {
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.n.fail(ErrStalled)
	}
}

// failed notes how a request failed that was not answered.
func (c *cbs) failed(ctx context.Context, pair *cbsPair, err error) error {
	lv, _ := ending(err)
	c.mu.Lock()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.mute++
	}
	useless := c.pair == pair && (lv > levelRefusal || c.mute >= maxMutePuts)
	if useless {
		c.dropLocked()
	}
	c.mu.Unlock()
	if useless {
		c.n.c.mu.Lock() // which comes before c.mu
		defer c.n.c.mu.Unlock()
		c.n.c.closeLocked(c.n, pair.session, nil)
	}
	return err
}

// dropLocked has the next request attach the links anew.
func (c *cbs) dropLocked() {
	c.pair = nil
	if c.idle != nil {
		c.idle()
	}
}

// lost notes that one of the links has ended, and fails the requests.
func (c *cbs) lost(at *attachment, reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair == nil || c.pair.session != at.session {
		return
	}
	c.dropLocked()
	for id, p := range c.pending {
		c.settleLocked(id, p, reason)
	}
}

// pump sees to it that somebody waits for answers.
func (c *cbs) pump() {
	c.mu.Lock()
	start := !c.pumping
	c.pumping = true
	c.mu.Unlock()
	if start {
		c.n.c.mu.Lock()
		defer c.n.c.mu.Unlock()
		c.n.c.startLocked(c.receive)
	}
}

// receive waits for answers as long as some are due.
func (c *cbs) receive() {
	for {
		c.mu.Lock()
		pair := c.pair
		if len(c.pending) == 0 || pair == nil {
			c.pumping, c.idle = false, nil
			c.mu.Unlock()
			return
		}
		var ctx context.Context
		ctx, c.idle = context.WithCancel(context.Background())
		idle := c.idle
		c.mu.Unlock()
		msg, err := pair.receiver.Receive(ctx, nil)
		if err == nil {
			c.answered(pair, msg)
		}
		idle()
		if lv, _ := ending(err); lv > levelRefusal {
			c.lost(&attachment{session: pair.session}, asError(putTokenOp, amqp.CBS, err))
		}
	}
}

// answered gives an answer to whoever waits for it.
func (c *cbs) answered(pair *cbsPair, msg *goamqp.Message) {
	if err := pair.receiver.AcceptMessage(context.Background(), msg); err != nil {
		return // the link has ended
	}
	var id string
	_, err := decode(msg, func(m *amqp.Message) (none struct{}, err error) {
		r, err := amqp.ParseResponse(m)
		text, _ := r.ID.Text()
		id = string(text)
		if err == nil {
			err = r.Err(putTokenOp)
		}
		return none, err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pending[id]; p != nil { // else it is too late, or nobody's
		c.settleLocked(id, p, err)
	}
}
