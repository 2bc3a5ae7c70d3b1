package device

import (
	"context"
	"net"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/dialled"
	"github.com/hubwire/hubwire/internal/notls"
)

// Transport is the protocol that a Client speaks, with the protocol's own
// options; [MQTT], [MQTTWebSocket], [AMQP], [AMQPWebSocket] and [HTTPS] make one, as does an
// [AMQPConnection], for Clients that share it; [Auto] chooses among them. It is opaque, and can be used for any
// number of Dials. The zero Transport is not valid.
type Transport struct {
	name string
	open func(ctx context.Context, cfg *config) (link, error)

	door     door        // the zero door where there is none of its own
	choosing []Transport // of Auto: those that it chooses among

	// For what goes over HTTPS beside the protocol: whether that has the port of HTTPS itself, and
	// the way through its proxy, nil for none.
	web bool
	via func(dialer) dialer

	amqp amqpDial // for an AMQPConnection; nil: it cannot be had over this
}

// dialer has the form of [Options].Dial.
type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// String returns the protocol's short name: "mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"; of [Auto] "auto".
func (t Transport) String() string { return t.name }

// leaves are the transports that t chooses among, or t itself.
func (t Transport) leaves() []Transport {
	if t.choosing != nil {
		return t.choosing
	}
	return []Transport{t}
}

// door is the way to a protocol.
type door struct {
	port    int
	connect func(ctx context.Context, cfg *config) (net.Conn, error) // to where the protocol is spoken: TLS and tunnel are passed
	greet   func(nc net.Conn, host string) error                     // asks without credentials whether it is
}

// config is what a Client tells its link. It does not change.
type config struct {
	Options // with the defaults filled in
	id      hubwire.Identity
	cred    Credentials

	// certificateEnds says when the certificate ends that cred gave last. Zero: there is none.
	certificateEnds func() time.Time

	// conns are those that Dial made.
	conns *dialled.Conns

	// life ends when the Client begins to; its cause is why. A link's blocked
	// calls return then, but for sends, which get a moment more.
	life context.Context

	// state tells of a change of the connection. The calls come one at a time,
	// in order; that with Closed is the last.
	state func(State, error)

	// panicked reports a panic that was contained.
	panicked func(value any, stack []byte)

	// chosen tells of the transport that is used, where Auto chooses.
	chosen func(Choice)

	// instead, where it is set, is how the link dials, in the place of its own way.
	instead dialFunc
}

// guardDial has Dial's connections be those of conns, which contain their panics and wait for their Close.
func (c *config) guardDial() {
	dial, conns := c.Dial, &dialled.Conns{Panicked: c.panicked}
	c.conns = conns
	c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, dialled.Sound(err)
		}
		if _, bare := nc.(notls.Conn); bare {
			return nc, nil
		}
		return conns.Wrap(nc), nil
	}
}

// through returns how a link dials whose own way leads through d.
func (c *config) through(d door) dialFunc {
	if c.instead != nil {
		return c.instead
	}
	return func(ctx context.Context) (net.Conn, error) { return d.connect(ctx, c) }
}

// unexpected tells the program of something that is passed over.
func (c *config) unexpected(err error) {
	if c.Hooks.Unexpected != nil {
		defer contain(c.panicked)
		c.Hooks.Unexpected(err)
	}
}

// link is one identity's conversation with the hub over one protocol, across
// all its connections. Errors are *hubwire.Error; the Client gives them the Op of its call.
type link interface {
	// send returns when the hub has acknowledged m.
	send(ctx context.Context, m *hubwire.Message) error

	// sendAsync returns when m has a place in the window; done, which may be nil,
	// is called once when sendAsync returned nil, with the Op "send" in its error, and never when it did not.
	sendAsync(ctx context.Context, m *hubwire.Message, done func(error)) error

	// receive subscribes on first use and returns the next message for this identity.
	receive(ctx context.Context) (*hubwire.Received, error)

	// serveMethods subscribes, the first time, and from then on calls serve, which
	// does not block, for each call that comes in. reply may be called from any
	// goroutine; it waits for a place in the window, if that does not mean to wait for itself.
	serveMethods(ctx context.Context, serve func(r hubwire.MethodRequest, reply replyFunc)) error

	twin(ctx context.Context) (*hubwire.Twin, error)

	// report patches the reported properties.
	report(ctx context.Context, patch []byte) (version int64, err error)

	// watchDesired subscribes to the desired patches. Until stop, change is called in
	// the order of arrival, with bytes it may keep, and reset after each new
	// connection, ahead of what that brings. Neither blocks.
	watchDesired(ctx context.Context, change func(version int64, patch []byte), reset func()) (stop func(), err error)

	state() State

	// mayWait refuses calls that would wait, inside a hook or a done function, for
	// what only its return lets happen.
	mayWait() error

	// close ends the conversation within the time it was opened with, from any
	// goroutine, any number of times.
	close() error
}

// batcher is a link that can send several messages at once.
type batcher interface {
	// sendBatch returns when all of ms have a place in the window, or how many of them have, from the
	// first on, and why not the next. done is called once for each of those, with its place in ms.
	sendBatch(ctx context.Context, ms []*hubwire.Message, done func(i int, err error)) (n int, err error)
}

// replyFunc answers a direct method.
type replyFunc func(ctx context.Context, r hubwire.MethodResponse) error
