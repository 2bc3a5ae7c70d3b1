package core

import (
	"context"
	"net"
	"runtime/debug"
	"time"

	"github.com/hubwire/hubwire"
)

// The intercept function imitates trouble, of which the service has plenty, and
// what is left out elsewhere: a slow or broken backend, throttling of other kinds.

// OpKind is a kind of operation that an intercept function can meet.
type OpKind string

// The kinds of operations. More may be added.
const (
	OpConnect        OpKind = "connect"         // a device or module logs in; Name is "registration" when it is for DPS
	OpDisconnect     OpKind = "disconnect"      // a peer says good-bye; cannot be refused
	OpPublish        OpKind = "publish"         // telemetry comes in; Message is set
	OpSubscribe      OpKind = "subscribe"       // Name is the filter or address
	OpUnsubscribe    OpKind = "unsubscribe"     // Name is the filter or address
	OpPing           OpKind = "ping"            // keep-alive of the protocol
	OpTwinGet        OpKind = "twin get"        // by the device
	OpTwinReport     OpKind = "twin report"     // reported properties are patched; Body is the patch
	OpTwinDesired    OpKind = "twin desired"    // desired properties go to the device; Body is the patch
	OpMethod         OpKind = "method"          // a direct method goes to the device; Name is its name
	OpMethodResponse OpKind = "method response" // the device answers
	OpC2D            OpKind = "c2d"             // a message goes to the device; Message is set
	OpAck            OpKind = "ack"             // the device settles a message; Name is its lock token
	OpRequest        OpKind = "request"         // an HTTPS request, which may be one of the others too; Name is "METHOD /path"
	OpRegister       OpKind = "register"        // a device registers with DPS; Body is the request
	OpRegisterQuery  OpKind = "register query"  // it asks how that is going; Name is the operation's id
	OpToken          OpKind = "token"           // a token is shown for later, as AMQP's put-token does; Name is the audience
	OpTunnel         OpKind = "tunnel"          // a WebSocket opens; Name is its subprotocol
)

// Op is an operation as an intercept function sees it, before the hub acts.
// What it points to must not be changed or kept.
type Op struct {
	Kind     OpKind
	Identity hubwire.Identity // of the device or module; zero for a service
	Protocol string           // "mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"
	Name     string           // see the kinds
	Message  *hubwire.Message // or nil
	Body     []byte           // or nil
}

// Verdict is what becomes of an operation. The zero Verdict lets it pass.
type Verdict struct {
	// Delay is how long to wait before anything else. What follows on the same
	// connection waits too.
	Delay time.Duration

	// DropBefore cuts the connection, and the hub does not act.
	DropBefore bool

	// Refuse, when not 0, is the code that the operation fails with, in the
	// way that its protocol has. The hub does not act.
	Refuse hubwire.Code

	// RetryAfter goes with Refuse, where the protocol can say it.
	RetryAfter time.Duration

	// DropAfter lets the hub act, and cuts the connection instead of the answer.
	DropAfter bool

	// SwallowAck lets the hub act, and sends no answer.
	SwallowAck bool
}

// ErrDrop is what [Core.Intercept] returns when the front must cut the
// connection now. It matches [net.ErrClosed].
var ErrDrop error = dropped{}

type dropped struct{}

func (dropped) Error() string { return "core: connection dropped by the intercept function" }
func (dropped) Unwrap() error { return net.ErrClosed }

// Intercept shows op to Config.Intercept and carries out the part of its
// verdict that comes before the operation: it waits, and returns a
// [*hubwire.Error] for a refusal, [ErrDrop], or the context's error. When err
// is nil the front lets the operation happen and then heeds DropAfter and
// SwallowAck. Every front calls it once for each operation. It costs nothing
// when there is no intercept function.
func (c *Core) Intercept(ctx context.Context, op *Op) (Verdict, error) {
	if c.cfg.Intercept == nil {
		return Verdict{}, nil
	}
	v := c.judge(ctx, op)
	if err := c.Wait(ctx, v.Delay); err != nil {
		return v, err
	}
	if v.DropBefore {
		return v, ErrDrop
	}
	if v.Refuse != 0 {
		e := refuse(string(op.Kind), v.Refuse, "refused by the intercept function")
		e.RetryAfter = v.RetryAfter
		return v, e
	}
	return v, nil
}

// judge calls the intercept function, in a goroutine of its own, which it may end: a
// t.FailNow does. One that panics, or ends so, has given no verdict: the connection is cut.
func (c *Core) judge(ctx context.Context, op *Op) Verdict {
	verdict := Verdict{DropBefore: true}
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				c.cfg.Log.Error("the intercept function panicked", "operation", op.Kind, "panic", p, "stack", string(debug.Stack()))
			} else if !returned {
				c.cfg.Log.Error("the intercept function ended its goroutine", "operation", op.Kind)
			}
		}()
		verdict, returned = c.cfg.Intercept(ctx, op), true
	}()
	<-done
	return verdict
}

// Intercepts reports whether there is an intercept function, so that a front
// can save itself the making of an [Op].
func (c *Core) Intercepts() bool { return c.cfg.Intercept != nil }
