package httpfront

import (
	"errors"
	"net/http"
	"time"

	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Storage is a blob endpoint behind the same door, which has paths, errors and
// authorization of its own.
type Storage interface {
	// Wants reports whether a request is for storage.
	Wants(r *http.Request) bool

	// Serve answers one, and calls admit once it is authorized.
	Serve(w http.ResponseWriter, r *http.Request, admit func())
}

// storage lets the blob endpoint answer.
func (s *Server) storage(w http.ResponseWriter, r *http.Request) {
	v, err := s.core.Intercept(r.Context(), &core.Op{Kind: core.OpRequest, Protocol: "https", Name: r.Method + " " + r.URL.Path})
	switch {
	case errors.Is(err, core.ErrDrop), r.Context().Err() != nil:
		drop(r)
	case err != nil:
		s.write(w, httpsx.NewErrorAnswer(0, err, time.Now()))
		return
	case v.DropAfter || v.SwallowAck:
		w = &mute{w, http.Header{}}
	}
	expectBody(w, r)
	s.opt.Storage.Serve(w, r, func() {
		if raw, ok := rawConn(r).(interface{ Admit() }); ok {
			raw.Admit()
		}
	})
	switch {
	case v.DropAfter:
		drop(r)
	case v.SwallowAck:
		hold(r)
	}
}

// mute is an answer that nobody gets. The deadlines of its connection can be set.
type mute struct {
	http.ResponseWriter
	header http.Header
}

func (m *mute) Header() http.Header         { return m.header }
func (m *mute) WriteHeader(int)             {}
func (m *mute) Write(b []byte) (int, error) { return len(b), nil }
func (m *mute) Unwrap() http.ResponseWriter { return m.ResponseWriter }
