package httpfront

import (
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Bulk operations imitate the REST API's "Bulk Registry - Update Registry". The status is 400 when an
// element was refused; those that were not are done all the same.

func (s *Server) bulk(r *request) (*httpsx.Answer, error) {
	var list httpsx.ImportDevices
	if err := r.decode(&list); err != nil {
		return nil, err
	}
	if err := list.Check(); err != nil {
		return nil, err
	}
	ops := make([]core.BulkOperation, len(list))
	for i := range list {
		ops[i] = bulkOperation(&list[i])
	}
	failed, err := s.core.Bulk(r.http.Context(), ops)
	if err != nil {
		return nil, err
	}
	a := httpsx.NewBulkAnswer(bulkResult(failed))
	a.RequestID = core.NewGUID()
	return a, nil
}

var bulkModes = [...]core.BulkMode{
	core.BulkCreate, core.BulkUpdate, core.BulkUpdateIfMatch, core.BulkCreateOrUpdate, core.BulkCreateOrUpdateIfMatch,
	core.BulkDelete, core.BulkDeleteIfMatch, core.BulkUpdateTwin, core.BulkUpdateTwinIfMatch,
}

// bulkOperation is an element as the core takes it, which refuses modes and types that it
// does not know.
func bulkOperation(v *httpsx.ImportDevice) core.BulkOperation {
	op := core.BulkOperation{
		Mode: core.BulkMode(v.ImportMode),
		Device: core.Device{
			ID: v.Identity(), ETag: httpsx.ParseETag(v.ETag),
			Disabled: v.Status.Is(httpsx.Disabled), StatusReason: v.StatusReason,
			Auth: fromAuthentication(&v.Authentication),
			Edge: v.Capabilities.IotEdge, Scope: v.Scope, ParentScopes: v.ParentScopes,
		},
		TwinETag: httpsx.ParseETag(v.TwinETag),
		Err:      v.Check(),
	}
	for _, mode := range bulkModes {
		if strings.EqualFold(string(mode), string(op.Mode)) {
			op.Mode = mode
		}
	}
	if v.Tags != nil || v.Properties.Desired != nil {
		op.Twin = &core.TwinUpdate{Tags: v.Tags, Desired: v.Properties.Desired}
	}
	return op
}

func bulkResult(failed []core.BulkError) *httpsx.BulkResult {
	res := &httpsx.BulkResult{IsSuccessful: len(failed) == 0}
	for i := range failed {
		res.Errors = append(res.Errors, *bulkErrorDoc(&failed[i]))
	}
	return res
}

func bulkErrorDoc(f *core.BulkError) *httpsx.BulkError {
	return &httpsx.BulkError{
		DeviceID: f.ID.DeviceID, ModuleID: f.ID.ModuleID,
		Code: httpsx.BulkCode(f.Err.Code), Status: messageOf(f.Err), Operation: string(f.Mode),
	}
}

// messageOf is what an error says to people, with its code's name when it says nothing.
func messageOf(e *hubwire.Error) string {
	if e.Message == "" {
		return httpsx.ErrorName(e.Code)
	}
	return e.Message
}
