package httpfront

import (
	"encoding/json"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Direct methods imitate the REST API's "Devices - Invoke Method" and the same of
// modules. The device's own status stands in the body and leaves that of HTTP at
// 200. A call without a payload reaches the device as one with null, for the Node SDK
// parses an empty payload too. A module may call the modules of its device, the device, and the children
// of an edge device.

func (s *Server) invokeMethod(r *request) (*httpsx.Answer, error) {
	var call httpsx.MethodCall
	if err := r.decode(&call); err != nil {
		return nil, err
	}
	if err := call.Check(); err != nil {
		return nil, err
	}
	res, err := s.core.Invoke(r.http.Context(), r.Target.Identity, invocation(&call))
	if err != nil {
		return nil, err
	}
	return r.with(&httpsx.MethodResult{Status: res.Status, Payload: res.Payload}, "")
}

// invocation is a call as the core takes it.
func invocation(call *httpsx.MethodCall) *core.Invocation {
	v := &core.Invocation{
		MethodRequest:   hubwire.MethodRequest{Name: call.Name, Payload: call.Payload},
		ConnectTimeout:  call.ConnectTimeout,
		ResponseTimeout: call.ResponseTimeout,
	}
	if v.Payload == nil {
		v.Payload = json.RawMessage("null")
	}
	return v
}
