package links

import (
	"cmp"
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

// DeviceOptions are what a [Device] is made of. The zero value, and nil, mean the defaults.
type DeviceOptions struct {
	// Tokens gives the tokens: required, but on a [Conn] with a certificate, where there are none. It is
	// asked anew for each use; a token that says when it expires is renewed after 80 % of its
	// life. An error that is a *hubwire.Error and not Retryable ends the Device; any other is tried again.
	Tokens sas.TokenSource

	// HostName is the hub that tokens are made for. Empty: [Options].HostName.
	HostName string

	// ClientVersion is who attaches, for the hub's records. ModelID is the Plug and Play model
	// that the device announces, "dtmi:…". Empty: not said.
	ClientVersion, ModelID string

	// Window bounds the messages accepted and without an outcome, sent or not. 0 means 1000.
	Window int

	// WindowBytes bounds the same by the size of the messages together; one larger message
	// passes, alone. 0 means 4 MiB.
	WindowBytes int

	// AckTimeout is how long the hub may take for the outcome of the oldest message before the
	// session of the Device is given up for a new one. 0 means 60 s; negative means no bound.
	AckTimeout time.Duration

	// CloseTimeout bounds [Device.Close]. 0 means 2 s.
	CloseTimeout time.Duration

	// OnState tells of each change, one at a time, in order, with its reason: nil for Connected and
	// after Close, [ErrRenewal] for Renewing, else why the Device is not on the hub any more, or why an attempt failed. It must
	// return soon.
	OnState func(state State, reason error)

	// OnUnexpected tells of what came in and was passed over, because it cannot be read or nobody asked for it. It must
	// return soon, and may be called from several goroutines at once.
	OnUnexpected func(err error)

	// OnPanic is as that of [Options], for done functions. nil means that.
	OnPanic func(value any, stack []byte)
}

// apiVersion is what the links of a device say that they keep to.
const apiVersion = "2021-04-12"

// resolve returns o with the defaults filled in.
func (o *DeviceOptions) resolve() (DeviceOptions, error) {
	var r DeviceOptions
	if o != nil {
		r = *o
	}
	r.Window = cmp.Or(r.Window, 1000)
	r.WindowBytes = cmp.Or(r.WindowBytes, 4<<20)
	r.AckTimeout = max(0, cmp.Or(r.AckTimeout, 60*time.Second))
	r.CloseTimeout = cmp.Or(r.CloseTimeout, 2*time.Second)
	switch {
	case r.Window < 1 || r.Window > 1<<20:
		return r, invalid("open", "DeviceOptions.Window is %d, not within 1 and %d", r.Window, 1<<20)
	case r.WindowBytes < 1 || r.WindowBytes > 1<<31-1:
		return r, invalid("open", "DeviceOptions.WindowBytes is %d, not within 1 and %d", r.WindowBytes, 1<<31-1)
	case r.CloseTimeout < 0:
		return r, invalid("open", "DeviceOptions.CloseTimeout is %v, not more than 0", r.CloseTimeout)
	}
	return r, nil
}

// Device is one device or module on a [Conn]: its token, its session, its links. It outlives the connections of
// the Conn, and ends with Close, with the Conn, or with what waiting cannot mend. Its methods may be called
// from any goroutine.
//
// It owns no goroutine while nothing is pending; see [Device.Send].
type Device struct {
	c  *Conn
	e  *entity
	id hubwire.Identity
	o  DeviceOptions

	telemetry *sender
	out       outbox
	in        incoming
}

// Device adds a device or module and returns when the hub has accepted it: when its token is put,
// and the link of its telemetry attached. Trouble that can pass is tried again until ctx ends;
// a refusal that cannot is returned at once. The Device does not keep ctx.
//
// An identity that is on c already is refused with an error that is [ErrAlreadyOpen].
func (c *Conn) Device(ctx context.Context, id hubwire.Identity, o *DeviceOptions) (*Device, error) {
	opts, err := o.resolve()
	switch {
	case err != nil:
		return nil, err
	case !c.begun() || ctx == nil:
		return nil, invalid("open", "there is no context, or the Conn is not from New")
	}
	if err := id.Check(); err != nil {
		return nil, err
	}
	d := &Device{c: c, id: id, o: opts}
	if opts.OnPanic == nil {
		opts.OnPanic = c.o.OnPanic
	}
	d.out.init(outboxOptions{
		window: opts.Window, windowBytes: opts.WindowBytes, ackTimeout: opts.AckTimeout,
		minBackoff: c.o.MinBackoff, maxBackoff: c.o.MaxBackoff, onPanic: opts.OnPanic, inCallback: c.inside,
		stalled: func(gen generation, err error) { d.telemetry.stalled(gen, err) },
	})
	d.e, err = c.add(entityConfig{
		name: id.String(), audience: sas.Audience(cmp.Or(opts.HostName, c.o.HostName), id), tokens: opts.Tokens,
		properties: d.properties(""), settle: d.out.settleAll, onState: d.onState,
		goodbye: opts.CloseTimeout / 4, // half of it is for messages
		closing: d.out.refuse,          // which knows a done function when it sees one
		late:    d.out.abort,
	})
	if err != nil {
		return nil, err
	}
	d.telemetry = d.e.sender(senderConfig{
		linkConfig: linkConfig{node: amqp.Telemetry, address: d.address(amqp.Telemetry), eager: true, ended: d.out.down},
		sendMode:   amqp10.Some(amqp10.SendUnsettled),
		attached:   d.out.up, settled: d.out.settled, ready: d.out.ready,
	})
	d.in.d = d
	if err := d.e.open(ctx); err != nil {
		if cause, ok := d.e.err().(*hubwire.Error); ok {
			return nil, cause // itself, and not that d has ended for it
		}
		return nil, err
	}
	return d, nil
}

// address returns that of a node of the device's.
func (d *Device) address(n amqp.Node) string {
	return amqp.Address{Node: n, Identity: d.id}.String()
}

// properties go with each of the device's links. Those of a pair say which.
func (d *Device) properties(pair string) amqp10.Value {
	return wire(amqp.LinkProperties{ClientVersion: d.o.ClientVersion, APIVersion: apiVersion, ModelID: d.o.ModelID, Channel: pair})
}

// onState is told by the entity of each change.
func (d *Device) onState(s State, reason error) {
	if s == Closed {
		limit, stop := context.WithTimeout(context.Background(), d.o.CloseTimeout)
		defer stop()
		d.out.end(d.e.err(), limit.Done()) // so that all have been told of the end of their messages
	}
	if d.o.OnState != nil {
		d.o.OnState(s, reason)
	}
}

// State returns the state of the device on its hub.
func (d *Device) State() State {
	if d == nil || d.e == nil {
		return Closed
	}
	return d.e.current()
}

// Err returns nil while the Device lives, and then why it ended: [ErrClosed] after Close, else a *hubwire.Error.
func (d *Device) Err() error {
	if d == nil || d.e == nil {
		return nil
	}
	return d.e.err()
}

// Done is closed when the Device has ended and nothing of it runs any more. It is nil for a Device that is not
// from [Conn.Device].
func (d *Device) Done() <-chan struct{} {
	if d == nil || d.e == nil {
		return nil
	}
	return d.e.done()
}

// Drain accepts no more messages, and returns when those without an outcome have one, or when ctx ends. In a
// done function or a callback, and while there is no connection, it does not wait.
func (d *Device) Drain(ctx context.Context) {
	if d == nil || d.e == nil || ctx == nil {
		return
	}
	d.out.refuse()
	if d.e.current() == Connected && d.out.mayWait() == nil {
		d.out.await(ctx.Done())
	}
}

// Close takes the device off its connection, which goes on. It gives messages without an outcome half of
// [DeviceOptions].CloseTimeout, fails what is left, ends the device's session, and returns when nothing of
// it runs any more. It may be called more than once, at any time, and from a callback, whose own goroutine it does not
// wait for.
//
// The error is nil or, when a function of the caller's has not returned in time, one that
// matches [context.DeadlineExceeded]; the Device has ended all the same.
func (d *Device) Close() error {
	if d == nil || d.e == nil {
		return nil
	}
	limit, stop := context.WithTimeout(context.Background(), d.o.CloseTimeout)
	defer stop()
	moment, stop := context.WithTimeout(limit, d.o.CloseTimeout/2)
	defer stop()
	d.Drain(moment)
	d.out.abort(ErrClosed)
	return d.e.close(limit)
}
