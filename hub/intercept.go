package hub

import (
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// OpKind is a kind of operation that [Config.Intercept] can meet.
type OpKind = core.OpKind

// The kinds of operations. More may be added.
//
// Over AMQP OpConnect is the first link of a device or module on a connection, and OpDisconnect
// the end of the last one, if the peer wants it. OpSubscribe and OpUnsubscribe are its links
// that receive, by their address, and those that it sends to its twin about the desired
// properties. Each message of a batch is an OpPublish. Empty frames are not seen.
//
// What a service does over AMQP has no Identity: OpPublish is a message to a device, and Name the
// address that it is for, OpSubscribe a link that receives, by its address, OpAck the outcome of feedback or of
// a file notification, OpRequest a READ of $management, with the Name "READ {hub}/{partition}".
const (
	OpConnect        = core.OpConnect        // a device or module logs in; Name is "registration" when it is for DPS
	OpDisconnect     = core.OpDisconnect     // a peer says good-bye; cannot be refused
	OpPublish        = core.OpPublish        // telemetry comes in; Message is set
	OpSubscribe      = core.OpSubscribe      // Name is the filter or address
	OpUnsubscribe    = core.OpUnsubscribe    // Name is the filter or address
	OpPing           = core.OpPing           // keep-alive of the protocol
	OpTwinGet        = core.OpTwinGet        // by the device
	OpTwinReport     = core.OpTwinReport     // reported properties are patched; Body is the patch
	OpTwinDesired    = core.OpTwinDesired    // desired properties go to the device; Body is the patch
	OpMethod         = core.OpMethod         // a direct method goes to the device; Name is its name
	OpMethodResponse = core.OpMethodResponse // the device answers
	OpC2D            = core.OpC2D            // a message goes to the device; Message is set
	OpAck            = core.OpAck            // the device settles a message; Name is its lock token
	OpRequest        = core.OpRequest        // an HTTPS request, which may be one of the others too; Name is "METHOD /path"
	OpRegister       = core.OpRegister       // a device registers with DPS; Identity has its registration id, Body is the request
	OpRegisterQuery  = core.OpRegisterQuery  // it asks how that is going; Name is the operation's id
	OpToken          = core.OpToken          // a token is shown for later, as AMQP's put-token does; Name is the audience
	OpTunnel         = core.OpTunnel         // a WebSocket opens; Name is its subprotocol
)

// Op is an operation, before the hub acts. What it points to must not be
// changed or kept.
type Op struct {
	Kind     OpKind           // what is about to be done
	Identity hubwire.Identity // of the device or module; zero for a service
	Protocol string           // "mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"
	Name     string           // see the kinds
	Message  *hubwire.Message // or nil
	Body     []byte           // or nil
}

// Verdict is what becomes of an operation. The zero Verdict lets it pass. What
// stands first in it goes first; a good-bye ([OpDisconnect]) can only be delayed
// or, as if it had been lost, dropped before.
type Verdict struct {
	// Delay is how long to wait before anything else. What follows on the same
	// connection waits too.
	Delay time.Duration

	// DropBefore cuts the connection, and the hub does not act.
	DropBefore bool

	// Refuse, when not 0, is the code that the operation fails with. The hub
	// does not act. HTTPS answers with it, and so does AMQP, by a link that is refused, a
	// delivery that is rejected or the answer to a token or twin operation. MQTT can say it to a twin operation or a
	// registration; a login fails with CONNACK 3 or 5, a subscription with 0x80; what comes from
	// the hub is not sent; a settlement does not count; everything else closes
	// the connection.
	Refuse hubwire.Code

	// RetryAfter goes with Refuse, where the protocol can say it.
	RetryAfter time.Duration

	// DropAfter lets the hub act, and cuts the connection instead of the
	// answer, or behind what the hub has sent by itself.
	DropAfter bool

	// SwallowAck lets the hub act, and sends no answer: no CONNACK, PUBACK, …,
	// no result of a twin operation, no response. Over AMQP an attach without an answer
	// is the last that the peer hears of the hub; the hub's word about a settlement is sent all the
	// same. It changes nothing of what comes from the hub or has no answer.
	SwallowAck bool
}

// interceptor gives the core's form of an intercept function.
func interceptor(f func(context.Context, *Op) Verdict) func(context.Context, *core.Op) core.Verdict {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, op *core.Op) core.Verdict {
		return core.Verdict(f(ctx, (*Op)(op)))
	}
}
