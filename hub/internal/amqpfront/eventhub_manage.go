package amqpfront

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// $management imitates that of Event Hubs: READ of the event hub and of a partition, by requests on one
// link and answers on another, which is the one whose target the request names in reply-to, or else
// the newest of its session. Left out: all other operations, and security_token, since the links were
// allowed already.

// managementCredit is how many requests may be under way on one link.
const managementCredit = 100

// management is the node that requests are sent to.
type management struct {
	serving
}

func (c *conn) attachManagement(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Receiver, error) {
	s, err := c.serveManagement(a, to)
	if err != nil {
		return nil, err
	}
	a.Credit = managementCredit
	return &management{s}, nil
}

// serveManagement is serve of either link. A token of some SDKs is for the event hub's node, and of
// others for the one that all of the host share.
func (c *conn) serveManagement(a *amqpserver.Attach, to *amqp.Address) (serving, error) {
	if err := c.checkEventHub(to.EventHub); err != nil {
		return serving{}, err
	}
	return c.serve(a, to, eventsPath(to, "/"+c.server.eventHub()+"/$management"), eventsPath(to, "/$management"))
}

// Detached implements [amqpserver.Node].
func (n *management) Detached(error) { n.leave() }

// Deliver implements [amqpserver.Receiver].
func (n *management) Deliver(d *amqpserver.Delivery) {
	m, err := amqp.ParseMessage(d.Message)
	if err != nil {
		d.Settle(amqp10.Rejected(failure(undecodable("manage", err))))
		return
	}
	r, err := amqp.ParseReadRequest(&m)
	var v core.Verdict
	if err == nil {
		v, err = n.conn.intercept(&core.Op{Kind: core.OpRequest, Name: "READ " + r.EventHub + "/" + r.Partition})
	}
	switch {
	case err != nil && refusal(err) == nil: // the connection is over
		return
	case v.DropAfter:
		n.conn.cut()
		return
	case v.SwallowAck:
		return
	}
	to := n.conn.managerFor(n.link, r.ReplyTo)
	if to == nil {
		d.Settle(amqp10.Rejected(&amqp10.Error{Condition: amqp10.PreconditionFailed, Description: "there is no link for the answer"}))
		return
	}
	d.Settle(amqp10.Accepted())
	to.answer(n.link, parcel{message: n.conn.server.manage(n.conn.ctx, &r, err)})
}

// manage returns the answer to a request, or to one that was refused.
func (s *Server) manage(ctx context.Context, r *amqp.ReadRequest, err error) []byte {
	refuse := func(err error) []byte {
		no := amqp.NewResponse(r.ID, err)
		return amqp.AppendResponse(nil, &no)
	}
	switch {
	case err != nil:
		return refuse(err)
	case !strings.EqualFold(r.EventHub, s.eventHub()):
		return refuse(&hubwire.Error{Code: hubwire.NotFound, Message: "there is no such Event Hub"})
	case r.Partition == "":
		return amqp.AppendEventHubInfo(nil, r.ID, s.describeEventHub())
	}
	p, err := s.describePartition(ctx, r.Partition)
	if err != nil {
		return refuse(err)
	}
	return amqp.AppendPartitionInfo(nil, r.ID, p)
}

func (s *Server) describeEventHub() *amqp.EventHubInfo {
	i := &amqp.EventHubInfo{Name: s.eventHub(), CreatedAt: s.core.Created()}
	for n := range s.core.Partitions() {
		i.Partitions = append(i.Partitions, strconv.Itoa(n))
	}
	return i
}

func (s *Server) describePartition(ctx context.Context, id string) (*amqp.PartitionInfo, error) {
	n, ok := partitionOf(id)
	if !ok || n >= s.core.Partitions() {
		return nil, &hubwire.Error{Code: hubwire.NotFound, Message: "there is no such partition"}
	}
	b, err := s.core.PartitionBounds(ctx, n)
	if err != nil {
		return nil, err
	}
	i := &amqp.PartitionInfo{
		EventHub: s.eventHub(), Partition: id, Begin: b.First, Empty: b.First == b.Next,
		LastSequence: b.Next - 1, LastOffset: "-1", LastTime: b.Last.Time,
	}
	if b.Next > 0 {
		i.LastOffset = strconv.FormatInt(b.Last.Offset, 10)
	}
	return i, nil
}

// manager is the node that answers come from.
type manager struct {
	serving
	outbox
	address string // the client's own, for reply-to
}

func (c *conn) attachManager(a *amqpserver.Attach, to *amqp.Address) (amqpserver.Sender, error) {
	s, err := c.serveManagement(a, to)
	if err != nil {
		return nil, err
	}
	address, _ := a.Peer.Target.Value.Address.Text()
	n := &manager{s, outbox{conn: c, link: a.Link}, string(address)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.managers = append(c.managers, n)
	return n, nil
}

// Detached implements [amqpserver.Node].
func (n *manager) Detached(error) {
	c := n.serving.conn
	c.mu.Lock()
	c.managers = slices.DeleteFunc(c.managers, func(m *manager) bool { return m == n })
	c.mu.Unlock()
	n.close()
	n.leave()
}

// managerFor returns where the answer to a request goes, or nil when there is no such link.
func (c *conn) managerFor(from *amqpserver.Link, replyTo string) *manager {
	c.mu.Lock()
	defer c.mu.Unlock()
	var newest *manager
	for _, m := range slices.Backward(c.managers) {
		switch {
		case replyTo != "" && m.address == replyTo:
			return m
		case newest == nil && m.serving.link.Session() == from.Session():
			newest = m
		}
	}
	return newest
}
