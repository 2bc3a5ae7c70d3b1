package httpfront

import (
	"net/http"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Answers imitate traces of the service, whose forms are httpsx's business. Each but those of
// devices without a body has an x-ms-request-id.

// noContent is the answer of what has nothing to say.
var noContent = &httpsx.Answer{Status: http.StatusNoContent}

// with answers an operation with a document, and the etag of what it is of; empty for none.
func (r *request) with(doc any, etag string) (*httpsx.Answer, error) {
	a, err := httpsx.NewAnswer(r.Op, doc)
	if err != nil {
		return nil, err
	}
	a.ETag, a.RequestID = etag, core.NewGUID()
	return a, nil
}

// fail is the answer for an error.
func (s *Server) fail(r *request, err error) *httpsx.Answer {
	if !isRefusal(err) {
		s.opt.Log.Error("https: request failed", "operation", r.Op, "error", err)
	}
	a := httpsx.NewErrorAnswer(r.Op, err, time.Now())
	a.RequestID = core.NewGUID()
	if a.ErrorCode == hubwire.MethodNotAllowed {
		a.Allow = httpsx.Allow(r.http)
	}
	return a
}

// write sends an answer. A peer that does not read it does not hold the hub.
func (s *Server) write(w http.ResponseWriter, a *httpsx.Answer) {
	s.expectWrites(w)
	if err := a.Write(w); err != nil {
		s.opt.Log.Info("https: the peer did not take its answer", "error", err)
	}
}

// expectWrites sets the deadline of an answer.
func (s *Server) expectWrites(w http.ResponseWriter) {
	// An error here shows again in the write.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opt.WriteTimeout))
}
