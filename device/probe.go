package device

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire/sas"
)

// Door is how it stands with the way to one protocol of a hub.
type Door struct {
	Transport Transport // the protocol
	Addr      string    // host:port, what was dialled

	// Latency is the time until the protocol was answered, or until it was clear that it would not be.
	Latency time.Duration

	// Obstacle is what is in the way, and Err the error of it; nil when the door is open.
	Obstacle Obstacle
	Err      error
}

// Open reports whether the protocol was answered.
func (d Door) Open() bool { return d.Err == nil && d.Transport.open != nil }

// Probe finds out which protocols of a hub can be reached from here, all at the same time, and
// returns how it stands with each, in the order of transports; nil means all five. hub is the hub's
// name, or a connection string of whatever kind, whose secrets are not used.
//
// A door is open when its protocol was answered: over MQTT by any CONNACK to a CONNECT without a
// password, over AMQP by a protocol header, over WebSockets by the same inside the tunnel, over HTTPS by
// an answer that is no redirect. TLS has verified who answers. On the hub nothing is changed.
//
// Of o, the network is used: Dial, TLSConfig, ConnectTimeout, which bounds each door, and Port, which is for a
// single transport. [Auto] stands for those that it chooses among. When Probe returns, all
// connections are closed; only an Options.Dial that has not returned although its context ended is left.
//
// The error is a [*hubwire.Error] about the arguments. What is wrong with the network is in the doors.
func Probe(ctx context.Context, hub string, transports []Transport, o *Options) ([]Door, error) {
	if ctx == nil {
		return nil, noContext("probe")
	}
	opts, err := o.resolve()
	if err != nil {
		return nil, withOp("probe", err)
	}
	cred, err := whereabouts(hub)
	if err != nil {
		return nil, withOp("probe", err)
	}
	var leaves []Transport
	for _, t := range transports {
		leaves = append(leaves, t.leaves()...)
	}
	leaves, err = withDoors("probe", leaves)
	if err == nil && opts.Port != 0 && len(leaves) > 1 {
		err = invalid("probe", "Options.Port is for one transport, and there are %d", len(leaves))
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, opts.ConnectTimeout)
	defer cancel()
	cfg := &config{Options: opts, cred: cred, panicked: opts.Hooks.panicked}
	cfg.guardDial()
	found := make([]chan Door, len(leaves))
	for i, t := range leaves {
		found[i] = make(chan Door, 1)
		go func() { found[i] <- cfg.probe(ctx, t) }()
	}
	doors := make([]Door, len(leaves))
	limit, stop := context.WithTimeout(context.WithoutCancel(ctx), opts.ConnectTimeout+opts.CloseTimeout)
	defer stop()
	for i, t := range leaves {
		doors[i] = await(found[i], limit.Done(), cfg.knocking(t))
	}
	cfg.conns.Wait(limit.Done())
	return doors, nil
}

// await returns the door that comes, or, when none does before limit, one that says so.
func await(found <-chan Door, limit <-chan struct{}, d Door) Door {
	select {
	case <-limit:
		return d.closed(ObstacleTimeout, errStuckDial)
	case d = <-found:
		return d
	}
}

var errStuckDial = errors.New("device: Options.Dial has not returned after its context ended")

// whereabouts reads where a hub is.
func whereabouts(hub string) (Credentials, error) {
	c := Credentials{HostName: hub}
	if strings.Contains(hub, "=") {
		cs, err := sas.ParseConnectionString(hub)
		if err != nil {
			return c, badConnectionString(err)
		}
		c.HostName, c.GatewayHostName = cs.HostName, cs.GatewayHostName
	}
	switch {
	case c.HostName == "":
		return c, invalid("", "the hub has no name")
	case hasPort(c.HostName):
		return c, invalid("", "a host name with a port; that goes into Options.Port")
	}
	return c, nil
}

// withDoors returns transports, or all for none. Each has to have a way of its own to the hub.
func withDoors(op string, transports []Transport) ([]Transport, error) {
	if len(transports) == 0 {
		return everyTransport(), nil
	}
	for _, t := range transports {
		if t.door.connect == nil {
			return nil, invalid(op, "the transport %q has no way to the hub of its own", t.name)
		}
	}
	return slices.Clone(transports), nil
}

// everyTransport returns one of each protocol, in the order in which they are preferred: see [Auto].
func everyTransport() []Transport {
	return []Transport{MQTT(nil), MQTTWebSocket(nil), AMQP(nil), AMQPWebSocket(nil), HTTPS(nil)}
}

// knocking is the door of t before anything is known of it.
func (c *config) knocking(t Transport) Door { return Door{Transport: t, Addr: c.addr(t.door.port)} }

// closed returns d with what is in the way.
func (d Door) closed(o Obstacle, err error) Door {
	d.Obstacle, d.Err = o, err
	return d
}

// probe knocks at the door of t, until ctx ends.
func (c *config) probe(ctx context.Context, t Transport) Door {
	start := time.Now()
	d := c.knocking(t)
	err := c.knock(ctx, &t.door)
	d.Latency = time.Since(start)
	return d.closed(obstacleOf(err), err)
}

// knock opens a connection, greets, and closes it. The functions of the program that are in it may panic.
func (c *config) knock(ctx context.Context, d *door) (err error) {
	err = errNoDial
	defer contain(func(any, []byte) {})
	nc, err2 := d.connect(ctx, c)
	if err2 != nil {
		return whyEnded(ctx, err2)
	}
	defer abort(nc)
	defer context.AfterFunc(ctx, func() { abort(nc) })()
	return whyEnded(ctx, d.greet(nc, c.cred.HostName))
}

// whyEnded is err, or when ctx ended meanwhile, that.
func whyEnded(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}
