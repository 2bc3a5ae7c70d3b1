package hub

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// SendC2D queues a cloud-to-device message for a device or module. Codes:
// QueueDepthExceeded for the 51st that waits, MessageTooLarge,
// ArgumentInvalid, DeviceNotFound, ModuleNotFound. It keeps nothing of m. It
// blocks only, and for a millisecond at most, when the queue is full and the
// device there to make room: a sender in a loop goes at the device's pace.
func (h *Hub) SendC2D(ctx context.Context, to hubwire.Identity, m *hubwire.Message) error {
	c, err := h.ask(ctx, "send c2d")
	if err != nil {
		return err
	}
	return c.SendC2D(ctx, to, m)
}

// SendInput queues a message for an input of a module, as a route of IoT Edge
// does. The module's queue is that of its cloud-to-device messages, with the same codes.
func (h *Hub) SendInput(ctx context.Context, module hubwire.Identity, input string, m *hubwire.Message) error {
	c, err := h.ask(ctx, "send input")
	if err != nil {
		return err
	}
	return c.SendInput(ctx, module, input, m)
}

// Purge removes the cloud-to-device messages that wait for a device or module,
// and returns how many there were. Codes: DeviceNotFound, ModuleNotFound.
func (h *Hub) Purge(ctx context.Context, id hubwire.Identity) (int, error) {
	c, err := h.ask(ctx, "purge")
	if err != nil {
		return 0, err
	}
	return c.Purge(ctx, id)
}

// QueueLength returns how many cloud-to-device messages wait for a device or
// module, delivered but unsettled ones included. Codes: DeviceNotFound, ModuleNotFound.
func (h *Hub) QueueLength(id hubwire.Identity) (int, error) {
	d, err := h.Device(id)
	if err != nil {
		return 0, err
	}
	return d.QueueLength, nil
}

// Feedback tells what became of a cloud-to-device message whose sender asked ([hubwire.Message.Ack]).
type Feedback struct {
	MessageID    string           // of the message
	Status       string           // "Success", "Expired", "DeliveryCountExceeded", "Rejected" or "Purged"
	Time         time.Time        // when it came to this
	Identity     hubwire.Identity // who it was for
	GenerationID string           // of the device
}

// maxFeedback is how many records Feedback returns at most: a batch of the service.
const maxFeedback = 64

// Feedback waits until there is feedback, then returns what there is, oldest
// first, and takes it off the queue. It ends with ctx.
func (h *Hub) Feedback(ctx context.Context) ([]Feedback, error) {
	c, err := h.ask(ctx, "feedback")
	if err != nil {
		return nil, err
	}
	b, err := c.WaitFeedback(ctx, maxFeedback)
	if err != nil {
		return nil, err
	}
	if err := c.SettleFeedback(ctx, b.LockToken, hubwire.Complete); err != nil {
		return nil, err
	}
	out := make([]Feedback, len(b.Records))
	for i, r := range b.Records {
		out[i] = Feedback{
			MessageID: r.OriginalMessageID, Status: string(r.Status), Time: r.Time,
			Identity: r.Identity, GenerationID: r.GenerationID,
		}
	}
	return out, nil
}

// InvokeOptions are the time-outs of a direct method, each at most 300 s. nil means the defaults.
type InvokeOptions struct {
	ConnectTimeout  time.Duration // to wait for the device to be online; 0 means not at all
	ResponseTimeout time.Duration // to wait for its answer; 0 means 30 s
}

// Invoke calls a direct method and returns the device's answer, whatever its
// status. Codes: DeviceNotOnline when it is not connected with methods within
// ConnectTimeout, GatewayTimeout when it does not answer in time and
// ConnectionClosedRemotely when its connection ended meanwhile, both with outcome
// [hubwire.Unknown], for it may have run the method, DeviceNotFound,
// ModuleNotFound, MessageTooLarge, FormatError, ArgumentInvalid and, of a hub with
// [Config.Throttle], Throttled.
func (h *Hub) Invoke(ctx context.Context, id hubwire.Identity, r hubwire.MethodRequest, o *InvokeOptions) (*hubwire.MethodResponse, error) {
	c, err := h.ask(ctx, "invoke method")
	if err != nil {
		return nil, err
	}
	v := &core.Invocation{MethodRequest: r}
	if o != nil {
		v.ConnectTimeout, v.ResponseTimeout = o.ConnectTimeout, o.ResponseTimeout
	}
	return c.Invoke(ctx, id, v)
}

// TwinUpdate is what a service writes to a twin. Each member is a JSON object;
// a nil member of a patch is left alone, of a replacement becomes empty.
type TwinUpdate struct {
	Tags    json.RawMessage // what devices do not see
	Desired json.RawMessage // the desired properties
}

// Twin returns a twin as services see it: with tags, metadata, version and
// etag. Codes: DeviceNotFound, ModuleNotFound, Throttled.
func (h *Hub) Twin(ctx context.Context, id hubwire.Identity) (*hubwire.Twin, error) {
	c, err := h.ask(ctx, "get twin")
	if err != nil {
		return nil, err
	}
	return c.Twin(ctx, id)
}

// PatchTwin merges u into a twin (RFC 7396) and returns the whole. ifMatch is
// an ETag of [Hub.Twin], or "" for any. Codes: DeviceNotFound, ModuleNotFound,
// PreconditionFailed, FormatError, Throttled, and ArgumentInvalid for what is over a limit.
func (h *Hub) PatchTwin(ctx context.Context, id hubwire.Identity, u TwinUpdate, ifMatch string) (*hubwire.Twin, error) {
	c, err := h.ask(ctx, "patch twin")
	if err != nil {
		return nil, err
	}
	return c.PatchTwin(ctx, id, (*core.TwinUpdate)(&u), ifMatch)
}

// ReplaceTwin writes tags and desired properties anew. Otherwise it is [Hub.PatchTwin].
func (h *Hub) ReplaceTwin(ctx context.Context, id hubwire.Identity, u TwinUpdate, ifMatch string) (*hubwire.Twin, error) {
	c, err := h.ask(ctx, "replace twin")
	if err != nil {
		return nil, err
	}
	return c.ReplaceTwin(ctx, id, (*core.TwinUpdate)(&u), ifMatch)
}
