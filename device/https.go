package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// HTTPSOptions adjust HTTPS. The zero value, and nil, mean the defaults.
type HTTPSOptions struct {
	// Proxy is an HTTP proxy to go through, as in [MQTTWebSocketOptions]. nil means none.
	Proxy *url.URL

	// Connections bounds the connections, and with them the requests at a time. 0 means 8.
	Connections int

	// PollInterval is how long Receive waits, after the hub had no message, before it asks
	// again. 0 means 25 minutes: IoT Hub wants devices to ask no more often than that, and
	// throttles who does.
	PollInterval time.Duration

	// LockTimeout is how long a received message is to stay locked, in whole seconds, from
	// 5 s to 5 minutes. 0 means the hub's default, 1 minute.
	LockTimeout time.Duration

	// Linger is how long a message of SendAsync waits for others to share its request. 0 means
	// not at all: what comes in while a request is under way shares the next. Negative gives
	// each message a request of its own.
	Linger time.Duration

	// BatchBytes bounds the body of a request that several messages share, in which
	// theirs grow by a third. 0 means 255 KiB, which is the most that IoT Hub takes.
	BatchBytes int
}

// HTTPS is the REST API for devices, port 443: for devices that seldom have something to
// say, or that nothing else lets out. o is copied; nil means the defaults.
//
// Telemetry is a POST, acknowledged by its answer. SendAsync puts what waits into one
// request, in the order of the calls; messages that share one succeed or fail together. A
// request whose answer was lost is sent again, so a message may arrive twice, and so is one
// that the hub answers with throttling or trouble of its own, when the hub says
// ([hubwire.Error].RetryAfter) or after a back-off. Names and values of properties are
// limited to the characters of an HTTP token (a [*httpsx.PropertyError] names what is not),
// and names have no case: they arrive in lower case.
//
// Receive asks for messages (see PollInterval): at its first call, then again at once for as
// long as there are any. Complete, Reject and Abandon each are a request; when the lock
// has run out they fail with [hubwire.MessageLockLost], and the hub delivers the message
// again. A Receive that ends while it asks may leave a message locked until then.
//
// There are no twins and no direct methods, whose calls fail with an error that is
// [errors.ErrUnsupported], and no messages by a module's inputs. A redirect is not followed,
// and is [ErrRedirect].
//
// There is no connection that would say who is in: Dial asks the hub to abandon a message under
// a lock token that does not exist, which has no effect, to learn whether the credentials are good. A
// State of Connecting means that the last request got no answer. Afterwards a hub that does
// not let the device in any more ends the Client, as over the other protocols.
//
// Source: the REST reference "IoT Hub device", and spec/https.md 1.
func HTTPS(o *HTTPSOptions) Transport {
	opts := optionsOf(o)
	through := throughProxy(opts.Proxy)
	d := door{httpsPort, func(ctx context.Context, cfg *config) (net.Conn, error) {
		via := *cfg
		via.Dial = cfg.via(through)
		return via.dialHTTPS(ctx)
	}, greetHTTPS}
	return Transport{name: "https", web: true, via: through, door: d, open: func(ctx context.Context, cfg *config) (link, error) {
		if err := opts.resolve(); err != nil {
			return nil, err
		}
		return openHTTPS(ctx, cfg, opts, cfg.through(d))
	}}
}

const httpsPort = 443

// ErrRedirect is about an answer that sends the request somewhere else, which IoT Hub never does: a
// token must not be told to others.
var ErrRedirect = errors.New("device: a redirect, which is not followed")

// resolve fills in the defaults, and holds o against its limits.
func (o *HTTPSOptions) resolve() error {
	o.Connections = cmp.Or(o.Connections, 8)
	o.PollInterval = cmp.Or(o.PollInterval, 25*time.Minute)
	o.BatchBytes = cmp.Or(o.BatchBytes, httpsx.MaxBatchSize)
	for _, c := range []struct {
		name string
		ok   bool
		got  any
		want string
	}{
		{"Connections", o.Connections > 0, o.Connections, "at least 1"},
		{"PollInterval", o.PollInterval > 0, o.PollInterval, "more than 0"},
		{"LockTimeout", o.LockTimeout == 0 || o.LockTimeout >= httpsx.MinLockTimeout && o.LockTimeout <= httpsx.MaxLockTimeout, o.LockTimeout,
			fmt.Sprintf("0, or %v to %v", httpsx.MinLockTimeout, httpsx.MaxLockTimeout)},
		{"BatchBytes", o.BatchBytes > 0 && o.BatchBytes <= httpsx.MaxBatchSize, o.BatchBytes, fmt.Sprintf("1 to %d", httpsx.MaxBatchSize)},
	} {
		if !c.ok {
			return invalid("dial", "HTTPSOptions.%s is %v, not %s", c.name, c.got, c.want)
		}
	}
	return nil
}

// httpsLink is the [link] over HTTPS.
type httpsLink struct {
	rest
	o HTTPSOptions

	answered atomic.Bool // there was an answer at some time
	accepted atomic.Bool // the hub has let the device in
	status   status
	busy     busy // with what Close gives a moment
	out      outbox
	in       poller

	telemetry, batch, poll exchange // without message and body
}

func openHTTPS(ctx context.Context, cfg *config, o HTTPSOptions, dial dialFunc) (link, error) {
	l := &httpsLink{o: o}
	l.init(cfg, o.Connections, firstDial(dial, &l.answered), l.note)
	l.status.tell = cfg.state
	l.out.init(l)
	l.in.init()
	if err := l.prepare(); err != nil {
		return nil, err
	}
	if err := l.knock(ctx); err != nil {
		l.end(err)
		return nil, err
	}
	l.accepted.Store(true)
	l.status.set(Connected, nil)
	return l, nil
}

