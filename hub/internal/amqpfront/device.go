package amqpfront

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// failure is the error of AMQP that the hub gives for err.
func failure(err error) *amqp10.Error { return amqp.NewError(tracked(err)).Wire() }

// tracked returns err with a tracking id, as all that the hub refuses has.
func tracked(err error) error {
	e, ok := errors.AsType[*hubwire.Error](err)
	if !ok || e == nil || e.TrackingID != "" {
		return err
	}
	own := *e
	own.TrackingID = httpsx.NewTrackingID(time.Now())
	return &own
}

// An identity is connected from its first link to its last: a token alone does not connect
// it, since the Node SDK puts its token long before it needs a link. When the hub sends it
// away, by a take-over or because its token has expired, its links are detached first, each with
// the error, and the connection is closed a moment later when nobody else is on it: SDKs
// look at their links, and take the end of a connection alone for a network's.

// device is an identity on a connection, as long as it has links. It is the [core.Link] of its session.
type device struct {
	conn    *conn
	id      hubwire.Identity
	chain   []string         // of edge devices that speak for it; see [core.Login]
	speaker hubwire.Identity // whose token it is: its own, or that of the last of the chain

	// Guarded by conn.mu.
	session  *core.Session      // nil until it is connected
	links    []*amqpserver.Link // also those that are about to be
	why      *hubwire.Error     // why the hub sent it away
	messages [2]*messages       // those for the device, and for inputs
	methods  *outbox            // where requests go to
	answers  int                // links that answers to methods come by
	twin     *outbox            // where answers and notifications go to
	desired  bool               // notifications are wanted

	features sync.Mutex // held while the session is told of them
}

// linked is a link of a device. What leads to a node embeds it.
type linked struct {
	device  *device
	link    *amqpserver.Link
	address string
}

// join adds a link to the identity of an address, which it connects if it is the first. Every
// link that has joined must leave.
func (c *conn) join(a *amqpserver.Attach, to *amqp.Address) (linked, error) {
	d, err := c.connected(a, to.Identity)
	if err != nil {
		return linked{}, err
	}
	n := linked{device: d, link: a.Link, address: to.String()}
	if a.Peer.Role == amqp10.RoleReceiver {
		v, err := c.intercept(&core.Op{Kind: core.OpSubscribe, Identity: d.id, Name: n.address})
		if err == nil {
			err = c.answered(v)
		}
		if err != nil {
			n.leave(err)
			return linked{}, err
		}
	}
	return n, nil
}

// connected returns the device of an identity with one more link. A link that is not the first may
// still say the model, as SDKs do on those that send.
func (c *conn) connected(a *amqpserver.Attach, id hubwire.Identity) (*device, error) {
	p, err := amqp.ParseLinkProperties(a.Peer.Properties)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if d := c.devices[id]; d != nil {
		d.links = append(d.links, a.Link)
		c.mu.Unlock()
		if err := refusal(d.session.SetModel(c.ctx, p.ModelID)); err != nil { // else the session is over, of which Close tells
			n := linked{device: d, link: a.Link}
			n.leave(err)
			return nil, err
		}
		return d, nil
	}
	c.mu.Unlock()
	d := &device{conn: c, id: id, speaker: id, links: []*amqpserver.Link{a.Link}}
	v, err := c.intercept(&core.Op{Kind: core.OpConnect, Identity: id})
	if err != nil {
		return nil, err
	}
	if err := d.connect(&p); err != nil {
		return nil, err
	}
	if err := c.answered(v); err != nil {
		n := linked{device: d, link: a.Link}
		n.leave(err)
		return nil, err
	}
	return d, nil
}

// connect begins the session of a device.
func (d *device) connect(p *amqp.LinkProperties) error {
	c := d.conn
	if p.AuthChain != "" {
		d.chain = strings.Split(p.AuthChain, ";")
	}
	if n := len(d.chain); n > 1 {
		d.speaker = hubwire.Identity{DeviceID: d.chain[n-1], ModuleID: core.ActingModule}
	}
	g, err := d.login()
	if err != nil {
		return err
	}
	session, err := c.server.core.Connect(c.ctx, g, &core.ConnectOptions{Protocol: c.peer.Protocol, Apart: true, ModelID: p.ModelID}, d)
	if err != nil {
		return err
	}
	c.mu.Lock()
	d.session = session
	gone := d.why
	if gone == nil {
		c.devices[d.id] = d
		c.arm()
	}
	c.mu.Unlock()
	if gone != nil {
		return gone
	}
	c.server.current.Set(d.id, c, func() bool { return d.session.Err() == nil })
	c.peer.Admit()
	return nil
}

