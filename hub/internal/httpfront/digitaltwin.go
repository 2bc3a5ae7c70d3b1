package httpfront

import (
	"encoding/json"

	"github.com/hubwire/hubwire/httpsx"
)

// Digital twins imitate the REST API's "Digital Twin": get, patch, and commands, of which what the
// device answers stands in a header and its payload is the body.

func (s *Server) getDigitalTwin(r *request) (*httpsx.Answer, error) {
	doc, etag, err := s.core.DigitalTwin(r.http.Context(), r.Target.Identity.DeviceID)
	if err != nil {
		return nil, err
	}
	return r.with(doc, etag)
}

func (s *Server) patchDigitalTwin(r *request) (*httpsx.Answer, error) {
	var patch json.RawMessage
	if err := r.decode(&patch); err != nil {
		return nil, err
	}
	etag, err := s.core.PatchDigitalTwin(r.http.Context(), r.Target.Identity.DeviceID, patch, r.IfMatch)
	if err != nil {
		return nil, err
	}
	a, err := r.with(nil, etag)
	if err != nil {
		return nil, err
	}
	a.Location = "https://" + r.http.Host + string(httpsx.GetDigitalTwin.AppendPath(nil, r.Target))
	return a, nil
}

func (s *Server) invokeCommand(r *request) (*httpsx.Answer, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	call := httpsx.MethodCall{Name: r.Target.Name, ConnectTimeout: r.ConnectTimeout, ResponseTimeout: r.ResponseTimeout}
	if len(body) > 0 {
		if err := httpsx.Decode(r.Op, body, &call.Payload); err != nil {
			return nil, err
		}
	}
	if err := call.Check(); err != nil {
		return nil, err
	}
	res, err := s.core.InvokeCommand(r.http.Context(), r.Target.Identity.DeviceID, r.Target.Component, r.Target.Name, invocation(&call))
	if err != nil {
		return nil, err
	}
	if res.Payload == nil {
		res.Payload = json.RawMessage("null")
	}
	a, err := r.with(res.Payload, "")
	if err != nil {
		return nil, err
	}
	a.CommandStatus = res.Status
	return a, nil
}
