package amqpfront

import (
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// Links of a service imitate the developer guide's "Control access to IoT Hub": all of them need the
// right ServiceConnect, by a token of a policy or, at the Event Hubs-compatible endpoint, by its key.
// The token must cover the path of the link, so one for a part of the hub is good for that part.
// Intercept functions see what a service does, and not what goes out to it.

// serving is a link of a service. What leads to a node embeds it.
type serving struct {
	conn *conn
	link *amqpserver.Link
}

// serve lets a service have a link to an address, of which any of paths is what tokens are for. A link
// that it has let through must leave.
func (c *conn) serve(a *amqpserver.Attach, to *amqp.Address, paths ...string) (serving, error) {
	var refused *amqp10.Error
	for _, path := range paths {
		if refused = c.allow(a.Link, path, core.ServiceConnect); refused == nil {
			break
		}
	}
	if refused != nil {
		return serving{}, amqp.FromWire(refused)
	}
	n := serving{c, a.Link}
	if a.Peer.Role == amqp.Receiver {
		v, err := c.intercept(&core.Op{Kind: core.OpSubscribe, Name: to.String()})
		if err == nil {
			err = c.answered(v)
		}
		if err != nil {
			n.leave()
			return serving{}, err
		}
	}
	return n, nil
}

func (n *serving) leave() { n.conn.leaveService(n.link) }
