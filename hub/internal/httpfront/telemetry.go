package httpfront

import (
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Telemetry imitates what devices and modules do with POST to their messages/events: a
// body and headers, of which the answer, 204, says that the message is in the log. HTTPS
// makes no connection: connectionState stays as it is, lastActivityTime does not. Over the rate
// of the throttle the answer is late, and beyond that 429.

func (s *Server) sendTelemetry(r *request) (*httpsx.Answer, error) {
	m, err := r.message()
	if err != nil {
		return nil, err
	}
	if err := s.interceptMessage(r, core.OpPublish, m); err != nil {
		return nil, err
	}
	if err := s.awaitTurn(r, m.Size()); err != nil {
		return nil, err
	}
	if err := s.core.Telemetry(r.http.Context(), r.grant, m); err != nil {
		return nil, err
	}
	s.published(r, m)
	return noContent, nil
}

// interceptMessage is intercept of a message from or to the device or module that asks.
func (s *Server) interceptMessage(r *request, kind core.OpKind, m *hubwire.Message) error {
	if !s.core.Intercepts() {
		return nil
	}
	return s.intercept(r, &core.Op{Kind: kind, Identity: r.grant.Identity, Message: m})
}

// awaitTurn holds telemetry back as the throttle wants it.
func (s *Server) awaitTurn(r *request, sizes ...int) error {
	if !s.core.Throttles() {
		return nil
	}
	wait, err := s.core.TelemetryTurn(sizes...)
	if err != nil {
		return err
	}
	return s.core.Wait(r.http.Context(), wait)
}

// published tells of a message that is in the log.
func (s *Server) published(r *request, m *hubwire.Message) {
	if f := s.opt.Published; f != nil {
		f(r.http.Context(), r.grant.Identity, m)
	}
}
