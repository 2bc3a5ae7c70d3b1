package httpfront

import (
	"encoding/json"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Queries imitate the REST API's "Query - Get Twins": a page of rows, what they are in
// x-ms-item-type, and in x-ms-continuation how to get the next, which is not there at the end.

func (s *Server) query(r *request) (*httpsx.Answer, error) {
	var text httpsx.QueryText
	if err := r.decode(&text); err != nil {
		return nil, err
	}
	page, err := s.core.Query(r.http.Context(), text.Query, r.MaxItems, r.Continuation)
	if err != nil {
		return nil, err
	}
	rows, item, err := rowsOf(page)
	if err != nil {
		return nil, err
	}
	a, err := r.with(rows, "")
	if err != nil {
		return nil, err
	}
	a.ItemType, a.Continuation = item, page.Continuation
	return a, nil
}

// rowsOf are the rows of a page, and what they are.
func rowsOf(page *core.QueryPage) (httpsx.Rows, httpsx.ItemType, error) {
	switch page.Type {
	case core.ItemTwin:
		rows, err := marshalAll(page.Twins, func(t *core.TwinDocument) any { return twinDoc(t) })
		return rows, httpsx.ItemTwin, err
	case core.ItemDeviceJob:
		rows, err := marshalAll(page.Jobs, func(j *core.DeviceJob) any { return deviceJobDoc(j) })
		return rows, httpsx.ItemDeviceJob, err
	}
	return page.Raw, httpsx.ItemRaw, nil
}

func marshalAll[T any](list []T, doc func(T) any) (httpsx.Rows, error) {
	rows := make(httpsx.Rows, len(list))
	for i, v := range list {
		b, err := httpsx.Marshal(doc(v))
		if err != nil {
			return nil, err
		}
		rows[i] = json.RawMessage(b)
	}
	return rows, nil
}

// deviceJobDoc is a device's part of a job as the REST API has it.
func deviceJobDoc(j *core.DeviceJob) *httpsx.DeviceJob {
	doc := &httpsx.DeviceJob{
		DeviceID: j.ID.DeviceID, ModuleID: j.ID.ModuleID, JobID: j.JobID,
		JobType: httpsx.JobType(j.Type), Status: httpsx.JobStatus(j.Status),
		Start: httpsx.NewTime(j.Started), End: httpsx.NewTime(j.Ended),
		Created: httpsx.NewTime(j.Created), Updated: httpsx.NewTime(j.Updated),
	}
	if j.Response != nil {
		doc.Outcome = &httpsx.DeviceJobOutcome{Method: &httpsx.MethodResult{Status: j.Response.Status, Payload: j.Response.Payload}}
	}
	if j.Error != nil {
		doc.Error = &httpsx.DeviceJobError{Code: j.Error.Code, Description: j.Error.Description}
	}
	return doc
}
