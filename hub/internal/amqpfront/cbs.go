package amqpfront

import (
	"slices"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/sas"
)

// Claims-based security imitates IoT Hub: put-token on a pair of links to $cbs, which needs no
// right. The answer goes to the link of the same session, or else the newest; reply-to is not
// looked at, which SDKs fill with anything. The disposition goes first, since uAMQP fails otherwise. A
// token that is refused leaves the one before it in force. What the request says of the token's
// kind, audience and expiry does not count, but what the token says.

// cbsCredit is how many requests may be under way on one link.
const cbsCredit = 100

// tokens is the node that tokens are put to.
type tokens struct {
	conn *conn
	link *amqpserver.Link
}

func (c *conn) attachTokens(a *amqpserver.Attach, _ *amqp.Address) (amqpserver.Receiver, error) {
	a.Credit = cbsCredit
	return &tokens{c, a.Link}, nil
}

// Detached implements [amqpserver.Node].
func (n *tokens) Detached(error) {}

// Deliver implements [amqpserver.Receiver].
func (n *tokens) Deliver(d *amqpserver.Delivery) {
	m, err := amqp.ParseMessage(d.Message)
	if err != nil {
		d.Settle(amqp10.Rejected(failure(undecodable("put token", err))))
		return
	}
	r, err := amqp.ParsePutToken(&m)
	var v core.Verdict
	if err == nil {
		v, err = n.conn.intercept(&core.Op{Kind: core.OpToken, Name: r.Name})
	}
	if err == nil {
		err = n.conn.putToken(r.Token)
	}
	if err != nil && refusal(err) == nil {
		return // the connection is over
	}
	if n.conn.settle(d.Receipt(), v); v.DropAfter || v.SwallowAck {
		return
	}
	if to := n.conn.answerLink(n.link); to != nil {
		answer := amqp.NewResponse(r.ID, err)
		to.answer(n.link, parcel{message: amqp.AppendResponse(nil, &answer)})
	}
}

// putToken takes a token for the links of the connection.
func (c *conn) putToken(token sas.Secret) error {
	cred, err := c.checkToken(token)
	if err != nil {
		return err
	}
	return c.admit(cred)
}

// checkToken checks a token for what it says itself.
func (c *conn) checkToken(token sas.Secret) (*credential, error) {
	token = sas.NewSecret(strings.Clone(token.Reveal()))
	t, err := sas.ParseToken(token.Reveal())
	if err != nil { // also a token of Entra ID, which this hub does not know
		c.server.opt.Log.Warn("login refused", "protocol", c.peer.Protocol, "peer", c.peer.Raw.RemoteAddr(), "reason", err)
		return nil, &hubwire.Error{Op: "put token", Code: hubwire.Unauthorized, Outcome: hubwire.Refused, Message: "the token is not a shared access signature"}
	}
	cred := &credential{token: token}
	if t.Policy != "" {
		cred.pass, err = c.server.core.PolicyPass(token)
	} else {
		cred.grant, err = c.server.core.AuthenticateToken(c.ctx, c.peer.Protocol, token)
	}
	return cred, err
}

// tokenAnswers is the node that the answers come from.
type tokenAnswers struct{ outbox }

func (c *conn) attachTokenAnswers(a *amqpserver.Attach, _ *amqp.Address) (amqpserver.Sender, error) {
	n := &tokenAnswers{outbox{conn: c, link: a.Link}}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cbs = append(c.cbs, &n.outbox)
	return n, nil
}

// Detached implements [amqpserver.Node].
func (n *tokenAnswers) Detached(error) {
	c := n.conn
	c.mu.Lock()
	c.cbs = slices.DeleteFunc(c.cbs, func(o *outbox) bool { return o == &n.outbox })
	c.mu.Unlock()
	n.close()
}

// answerLink returns where the answer to what came by a link goes, or nil when there is none.
func (c *conn) answerLink(from *amqpserver.Link) (to *outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range slices.Backward(c.cbs) {
		if o.link.Session() == from.Session() {
			return o
		}
		if to == nil {
			to = o
		}
	}
	return to
}
