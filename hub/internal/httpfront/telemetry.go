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

// keepBody is the largest buffer that is kept to read another body into.
const keepBody = 16 << 10

func (s *Server) sendTelemetry(r *request) (*httpsx.Answer, error) {
	room, _ := s.bodies.Get().(*[]byte)
	if room == nil {
		room = new([]byte)
	}
	body, err := r.appendBody((*room)[:0])
	if err == nil {
		err = s.takeTelemetry(r, body)
	}
	if cap(body) <= keepBody { // nothing of it is kept
		*room = body
		s.bodies.Put(room)
	}
	if err != nil {
		return nil, err
	}
	return noContent, nil
}

// takeTelemetry takes a body as what its headers say, a message or a batch.
func (s *Server) takeTelemetry(r *request, body []byte) error {
	if httpsx.IsBatch(r.http.Header) {
		return s.takeBatch(r, body)
	}
	m, err := httpsx.ParseMessage(r.http.Header, body)
	if err != nil {
		return r.unreadable(err)
	}
	if err := s.interceptMessage(r, core.OpPublish, m); err != nil {
		return err
	}
	if s.core.Throttles() {
		if err := s.awaitTurn(r, m.Size()); err != nil {
			return err
		}
	}
	if err := s.core.Telemetry(r.http.Context(), &r.grant, m); err != nil {
		return err
	}
	s.published(r, m)
	return nil
}

// takeBatch takes all messages of a batch, or none.
func (s *Server) takeBatch(r *request, body []byte) error {
	var ms []hubwire.Message
	for m, err := range httpsx.ParseBatch(body) {
		if err != nil {
			return r.unreadable(err)
		}
		ms = append(ms, *m)
	}
	for i := range ms {
		if err := s.interceptMessage(r, core.OpPublish, &ms[i]); err != nil {
			return err
		}
	}
	if s.core.Throttles() {
		sizes := make([]int, len(ms))
		for i := range ms {
			sizes[i] = ms[i].Size()
		}
		if err := s.awaitTurn(r, sizes...); err != nil {
			return err
		}
	}
	if err := s.core.TelemetryBatch(r.http.Context(), &r.grant, ms); err != nil {
		return err
	}
	for i := range ms {
		s.published(r, &ms[i])
	}
	return nil
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
