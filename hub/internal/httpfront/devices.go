package httpfront

import (
	"net/http"
	"strconv"

	"github.com/hubwire/hubwire/hub/internal/core"
)

// Identities imitate the REST API's "Devices", "Modules" and "Statistics": create,
// update, get, delete, list and count. PUT without If-Match creates, and with one
// updates; both answer 200. Left out: bulk operations, regeneration of keys.

func found(d *core.Device, err error) (response, error) {
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, etag: d.ETag, body: encode(d)}, nil
}

func (s *Server) getIdentity(r *request) (response, error) {
	return found(s.core.Device(r.identity()))
}

// putIdentity creates an identity, or with If-Match updates one. The service
// answers both with 200.
func (s *Server) putIdentity(r *request) (response, error) {
	var j identity
	if err := r.decode(&j); err != nil {
		return response{}, err
	}
	d, err := j.decode(r.identity())
	if err != nil {
		return response{}, err
	}
	if match := r.ifMatch(); match != "" {
		return found(s.core.Update(r.Context(), d, match))
	}
	return found(s.core.Create(r.Context(), d))
}

func (s *Server) deleteIdentity(r *request) (response, error) {
	match := r.ifMatch()
	if match == "" {
		match = "*"
	}
	if err := s.core.Delete(r.Context(), r.identity(), match); err != nil {
		return response{}, err
	}
	return response{status: http.StatusNoContent}, nil
}

// maxList is how many devices a list has at most, and how many without top.
const maxList = 1000

func (s *Server) listDevices(r *request) (response, error) {
	top, err := strconv.Atoi(r.URL.Query().Get("top"))
	if err != nil || top < 1 || top > maxList {
		top = maxList
	}
	return response{status: http.StatusOK, body: encodeAll(s.core.Devices(top))}, nil
}

func (s *Server) listModules(r *request) (response, error) {
	ds, err := s.core.Modules(r.path[1])
	if err != nil {
		return response{}, err
	}
	return response{status: http.StatusOK, body: encodeAll(ds)}, nil
}

// encodeAll never returns nil, which would be the JSON null.
func encodeAll(ds []*core.Device) []*identity {
	out := make([]*identity, len(ds))
	for i, d := range ds {
		out[i] = encode(d)
	}
	return out
}

// statistics counts devices, without modules, by status.
type statistics struct {
	Total    int `json:"totalDeviceCount"`
	Enabled  int `json:"enabledDeviceCount"`
	Disabled int `json:"disabledDeviceCount"`
}

func (s *Server) getStatistics(*request) (response, error) {
	n := s.core.Statistics()
	return response{status: http.StatusOK, body: statistics{n.Total, n.Enabled, n.Disabled}}, nil
}

// serviceStatistics counts the devices that are connected.
type serviceStatistics struct {
	Connected int `json:"connectedDeviceCount"`
}

func (s *Server) getServiceStatistics(*request) (response, error) {
	return response{status: http.StatusOK, body: serviceStatistics{s.core.Statistics().Connected}}, nil
}
