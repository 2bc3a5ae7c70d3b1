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

// twinDoc is a twin as the REST API has it.
func twinDoc(t *core.TwinDocument) *httpsx.Twin {
	d := t.Device
	doc := &httpsx.Twin{
		Twin:       *t.Twin,
		DeviceETag: d.ETag,
		Status:     status(d), StatusReason: d.StatusReason, StatusUpdated: httpsx.NewTime(d.StatusUpdated),
		ConnectionState: connectionState(d), LastActivity: httpsx.NewTime(d.LastActivity), C2DCount: d.C2DCount,
		AuthenticationType: httpsx.AuthenticationType(d.Auth.Type),
		X509Thumbprint:     thumbprints(d),
		Capabilities:       httpsx.Capabilities{IotEdge: d.Edge},
		Scope:              d.Scope, ParentScopes: d.ParentScopes,
	}
	if len(t.Configurations) > 0 {
		doc.Configurations = make(map[string]httpsx.ConfigurationState, len(t.Configurations))
		for id, status := range t.Configurations {
			doc.Configurations[id] = httpsx.ConfigurationState{Status: status}
		}
	}
	return doc
}

func (s *Server) getTwin(r *request) (*httpsx.Answer, error) {
	return r.withTwin(s.core.TwinDocument(r.http.Context(), r.Target.Identity))
}

func (s *Server) patchTwin(r *request) (*httpsx.Answer, error) {
	return r.writeTwin(s.core.PatchDocument)
}

func (s *Server) putTwin(r *request) (*httpsx.Answer, error) {
	return r.writeTwin(s.core.ReplaceDocument)
}

func (r *request) writeTwin(write func(context.Context, hubwire.Identity, *core.TwinUpdate, string) (*core.TwinDocument, error)) (*httpsx.Answer, error) {
	var u httpsx.TwinUpdate
	if err := r.decode(&u); err != nil {
		return nil, err
	}
	return r.withTwin(write(r.http.Context(), r.Target.Identity, twinUpdate(&u), r.IfMatch))
}

func twinUpdate(u *httpsx.TwinUpdate) *core.TwinUpdate {
	return &core.TwinUpdate{Tags: u.Tags, Desired: u.Desired}
}

func (r *request) withTwin(t *core.TwinDocument, err error) (*httpsx.Answer, error) {
	if err != nil {
		return nil, err
	}
	return r.with(twinDoc(t), t.Twin.ETag)
}