// login authenticates a device by what was shown on the connection: a token that speaks for it, or
// else the certificate of TLS.
func (d *device) login() (*core.Grant, error) {
	c := d.conn
	c.mu.Lock()
	token := c.creds.forDevice(d.speaker)
	c.mu.Unlock()
	return c.server.core.Authenticate(c.ctx, &core.Login{
		Identity: d.id, Protocol: c.peer.Protocol, Chain: d.chain, Token: token, Certificates: c.peer.Certificates,
	})
}

// renew lets the devices that a new credential speaks for last as long as it does.
func (c *conn) renew(cred *credential) {
	c.mu.Lock()
	var ds []*device
	if g := cred.grant; g != nil && g.Identity.ModuleID != core.ActingModule {
		if d := c.devices[g.Identity]; d != nil {
			ds = append(ds, d)
		}
	} else {
		for _, d := range c.devices {
			if cred.speaksFor(d.speaker) {
				ds = append(ds, d)
			}
		}
	}
	c.mu.Unlock()
	for _, d := range ds {
		g, err := d.login()
		if err == nil {
			err = d.session.Renew(g)
		}
		if err != nil { // it goes on with what it had
			c.server.opt.Log.Info("amqp: not renewed", "device", d.id, "error", err)
		}
	}
}

// leave takes a link from its device, which is disconnected with the last. why is nil when the peer
// wanted so.
func (n *linked) leave(why error) {
	d, c := n.device, n.device.conn
	c.mu.Lock()
	i := slices.Index(d.links, n.link)
	if i < 0 { // the hub has sent it away
		c.mu.Unlock()
		return
	}
	d.links = slices.Delete(d.links, i, i+1)
	last := len(d.links) == 0
	if last && c.devices[d.id] == d {
		delete(c.devices, d.id)
	}
	c.mu.Unlock()
	if !last {
		d.tell()
		return
	}
	if why == nil {
		_, _ = c.intercept(&core.Op{Kind: core.OpDisconnect, Identity: d.id}) // it takes no refusal
	}
	c.server.current.Forget(d.id, c)
	d.session.Disconnect()
}

// unsubscribe is leave of a link on which the peer receives.
func (n *linked) unsubscribe(why error) {
	if why == nil {
		_, _ = n.device.conn.intercept(&core.Op{Kind: core.OpUnsubscribe, Identity: n.device.id, Name: n.address}) // nor does this
	}
	n.leave(why)
}

// tell tells the session what the device has links for.
func (d *device) tell() {
	d.features.Lock()
	defer d.features.Unlock()
	c := d.conn
	c.mu.Lock()
	session, has := d.session, core.Feature(0)
	for _, m := range d.messages {
		if m != nil {
			has |= m.feature
		}
	}
	if d.methods != nil && d.answers > 0 {
		has |= core.FeatureMethods
	}
	if d.twin != nil && d.desired {
		has |= core.FeatureDesired
	}
	c.mu.Unlock()
	// It fails when the session is over, of which Close tells.
	_ = session.Subscribe(c.ctx, core.Subscription{Filter: "links", Feature: has})
}

// device is the [core.Link] of its session.
var _ core.Link = (*device)(nil)

// C2DReady implements [core.Link].
func (d *device) C2DReady() {
	d.conn.mu.Lock()
	all := d.messages
	d.conn.mu.Unlock()
	for _, m := range all {
		if m != nil {
			m.link.Wake()
		}
	}
}

// Close implements [core.Link].
func (d *device) Close(reason *hubwire.Error) {
	c := d.conn
	c.mu.Lock()
	links := d.links
	d.links, d.why = nil, reason
	if c.devices[d.id] == d {
		delete(c.devices, d.id)
	}
	if !c.over {
		c.arm() // what the device came with may have expired with its session
	}
	why := failure(reason)
	if c.deserted(d.id) {
		c.part(d.id, why)
	}
	c.mu.Unlock()
	c.server.current.Forget(d.id, c)
	for _, l := range links {
		l.Detach(why)
	}
}

// stolen is what a link ends with when its device attaches another one for the same.
var stolen = &amqp10.Error{Condition: amqp10.Stolen, Description: "the device has attached another link for this"}