// prepare makes what all requests of a kind have in common.
func (l *httpsLink) prepare() (err error) {
	if l.telemetry, err = l.exchange(httpsx.SendTelemetry, ""); err != nil {
		return err
	}
	l.batch = l.telemetry
	l.batch.request = l.telemetry.request.Clone(context.Background())
	l.batch.request.Header["Content-Type"] = []string{httpsx.BatchContentType}
	if l.poll, err = l.exchange(httpsx.ReceiveC2D, ""); err != nil {
		return err
	}
	httpsx.SetLockTimeout(l.poll.request.Header, l.o.LockTimeout)
	return nil
}

// nobodysLock is a lock token that the hub never gives.
const nobodysLock = "00000000-0000-0000-0000-000000000000"

// knock asks whether the hub lets the device in. That the lock is lost, or any other answer
// that is not about who asks, means that it does.
func (l *httpsLink) knock(ctx context.Context) error {
	x, err := l.exchange(httpsx.AbandonC2D, nobodysLock)
	if err != nil {
		return err
	}
	_, err = l.insist(ctx, &x)
	e, ok := errors.AsType[*hubwire.Error](err)
	if !ok || answered(e) && !shutsOut(e) && !errors.Is(e, ErrRedirect) && !passing(e) {
		return nil
	}
	if e.Outcome == hubwire.Unknown {
		e.Outcome = hubwire.NotSent // nothing was to happen
	}
	return e
}

// answered reports whether e is what the hub said, if also of a request that was sent before, whose answer was lost.
func answered(e *hubwire.Error) bool {
	return e.Outcome == hubwire.Refused || e.Outcome == hubwire.Unknown && e.Code != 0
}

// shutsOut reports whether e says that the hub does not let this device in.
func shutsOut(e *hubwire.Error) bool {
	switch e.Code {
	case hubwire.DeviceNotFound, hubwire.ModuleNotFound, hubwire.NotFound, hubwire.DeviceDisabled, hubwire.HubSuspended:
		return true
	}
	return e.Code.Status() == http.StatusUnauthorized
}

// ask is insist for what follows Dial: a refusal that waiting cannot mend ends the Client. A 404 that does not
// say what there is not can be that of a gateway that is just starting.
func (l *httpsLink) ask(ctx context.Context, x *exchange) (*reply, error) {
	answer, err := l.insist(ctx, x)
	if e, ok := err.(*hubwire.Error); ok && !e.Retryable && (shutsOut(e) && e.Code != hubwire.NotFound || e.Outcome == hubwire.NotSent) && l.over.Err() == nil && ctx.Err() == nil {
		l.end(e)
	}
	return answer, err
}

// note is told how each attempt went. Until the hub has let the device in, an answer is no more
// than a reason to go on waiting.
func (l *httpsLink) note(e *hubwire.Error) {
	accepted := l.accepted.Load()
	heard := e == nil || answered(e)
	if heard {
		l.answered.Store(true)
	}
	switch {
	case heard && accepted:
		l.status.set(Connected, nil)
	case e == nil || !passing(e) || l.over.Err() != nil || errors.Is(e, context.Canceled) || errors.Is(e, context.DeadlineExceeded):
	default:
		l.status.set(Connecting, withOp("connect", e))
	}
}

func (l *httpsLink) state() State { return l.status.now() }

// end ends the link because of err.
func (l *httpsLink) end(err error) {
	l.teardown(err)
	l.status.set(Closed, err)
}

// teardown fails what is under way with cause, and ends all connections.
func (l *httpsLink) teardown(cause error) {
	l.abort(cause)
	l.conns.abort()
	l.transport.CloseIdleConnections()
}

// close implements [link].
func (l *httpsLink) close() error {
	limit, stop := within(l.cfg.CloseTimeout - l.cfg.CloseTimeout/handlerShare)
	defer stop()
	own := 0 // what the caller itself is at
	if l.out.mine() || l.status.mine() {
		own = 1
	}
	if l.over.Err() == nil {
		moment, stop := within(l.cfg.CloseTimeout / 2)
		l.busy.wait(own, moment)
		stop()
	}
	l.teardown(errClosed)
	done := l.busy.wait(own, limit) && l.conns.wait(limit)
	l.status.set(Closed, nil)
	if !done {
		return &hubwire.Error{
			Outcome: hubwire.Unknown, Err: context.DeadlineExceeded,
			Message: "a function of the program has not returned",
		}
	}
	return nil
}

// mayWait implements [link].
func (l *httpsLink) mayWait() error {
	if l.out.mine() {
		return &hubwire.Error{Outcome: hubwire.NotSent, Err: errWouldDeadlock}
	}
	return nil
}

var errWouldDeadlock = errors.New("device: waiting for sends inside a done function, or a hook that it led to, would never end")

// unsupported is the error of what HTTPS has not.
func unsupported(what string) error {
	return &hubwire.Error{
		Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent,
		Message: "HTTPS has no " + what + "; MQTT and AMQP have", Err: errors.ErrUnsupported,
	}
}

func (l *httpsLink) serveMethods(context.Context, func(hubwire.MethodRequest, replyFunc)) error {
	return unsupported("direct methods")
}

func (l *httpsLink) twin(context.Context) (*hubwire.Twin, error) { return nil, unsupported("twins") }

func (l *httpsLink) report(context.Context, []byte) (int64, error) { return 0, unsupported("twins") }

func (l *httpsLink) watchDesired(context.Context, func(int64, []byte), func()) (func(), error) {
	return nil, unsupported("twins")
}
