package httpfront

import (
	"errors"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// Access imitates the developer guide's "Control access to IoT Hub": services show a
// policy's token, devices and modules one of their own, or none when TLS
// showed a certificate, or a policy's that may connect for them. What IoT Edge asks
// for it shows a device's or module's token for. Left out: Entra ID, and tokens in the query, which
// only IoT Edge's hub takes.

// access says whose credentials an operation takes.
type access uint8

const (
	byService         access = iota // a policy with one of the rights
	byIdentity                      // the device or module of the path
	byServiceOrDevice               // a policy, or the device of the path, whose modules are its own
	byServiceOrModule               // a policy, or a module that says who it is
	byEdgeHub                       // the module $edgeHub of the device of the path
)

// edgeHub is the module that acts for an edge device.
const edgeHub = "$edgeHub"

// authorize checks who asks.
func (s *Server) authorize(r *request, rt *route) error {
	var err error
	device := hubwire.Identity{DeviceID: r.Target.Identity.DeviceID}
	switch {
	case rt.by == byIdentity:
		err = s.authenticate(r, r.Target.Identity)
	case rt.by == byEdgeHub:
		device.ModuleID = edgeHub
		err = s.authenticate(r, device)
	case rt.by == byServiceOrDevice && !r.showsPolicy():
		err = s.authenticate(r, device)
	case rt.by == byServiceOrModule && r.Caller.IsModule() && !r.showsPolicy():
		if err = s.authenticate(r, r.Caller); err == nil {
			err = s.core.MayAct(r.Caller.DeviceID, r.Target.Identity, nil)
		}
	default:
		_, err = s.core.AuthorizeService(r.http.Context(), r.token(), r.http.URL.Path, rt.rights...)
	}
	if err != nil {
		return err
	}
	if raw, ok := rawConn(r.http).(interface{ Admit() }); ok {
		raw.Admit()
	}
	return nil
}

// authenticate checks that it is a device or module, or a policy that may connect for it.
func (s *Server) authenticate(r *request, id hubwire.Identity) error {
	l := &core.Login{Identity: id, Protocol: "https", Token: sas.NewSecret(r.token())}
	if r.http.TLS != nil {
		l.Certificates = r.http.TLS.PeerCertificates
	}
	return s.core.AuthenticateRequest(r.http.Context(), l, &r.grant)
}

func (r *request) token() string {
	if v := r.http.Header["Authorization"]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// showsPolicy reports whether the token is one of a policy, right or wrong.
func (r *request) showsPolicy() bool {
	t, err := sas.ParseToken(r.token())
	return err == nil && t.Policy != ""
}

// subject is whose operation an intercept function sees; zero for a service's.
func (r *request) subject() hubwire.Identity {
	if rt := routeOf(r.Op); rt != nil && rt.by == byIdentity {
		return r.Target.Identity
	}
	return hubwire.Identity{}
}

// isRefusal reports whether err is an answer of the hub.
func isRefusal(err error) bool {
	var e *hubwire.Error
	return errors.As(err, &e)
}

func refuse(op httpsx.Operation, code hubwire.Code, message string) error {
	return &hubwire.Error{Op: op.String(), Code: code, Outcome: hubwire.Refused, Retryable: code.Retryable(), Message: message}
}
