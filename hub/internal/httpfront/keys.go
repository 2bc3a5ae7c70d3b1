package httpfront

import (
	"net/http"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Regeneration of keys imitates what API version 2024-03-31 has of it: 200, or 207 when some of
// the identities were refused, and 400 when all were.

func (s *Server) regenerateKeys(r *request) (*httpsx.Answer, error) {
	var v httpsx.KeyRegeneration
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	ids := make([]hubwire.Identity, len(v.Devices))
	for i, d := range v.Devices {
		ids[i] = hubwire.Identity{DeviceID: d.ID, ModuleID: d.ModuleID}
	}
	rotated, failed, err := s.core.RegenerateKeys(r.http.Context(), core.PolicyKey(v.PolicyKey), ids)
	if err != nil {
		return nil, err
	}
	doc := &httpsx.RegeneratedKeys{PolicyKey: v.PolicyKey}
	for _, d := range rotated {
		doc.Rotated = append(doc.Rotated, httpsx.RotatedKey{
			ID: d.ID.DeviceID, ModuleID: d.ID.ModuleID,
			SymmetricKey: httpsx.SymmetricKey{Primary: d.Auth.Primary, Secondary: d.Auth.Secondary},
		})
	}
	for _, f := range failed {
		doc.Errors = append(doc.Errors, httpsx.KeyError{
			ID: f.ID.DeviceID, ModuleID: f.ID.ModuleID, Code: httpsx.BulkCode(f.Err.Code), Status: messageOf(f.Err),
		})
	}
	a, err := r.with(doc, "")
	if err != nil {
		return nil, err
	}
	switch {
	case len(failed) > 0 && len(rotated) > 0:
		a.Status = http.StatusMultiStatus
	case len(failed) > 0:
		a.Status, a.ErrorCode = http.StatusBadRequest, hubwire.BulkRegenerateKeyFailure
	}
	return a, nil
}
