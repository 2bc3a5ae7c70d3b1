package links

import (
	"context"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/backoff"
)

// incoming is what comes to a device, beside the outcomes of what it sends. Each part of it is made, and its links
// attached, on its first use: of a thousand devices few may use all.
type incoming struct {
	d       *Device
	inbox   lazy[inbox]
	methods lazy[methods]
	twins   lazy[twins]
}

// lazy is made by the first get.
type lazy[T any] struct {
	once sync.Once
	made *T
}

func (l *lazy[T]) get(init func(*T)) *T {
	l.once.Do(func() {
		l.made = new(T)
		init(l.made)
	})
	return l.made
}

func (d *Device) inbox() *inbox     { return d.in.inbox.get(d.in.init) }
func (d *Device) methods() *methods { return d.in.methods.get(func(m *methods) { m.init(&d.in) }) }
func (d *Device) twins() *twins     { return d.in.twins.get(func(t *twins) { t.init(&d.in) }) }

// start runs f on a goroutine of the device's, unless that has ended.
func (in *incoming) start(f func()) bool { return in.d.e.start(f) }

// pause waits before the n-th attempt, counted from 0, to do again what was refused; for no longer than ctx lasts, or the device.
func (in *incoming) pause(ctx context.Context, n int) {
	o := &in.d.c.o
	sleep(ctx, backoff.Wait(n, o.MinBackoff, o.MaxBackoff), in.d.e.life.Done())
}

// unexpected tells of what is passed over.
func (in *incoming) unexpected(err error) {
	if told := in.d.o.OnUnexpected; told != nil {
		in.d.c.call(func() { told(err) })
	}
}

// usable refuses calls that cannot be made.
func (d *Device) usable(ctx context.Context, op string) error {
	if d == nil || d.e == nil || ctx == nil {
		return invalid(op, "there is no context, or the Device is not from Conn.Device")
	}
	return d.MayWait()
}

// Receive returns the next message for the device or module, or for an input of the module
// ([hubwire.Received].Input). The first call attaches the links that they come by. The hub gives a message
// that is not settled to the next connection; one whose link is lost before anybody got it from here, too.
//
// [hubwire.Received.Complete] and its kin return what the hub says to them, within OperationTimeout when
// their context has no deadline. A lock that the hub has given up is [hubwire.MessageLockLost]. So is one whose link was
// lost, and the error matches [net.ErrClosed] then.
//
// Every error is a [*hubwire.Error]: ctx has ended, or the Device, or the hub refuses the link.
func (d *Device) Receive(ctx context.Context) (*hubwire.Received, error) {
	if err := d.usable(ctx, "receive"); err != nil {
		return nil, err
	}
	return d.in.receive(ctx)
}

// ServeMethods has serve called for each direct method from now on, in the order in which they come, and returns
// when the hub sends them. serve must return soon, and may reply later. It is called for all calls, across
// connections, until the Device ends; another ServeMethods gives them to another function.
//
// An error, a [*hubwire.Error], says that the hub is not known to send calls: ctx has ended, or the Device, or the hub refuses
// one of the two links.
func (d *Device) ServeMethods(ctx context.Context, serve func(r hubwire.MethodRequest, reply MethodReply)) error {
	if err := d.usable(ctx, "serve methods"); err != nil {
		return err
	}
	if serve == nil {
		return invalid("serve methods", "there is no function")
	}
	return d.methods().subscribe(ctx, serve)
}

// Twin reads the twin, as the hub writes it for a device: {"desired":{...,"$version":n},"reported":{...,"$version":m}}.
// A request that is lost with its link is made again on the next one.
//
// Every error is a [*hubwire.Error]: a refusal has the hub's code, and is Refused, or Unknown when the answer to a
// request before it was lost; what ctx ends is NotSent or Unknown.
func (d *Device) Twin(ctx context.Context) ([]byte, error) {
	const op = "twin get"
	if err := d.usable(ctx, op); err != nil {
		return nil, err
	}
	a, _, err := d.twins().request(ctx, op, amqp.TwinGet, nil, nil)
	return a.body, err
}

// Report merges a patch, a JSON object, into the reported properties, and returns their new version, or 0 when the hub
// does not say it. A patch whose answer is lost with its link is sent again on the next one. Errors are as those of
// [Device.Twin].
func (d *Device) Report(ctx context.Context, patch []byte) (version int64, err error) {
	const op = "twin report"
	if err := d.usable(ctx, op); err != nil {
		return 0, err
	}
	a, _, err := d.twins().request(ctx, op, amqp.TwinReport, patch, nil)
	return a.version, err
}

// WatchDesired subscribes to the changes of the desired properties, and returns when the hub has the
// subscription; what can pass is waited for as long as ctx lasts. Until stop, change is called for each
// change, in the order of arrival, with a patch that it may keep; and reset when changes may have been missed: after
// each new connection, ahead of what that brings. Neither may block. One watches at a time: another call takes over.
func (d *Device) WatchDesired(ctx context.Context, change func(version int64, patch []byte), reset func()) (stop func(), err error) {
	const op = "desired"
	if err := d.usable(ctx, op); err != nil {
		return nil, err
	}
	if change == nil || reset == nil {
		return nil, invalid(op, "there is no function")
	}
	return d.twins().watch(ctx, change, reset)
}
