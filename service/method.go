package service

import (
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// InvokeOptions are the time-outs of a direct method, in whole seconds, each at most 300 s. nil
// means the defaults.
type InvokeOptions struct {
	ConnectTimeout  time.Duration // to wait for the device to be online; 0 means not at all
	ResponseTimeout time.Duration // to wait for its answer, at least 5 s; 0 means 30 s
}

// Invoke calls a direct method of a device or module and returns its answer, whatever the status in
// it. It is never tried again: see what Outcome the error has. Codes: DeviceNotOnline when it is
// not connected within ConnectTimeout; GatewayTimeout when it does not answer in time, and
// ConnectionClosedRemotely when it goes away meanwhile, both with outcome [hubwire.Unknown], for it
// may have run the method; DeviceNotFound, ModuleNotFound, MaxInflightMethodExceeded,
// MessageTooLarge, ArgumentInvalid.
//
// When the context has no deadline, the call is bounded by both time-outs and
// [Options].OperationTimeout.
func (c *Client) Invoke(ctx context.Context, id hubwire.Identity, m hubwire.MethodRequest, o *InvokeOptions) (*hubwire.MethodResponse, error) {
	call := methodCall(m, o)
	if err := call.Check(); err != nil {
		return nil, unsent(err)
	}
	r := of(httpsx.InvokeMethod, id).with(call)
	r.waits = call.Wait()
	result, err := ask[httpsx.MethodResult](ctx, c, r)
	if err != nil {
		return nil, err
	}
	return result.Response(), nil
}

func methodCall(m hubwire.MethodRequest, o *InvokeOptions) *httpsx.MethodCall {
	call := &httpsx.MethodCall{Name: m.Name, Payload: m.Payload}
	if o != nil {
		call.ConnectTimeout, call.ResponseTimeout = o.ConnectTimeout, o.ResponseTimeout
	}
	return call
}
