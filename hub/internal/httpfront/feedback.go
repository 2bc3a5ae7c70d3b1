package httpfront

import (
	"net/http"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// Feedback imitates the REST API's "Cloud To Device Messages - Receive, Complete, Abandon Feedback
// Notification", which the Python SDK alone has: a poll for a batch under a lock of one minute.

// maxFeedback is how many records a batch has at most.
const maxFeedback = 64

func (s *Server) receiveFeedback(r *request) (*httpsx.Answer, error) {
	b := s.core.Feedback(maxFeedback)
	if b == nil {
		return noContent, nil
	}
	records := make([]httpsx.FeedbackRecord, len(b.Records))
	for i, rec := range b.Records {
		records[i] = httpsx.FeedbackRecord{
			OriginalMessageID: rec.OriginalMessageID, Enqueued: httpsx.NewTime(rec.Time),
			Status: httpsx.FeedbackStatus(rec.Status), Description: string(rec.Status),
			DeviceID: rec.Identity.DeviceID, DeviceGenerationID: rec.GenerationID,
		}
	}
	a, err := r.with(records, b.LockToken)
	if err != nil {
		return nil, err
	}
	a.Status, a.ContentType = http.StatusOK, httpsx.FeedbackType
	return a, nil
}

// settlesFeedback returns what ends a delivery of feedback so.
func settlesFeedback(d hubwire.Disposition) func(*Server, *request) (*httpsx.Answer, error) {
	return func(s *Server, r *request) (*httpsx.Answer, error) {
		if err := s.core.SettleFeedback(r.http.Context(), r.Target.Name, d); err != nil {
			return nil, err
		}
		return noContent, nil
	}
}
