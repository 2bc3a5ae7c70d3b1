package httpfront

import (
	"context"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Twins imitate the REST API's "Devices - Get, Update, Replace Twin" and the same
// of modules. PATCH merges, PUT replaces tags and desired properties; both do so
// under the etag of If-Match, or without one unconditionally. What else a twin
// has is ignored in a body, so that one may send back what one got.

// twinDoc is a twin, of which the registry says d, as the REST API has it.
func twinDoc(t *hubwire.Twin, d *core.Device) *httpsx.Twin {
	return &httpsx.Twin{
		Twin:       *t,
		DeviceETag: d.ETag,
		Status:     status(d), StatusReason: d.StatusReason, StatusUpdated: httpsx.NewTime(d.StatusUpdated),
		ConnectionState: connectionState(d), LastActivity: httpsx.NewTime(d.LastActivity), C2DCount: d.C2DCount,
		AuthenticationType: httpsx.AuthenticationType(d.Auth.Type),
		X509Thumbprint:     thumbprints(d),
		Capabilities:       httpsx.Capabilities{IotEdge: d.Edge},
		Scope:              d.Scope, ParentScopes: d.ParentScopes,
	}
}

func (s *Server) getTwin(r *request) (*httpsx.Answer, error) {
	t, err := s.core.Twin(r.http.Context(), r.Target.Identity)
	if err != nil {
		return nil, err
	}
	return s.withTwin(r, t)
}

func (s *Server) patchTwin(r *request) (*httpsx.Answer, error) {
	return s.writeTwin(r, s.core.PatchTwin)
}

func (s *Server) putTwin(r *request) (*httpsx.Answer, error) {
	return s.writeTwin(r, s.core.ReplaceTwin)
}

func (s *Server) writeTwin(r *request, write func(context.Context, hubwire.Identity, *core.TwinUpdate, string) (*hubwire.Twin, error)) (*httpsx.Answer, error) {
	var u httpsx.TwinUpdate
	if err := r.decode(&u); err != nil {
		return nil, err
	}
	t, err := write(r.http.Context(), r.Target.Identity, twinUpdate(&u), r.IfMatch)
	if err != nil {
		return nil, err
	}
	return s.withTwin(r, t)
}

func twinUpdate(u *httpsx.TwinUpdate) *core.TwinUpdate {
	return &core.TwinUpdate{Tags: u.Tags, Desired: u.Desired}
}

func (s *Server) withTwin(r *request, t *hubwire.Twin) (*httpsx.Answer, error) {
	d, err := s.core.Device(t.Identity)
	if err != nil {
		return nil, err
	}
	return r.with(twinDoc(t, d), t.ETag)
}
