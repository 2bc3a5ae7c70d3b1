package httpfront

import (
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// Access imitates the developer guide's "Control access to IoT Hub": services show a
// policy's token, devices and modules one of their own, or none when TLS
// showed a certificate, or a policy's that may connect for them. Left out: Entra ID.

// authorize checks who asks.
func (s *Server) authorize(r *request, op *operation) error {
	var err error
	if op.device {
		r.grant, err = s.authenticate(r, r.identity())
	} else {
		token := r.Header.Get("Authorization")
		_, err = s.core.AuthorizeService(r.Context(), token, "/"+strings.Join(r.path, "/"), op.rights...)
	}
	if err != nil {
		return err
	}
	if raw, ok := rawConn(r.Request).(interface{ Admit() }); ok {
		raw.Admit()
	}
	return nil
}

// authenticate checks that it is a device or module, or a policy that may connect for it.
func (s *Server) authenticate(r *request, id hubwire.Identity) (*core.Grant, error) {
	l := &core.Login{Identity: id, Protocol: "https", Token: sas.NewSecret(r.Header.Get("Authorization"))}
	if r.TLS != nil {
		l.Certificates = r.TLS.PeerCertificates
	}
	return s.core.AuthenticateRequest(r.Context(), l)
}
