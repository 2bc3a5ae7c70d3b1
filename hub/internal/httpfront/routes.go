package httpfront

import (
	"net/http"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Resources imitate the service's part of the REST API: what there is, its
// methods, and the right that each needs. Left out: queries, jobs,
// configurations, digital twins, feedback, import and export, and file upload.

// operation is what a method does to a resource.
type operation struct {
	act    func(*request) (response, error)
	device bool         // it is for the device or module that the path names
	rights []core.Right // else one of them is needed
}

// by says which right an operation needs, or which will do.
func by(act func(*request) (response, error), rights ...core.Right) operation {
	return operation{act: act, rights: rights}
}

// byDevice is an operation of a device or module.
func byDevice(act func(*request) (response, error)) operation {
	return operation{act: act, device: true}
}

// operations returns those of the resource that the path names, by method, or
// nil when there is none.
func (s *Server) operations(r *request) map[string]operation {
	switch {
	case r.is("devices"):
		return map[string]operation{http.MethodGet: by(s.listDevices, core.RegistryRead)}
	case r.isIdentity("devices"):
		return map[string]operation{
			http.MethodGet:    by(s.getIdentity, core.RegistryRead),
			http.MethodPut:    by(s.putIdentity, core.RegistryWrite),
			http.MethodDelete: by(s.deleteIdentity, core.RegistryWrite),
		}
	case r.is("devices", "*", "modules"):
		return map[string]operation{http.MethodGet: by(s.listModules, core.RegistryRead)}
	case r.is("statistics", "devices"):
		return map[string]operation{http.MethodGet: by(s.getStatistics, core.RegistryRead)}
	case r.is("statistics", "service"):
		return map[string]operation{http.MethodGet: by(s.getServiceStatistics, core.RegistryRead, core.ServiceConnect)}
	case r.isIdentity("twins"):
		return map[string]operation{
			http.MethodGet:   by(s.getTwin, core.ServiceConnect),
			http.MethodPatch: by(s.patchTwin, core.ServiceConnect),
			http.MethodPut:   by(s.replaceTwin, core.ServiceConnect),
		}
	case r.isIdentity("twins", "methods"):
		return map[string]operation{http.MethodPost: by(s.invokeMethod, core.ServiceConnect)}
	case r.isIdentity("devices", "messages", "events"):
		return map[string]operation{http.MethodPost: byDevice(s.sendTelemetry)}
	case r.isIdentity("devices", "messages", "deviceBound"):
		return map[string]operation{
			http.MethodGet:  byDevice(s.receiveC2D),
			http.MethodPost: by(s.sendC2D, core.ServiceConnect),
		}
	case r.isIdentity("devices", "messages", "deviceBound", "*"):
		return map[string]operation{http.MethodDelete: byDevice(s.settleC2D)}
	case r.isIdentity("devices", "messages", "deviceBound", "*", "abandon"):
		return map[string]operation{http.MethodPost: byDevice(s.abandonC2D)}
	case r.is("devices", "*", "commands"):
		return map[string]operation{http.MethodDelete: by(s.purge, core.ServiceConnect)}
	}
	return nil
}

// isIdentity reports whether the path has the form of a device or module in a
// collection, with these words behind it.
func (r *request) isIdentity(collection string, behind ...string) bool {
	return r.is(append([]string{collection, "*"}, behind...)...) ||
		r.is(append([]string{collection, "*", "modules", "*"}, behind...)...)
}

// identity returns the device or module that the path names.
func (r *request) identity() hubwire.Identity {
	id := hubwire.Identity{DeviceID: r.path[1]}
	if len(r.path) > 3 && strings.EqualFold(r.path[2], "modules") {
		id.ModuleID = r.path[3]
	}
	return id
}
