package device

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/dialled"
)

// Client is one device or module on its hub, from [Dial]. Its methods may be called from
// any goroutine. Of any other Client, nil included, and with a nil context, they fail with
// [hubwire.ArgumentInvalid]. Close it when done.
//
// Beside what its protocol needs (over MQTT one goroutine, and another while there is
// something to write; through a WebSocket one more; over HTTPS two for each connection,
// none of which outlasts a minute without a request) it owns one goroutine for each
// direct method under way.
type Client struct {
	o     Options
	cred  Credentials
	link  link
	conns *dialled.Conns

	life context.Context // ends when the Client begins to end; its cause is why
	end  context.CancelCauseFunc
	done chan struct{} // closed by the link's last call of onState

	choice atomic.Pointer[Choice]

	beside   beside
	methods  methods
	desiring sync.Mutex // held by Desired; tried, never waited for
}

// Dial opens a Client for a device or module connection string and returns
// when the hub has accepted it. Trouble that can pass is retried until ctx
// ends; a refusal that cannot is returned at once. The Client does not keep ctx.
//
//	HostName={hub};DeviceId={d}[;ModuleId={m}];SharedAccessKey={key}[;GatewayHostName={g}]
//
// [CredentialsFromConnectionString] has the other forms and the errors of a connection string
// that is at fault. Every error is a [*hubwire.Error].
//
// Among what waiting cannot mend are a wrong key, a disabled or unknown device
// ([hubwire.Unauthorized]) and, at the first connection, a server certificate that does not verify
// and what [ws.IsRefusal] tells of a proxy, or of the upgrade to a WebSocket.
func Dial(ctx context.Context, connectionString string, t Transport, o *Options) (*Client, error) {
	if ctx == nil {
		return nil, noContext("dial")
	}
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	cred, err := credentials(connectionString, opts.TokenTTL)
	if err != nil {
		return nil, err
	}
	return dial(ctx, cred, t, opts)
}

// DialCredentials is [Dial] for credentials that are not a connection string:
// X.509, a token source of one's own.
func DialCredentials(ctx context.Context, cred Credentials, t Transport, o *Options) (*Client, error) {
	if ctx == nil {
		return nil, noContext("dial")
	}
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	return dial(ctx, cred, t, opts)
}

func dial(ctx context.Context, cred Credentials, t Transport, opts Options) (*Client, error) {
	if err := cred.check(); err != nil {
		return nil, err
	}
	if t.open == nil {
		return nil, invalid("dial", "the zero Transport; device.MQTT(nil) is one that works")
	}
	shown := new(certificateEnd)
	cred.GetClientCertificate = shown.watch(cred.GetClientCertificate)
	if cred.Tokens != nil {
		cred.Tokens = soundTokens{cred.Tokens}
	}
	c := &Client{o: opts, cred: cred, done: make(chan struct{})}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.methods.init(opts.MaxMethods)
	cfg := &config{
		Options: opts, id: cred.Identity, cred: cred, certificateEnds: shown.time,
		life: c.life, state: c.onState, panicked: opts.Hooks.panicked,
		chosen: func(made Choice) { c.choice.Store(&made) },
	}
	cfg.guardDial()
	c.conns = cfg.conns
	cfg.chosen(Choice{Transport: t})
	c.beside.init(cfg, &t, c.Choice)
	var err error
	c.link, err = t.open(ctx, cfg)
	if err != nil {
		c.end(err)
		limit, stop := within(opts.CloseTimeout)
		defer stop()
		c.conns.Wait(limit)
		err = withOp("dial", err)
		if e, ok := err.(*hubwire.Error); ok && e.Message == "" {
			// A context that ends within the first attempt says nothing of where that was going.
			e.Message = fmt.Sprintf("%s at %s over %s", cred.Identity, cred.host(), t)
		}
		return nil, err
	}
	return c, nil
}

// onState is told by the link of each change of the connection.
func (c *Client) onState(s State, reason error) {
	if s == Closed {
		cause := reason
		if cause == nil {
			cause = errClosed
		}
		c.end(cause)
		c.beside.end(cause)
		defer close(c.done)
	}
	if c.o.Hooks.State != nil {
		defer contain(c.o.Hooks.panicked)
		c.o.Hooks.State(s, reason)
	}
}

