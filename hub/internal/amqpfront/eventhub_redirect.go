package amqpfront

import (
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// The events have two addresses. That of the IoT Hub, messages/events, refuses each link, and says where the
// Event Hubs-compatible endpoint is, which here is at the same host: a client connects anew, and asks for the
// same there by the name of the endpoint (spec/amqp.md 6.1). Who connects with the endpoint's own
// connection string goes there at once.

// amqpPort is the port that AMQP has everywhere. Clients cut the address of a redirect at it.
const amqpPort = 5671

func (c *conn) redirectSender(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Receiver, error) {
	return nil, c.redirect(a, to)
}

func (c *conn) redirectReceiver(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	return nil, c.redirect(a, to)
}

// redirect refuses a link to the events.
func (c *conn) redirect(a *amqpserver.Attach, to *amqp.Address) error {
	if refused := c.allow(a.Link, "/messages/events", core.ServiceConnect); refused != nil {
		return amqp.FromWire(refused)
	}
	c.leaveService(a.Link)
	return amqp.NewRedirect(*to, c.server.opt.HostName, amqpPort, c.server.eventHub())
}
