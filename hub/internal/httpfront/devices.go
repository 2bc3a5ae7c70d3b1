package httpfront

import (
	"cmp"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Identities imitate the REST API's "Devices", "Modules" and "Statistics": create,
// update, get, delete, list and count. PUT without If-Match creates, and with one
// updates; both answer 200.

func (r *request) withIdentity(d *core.Device, err error) (*httpsx.Answer, error) {
	if err != nil {
		return nil, err
	}
	return r.with(identityDoc(d), d.ETag)
}

func (s *Server) getIdentity(r *request) (*httpsx.Answer, error) {
	return r.withIdentity(s.core.Device(r.Target.Identity))
}

func (s *Server) putDevice(r *request) (*httpsx.Answer, error) {
	var v httpsx.Device
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if err := v.Check(r.Target.Identity); err != nil {
		return nil, err
	}
	return s.putIdentity(r, fromDevice(r.Target.Identity, &v))
}

func (s *Server) putModule(r *request) (*httpsx.Answer, error) {
	var v httpsx.Module
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if err := v.Check(r.Target.Identity); err != nil {
		return nil, err
	}
	return s.putIdentity(r, fromModule(r.Target.Identity, &v))
}

// putIdentity creates an identity, or with If-Match updates one.
func (s *Server) putIdentity(r *request, d *core.Device) (*httpsx.Answer, error) {
	if r.IfMatch != "" {
		return r.withIdentity(s.core.Update(r.http.Context(), d, r.IfMatch))
	}
	return r.withIdentity(s.core.Create(r.http.Context(), d))
}

func (s *Server) deleteIdentity(r *request) (*httpsx.Answer, error) {
	if err := s.core.Delete(r.http.Context(), r.Target.Identity, cmp.Or(r.IfMatch, "*")); err != nil {
		return nil, err
	}
	return noContent, nil
}

// maxList is how many devices a list has at most, and how many without top.
const maxList = 1000

func (s *Server) listDevices(r *request) (*httpsx.Answer, error) {
	top := r.Top
	if top < 1 || top > maxList {
		top = maxList
	}
	return r.with(httpsx.Devices(docs(s.core.Devices(top), deviceDoc)), "")
}

func (s *Server) listModules(r *request) (*httpsx.Answer, error) {
	ms, err := s.core.Modules(r.Target.Identity.DeviceID)
	if err != nil {
		return nil, err
	}
	return r.with(httpsx.Modules(docs(ms, moduleDoc)), "")
}

func (s *Server) deviceStatistics(r *request) (*httpsx.Answer, error) {
	n := s.core.Statistics()
	return r.with(httpsx.DeviceStatistics{Total: n.Total, Enabled: n.Enabled, Disabled: n.Disabled}, "")
}

func (s *Server) serviceStatistics(r *request) (*httpsx.Answer, error) {
	return r.with(httpsx.ServiceStatistics{Connected: s.core.Statistics().Connected}, "")
}
