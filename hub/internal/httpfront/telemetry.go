package httpfront

import (
	"net/http"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Telemetry imitates what devices and modules do with POST to their messages/events: a
// body and headers, of which the answer, 204, says that the message is in the log. HTTPS
// makes no connection: connectionState stays as it is, lastActivityTime does not. Over the rate
// of the throttle the answer is late, and beyond that 429.

func (s *Server) sendTelemetry(r *request) (response, error) {
	m, err := r.message()
	if err != nil {
		return response{}, err
	}
	if s.core.Intercepts() {
		if err := s.intercept(r, &core.Op{Kind: core.OpPublish, Identity: r.grant.Identity, Message: m}); err != nil {
			return response{}, err
		}
	}
	if err := s.awaitTurn(r, m.Size()); err != nil {
		return response{}, err
	}
	if err := s.core.Telemetry(r.Context(), r.grant, m); err != nil {
		return response{}, err
	}
	s.published(r, m)
	return response{status: http.StatusNoContent}, nil
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
	return s.core.Wait(r.Context(), wait)
}

// published tells of a message that is in the log.
func (s *Server) published(r *request, m *hubwire.Message) {
	if f := s.opt.Published; f != nil {
		f(r.Context(), r.grant.Identity, m)
	}
}
