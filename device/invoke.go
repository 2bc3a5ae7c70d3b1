package device

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// InvokeOptions are the time-outs of [Client.Invoke], in whole seconds, each at most 300 s. nil
// means the defaults.
type InvokeOptions struct {
	ConnectTimeout  time.Duration // to wait for the other to be online; 0 means not at all
	ResponseTimeout time.Duration // to wait for its answer, at least 5 s; 0 means 30 s
}

// maxInvocations bounds the calls of a module that are under way; a further one waits.
const maxInvocations = 100

// Invoke calls a direct method of another module of the same device, or of the device, and returns its
// answer, whatever the status in it. Only modules can, with the rights that IoT Edge's hub gives them; a
// module of an IoT Edge device may call the devices below it, and their modules, too. It goes over HTTPS beside
// the Client's protocol (see [Options].HTTPSPort), to the gateway where there is one. Whether IoT Hub itself
// takes such a call, without IoT Edge, is not documented; package hub does.
//
// It is never tried again, but that a token which is refused is replaced once: see what Outcome the error has.
// Codes: DeviceNotOnline when the other is not connected within ConnectTimeout; GatewayTimeout when it does
// not answer in time, and ConnectionClosedRemotely when it goes away meanwhile, both with outcome
// [hubwire.Unknown], for it may have run the method; DeviceNotFound, ModuleNotFound, UnauthorizedAccess,
// MessageTooLarge, ArgumentInvalid. For a Client of a device it is [errors.ErrUnsupported].
//
// When the context has no deadline, the call is bounded by both time-outs and [Options].OperationTimeout. At
// most 100 calls are under way at a time; a further one waits.
//
// Source: what the official SDKs send, POST /twins/{device}[/modules/{module}]/methods with the header
// x-ms-edge-moduleId; the body is that of REST, "Modules - Invoke Method".
func (c *Client) Invoke(ctx context.Context, id hubwire.Identity, m hubwire.MethodRequest, o *InvokeOptions) (*hubwire.MethodResponse, error) {
	const op = "invoke"
	if _, err := c.ready(ctx, op); err != nil {
		return nil, err
	}
	if !c.cred.Identity.IsModule() {
		return nil, &hubwire.Error{
			Op: op, Code: hubwire.InvalidOperation, Outcome: hubwire.NotSent,
			Message: "devices do not call methods", Err: errors.ErrUnsupported,
		}
	}
	call := &httpsx.MethodCall{Name: m.Name, Payload: m.Payload}
	if o != nil {
		call.ConnectTimeout, call.ResponseTimeout = o.ConnectTimeout, o.ResponseTimeout
	}
	if e, bad := errors.AsType[*hubwire.Error](call.Check()); bad {
		e.Op, e.Outcome = op, hubwire.NotSent
		return nil, e
	}
	answer, err := c.askMethod(ctx, id, call)
	if err != nil {
		return nil, withOp(op, err)
	}
	result := new(httpsx.MethodResult)
	if err := (&httpsx.Answer{Body: answer.body}).Decode(httpsx.InvokeMethod, result); err != nil {
		return nil, withOp(op, err)
	}
	return result.Response(), nil
}

// askMethod sends a call to the hub, and returns its answer.
func (c *Client) askMethod(ctx context.Context, id hubwire.Identity, call *httpsx.MethodCall) (*reply, error) {
	w, err := c.beside.ways()
	if err != nil {
		return nil, err
	}
	x, err := w.hub.exchangeOf(&httpsx.Request{
		Op: httpsx.InvokeMethod, Target: httpsx.Target{Identity: id}, Caller: c.cred.Identity,
	})
	if err != nil {
		return nil, err
	}
	if x.body, err = httpsx.Marshal(call); err != nil {
		return nil, invalid("invoke", "%v", err)
	}
	x.request.Header["Content-Type"] = []string{"application/json; charset=utf-8"}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, call.Wait()+c.o.OperationTimeout)
		defer cancel()
	}
	answer, e := w.hub.once(ctx, &x)
	if e == nil {
		return answer, nil
	}
	switch e.Code.Status() {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		e.Outcome = hubwire.Unknown // the hub said no, but of the answer
	}
	if e.Code == hubwire.ConnectionClosedRemotely {
		e.Outcome = hubwire.Unknown
	}
	return nil, e
}

// once asks for what must not be done twice. It asks again only when nothing got to the hub, on a connection
// that had ended before, or when the hub did not take the token or certificate, each at most once.
func (r *rest) once(ctx context.Context, x *exchange) (*reply, *hubwire.Error) {
	stale, refreshed := false, false
	for {
		token, e := r.tokens.get(ctx)
		var answer *reply
		if e == nil {
			answer, e = r.attempt(ctx, x, token)
		}
		switch {
		case e == nil:
			return answer, nil
		case ctx.Err() != nil || r.over.Err() != nil:
			if e.Outcome != hubwire.Refused {
				e = r.gaveUp(ctx, e, false)
			}
			return nil, e
		case !stale && e.Outcome == hubwire.NotSent && errors.Is(e, errStale):
			stale = true
		case !refreshed && e.Code.Status() == http.StatusUnauthorized && r.refresh(token):
			refreshed = true
		default:
			return nil, e
		}
	}
}
