package httpfront

import (
	"net/http"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Receiving imitates how devices poll for cloud-to-device messages: GET locks the first
// that waits and hands it out, or answers 204; DELETE of the lock token completes or,
// with the parameter reject, rejects it; POST to abandon gives it back. The token of the path counts
// alone, since SDKs differ in what they say in If-Match.

func (s *Server) receiveC2D(r *request) (*httpsx.Answer, error) {
	lock, err := httpsx.LockTimeout(r.http.Header, r.http.URL.Query())
	if err != nil {
		return nil, err
	}
	m, err := s.core.ReceiveC2D(r.http.Context(), r.grant.Identity, lock)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return noContent, nil
	}
	if err := s.interceptMessage(r, core.OpC2D, &m.Message); err != nil {
		return nil, err // the message stays locked, as one that was lost on its way
	}
	httpsx.SetReceived(r.w.Header(), r.grant.Identity, m)
	return &httpsx.Answer{Status: http.StatusOK, ContentType: "application/octet-stream", Body: m.Body}, nil
}

// settles returns what ends a delivery so.
func settles(d hubwire.Disposition) func(*Server, *request) (*httpsx.Answer, error) {
	return func(s *Server, r *request) (*httpsx.Answer, error) {
		token := r.Target.Name
		if s.core.Intercepts() {
			if err := s.intercept(r, &core.Op{Kind: core.OpAck, Identity: r.grant.Identity, Name: token}); err != nil {
				return nil, err
			}
		}
		if err := s.core.SettleC2D(r.http.Context(), r.grant.Identity, token, d); err != nil {
			return nil, err
		}
		return noContent, nil
	}
}