// alive returns the link, or why there is none to use.
func (c *Client) alive(op string) (link, error) {
	if c == nil || c.link == nil {
		return nil, invalid(op, "a Client comes from Dial")
	}
	return c.link, nil
}

// ready is alive for a call with a context.
func (c *Client) ready(ctx context.Context, op string) (link, error) {
	if ctx == nil {
		return nil, noContext(op)
	}
	return c.alive(op)
}

// State returns the state of the connection.
func (c *Client) State() State {
	l, err := c.alive("state")
	if err != nil {
		return Closed
	}
	return l.state()
}

// Identity returns who the Client is.
func (c *Client) Identity() hubwire.Identity {
	if c == nil {
		return hubwire.Identity{}
	}
	return c.cred.Identity
}

// Choice returns what the Client speaks: the transport that it was dialled with, or of [Auto]
// the one that was chosen last.
func (c *Client) Choice() Choice {
	if c == nil {
		return Choice{}
	}
	if made := c.choice.Load(); made != nil {
		return *made
	}
	return Choice{}
}

// Done is closed when the Client has ended; Err then says why. It is nil for a
// Client that is not from Dial.
func (c *Client) Done() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.done
}

// Err returns nil while the Client lives, and then why it ended: an error that matches
// [net.ErrClosed] after Close, else a [*hubwire.Error].
func (c *Client) Err() error {
	if c == nil || c.done == nil {
		return nil
	}
	select {
	case <-c.done:
		return context.Cause(c.life)
	default:
		return nil
	}
}

// Close ends the Client. It gives running method handlers, whose contexts it ends, and
// pending sends a moment to be answered and acknowledged, then fails what is left (uploads and
// calls of [Client.Invoke] at once), and returns when all goroutines are gone, within [Options].CloseTimeout. It may be
// called more than once, at any time, also when the hub is stalled, and from inside a
// handler, a done function or a hook, whose own goroutine it does not wait for.
//
// The error is nil or, when a function of the program has not returned in time,
// one that matches [context.DeadlineExceeded]; the Client is of no use any more all the same, and
// Done is closed when that function has returned, if not before.
func (c *Client) Close() error {
	l, err := c.alive("close")
	if err != nil {
		return nil
	}
	c.end(errClosed)
	c.beside.end(errClosed)
	limit, stop := within(c.o.CloseTimeout)
	defer stop()
	moment, stop := within(c.o.CloseTimeout / handlerShare)
	defer stop()
	c.methods.wait(moment)
	if err := l.close(); err != nil {
		return withOp("close", err)
	}
	// What a handler waited for on the link has failed by now.
	late := ""
	switch {
	case !c.methods.wait(limit):
		late = "a method handler has not returned after its context ended"
	case !c.beside.wait(limit):
		late = "Options.Dial has not returned after its context ended"
	case !c.conns.Wait(limit):
		late = lateConn
	default:
		return nil
	}
	return &hubwire.Error{Op: "close", Outcome: hubwire.Unknown, Err: context.DeadlineExceeded, Message: late}
}

const lateConn = "a Close of the net.Conn, or HandlerPanic, has not returned"

// handlerShare is the part of CloseTimeout that method handlers get for their
// answers; what remains is the link's.
const handlerShare = 4

// within returns what is closed when d is over, and stays so: one wait after the other may
// look at it, where a timer would tell only the first.
func within(d time.Duration) (limit <-chan struct{}, stop context.CancelFunc) {
	ctx, stop := context.WithTimeout(context.Background(), d)
	return ctx.Done(), stop
}

// contain keeps a panic of the program's function from the Client, and tells of it. It is to be deferred.
func contain(panicked func(value any, stack []byte)) {
	if v := recover(); v != nil {
		panicked(v, debug.Stack())
	}
}

// panicked tells the program of a panic that was contained.
func (h *Hooks) panicked(value any, stack []byte) {
	if h.HandlerPanic == nil {
		return
	}
	defer func() { _ = recover() }() // a hook that panics has nobody left to tell
	h.HandlerPanic(value, stack)
}

// bounded gives ctx the time-out of operations when it has no deadline.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.o.OperationTimeout)
}

// until returns a context that ends with ctx or the Client, whichever is first.
func (c *Client) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.life, cancel)
	return ctx, func() { stop(); cancel() }
}
