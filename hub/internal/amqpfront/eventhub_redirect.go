package amqpfront

import (
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// The events have two addresses. That of the IoT Hub, messages/events, refuses each link, and says where the
// Event Hubs-compatible endpoint is, which here is at the same host: a client connects anew, and asks for the
// same there by the name of the endpoint (spec/amqp.md 6.1). Who connects with the endpoint's own
// connection string goes there at once. With Options.NoRedirect both are served.

// amqpPort is the port that AMQP has everywhere. Clients cut the address of a redirect at it.
const amqpPort = 5671

func (c *conn) attachEventsSender(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Receiver, error) {
	there, err := c.redirect(a, to)
	if err != nil {
		return nil, err
	}
	return c.attachManagement(a, &there)
}

func (c *conn) attachEventsReceiver(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	there, err := c.redirect(a, to)
	switch {
	case err != nil:
		return nil, err
	case there.Node == amqp.Management:
		return c.attachManager(a, &there)
	}
	return c.attachPartition(a, &there)
}

// redirect refuses a link to the events, or returns its address at the endpoint when that is to be
// served in place.
func (c *conn) redirect(a *amqpserver.Attach, to *amqp.Address) (there amqp.Address, err error) {
	if refused := c.allow(a.Link, "/messages/events", core.ServiceConnect); refused != nil {
		return there, amqp.FromWire(refused)
	}
	c.leaveService(a.Link)
	if !c.server.opt.NoRedirect {
		return there, amqp.NewRedirect(*to, c.server.opt.HostName, amqpPort, c.server.eventHub())
	}
	there, err = amqp.ParseAddress(a.Peer.Role, c.server.eventHub()+to.Tail)
	there.Tail = to.Tail // that it was asked for so
	return there, err
}

// eventsPath is what tokens are for that allow a link to the endpoint: path, or where the link
// was asked for by the other address, that.
func eventsPath(to *amqp.Address, path string) string {
	if to.Tail != "" {
		return "/messages/events" + to.Tail
	}
	return path
}
