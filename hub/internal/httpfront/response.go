package httpfront

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Answers imitate traces of the service: the names of headers with their case,
// errors in their classic form, and those of methods in the newer form inside of the
// classic one. Left out: the newer form by itself, which modules have, and
// x-ms-request-id.

func codeName(c hubwire.Code) string {
	if name := c.Name(); name != "" {
		return name
	}
	return "InvalidErrorCode"
}

func refuse(code hubwire.Code, format string, args ...any) error {
	return &hubwire.Error{Op: "request", Code: code, Outcome: hubwire.Refused, Message: fmt.Sprintf(format, args...)}
}

func isRefusal(err error) bool {
	var e *hubwire.Error
	return errors.As(err, &e)
}

// errorBody is the classic form of the service's errors:
//
//	{"Message":"ErrorCode:DeviceNotFound;dev-1","ExceptionMessage":"Tracking ID:…-G:0-TimeStamp:10/24/2023 16:53:16"}
//
// The code is also in the header iothub-errorcode; the .NET SDK wants both to agree.
type errorBody struct {
	Message          string
	ExceptionMessage string
}

// fail is the response for an error.
func fail(err error) response {
	e := &hubwire.Error{Code: hubwire.ServerError, Message: "internal error"}
	errors.As(err, &e)
	if e.Code == 0 {
		e = &hubwire.Error{Code: hubwire.ServerError, Message: "internal error"}
	}
	return response{status: e.Code.Status(), body: e}
}

func newErrorBody(e *hubwire.Error) errorBody {
	d := newDetail(e)
	return errorBody{
		Message:          "ErrorCode:" + codeName(e.Code) + ";" + d.Message,
		ExceptionMessage: "Tracking ID:" + d.TrackingID,
	}
}

// newNestedBody has the newer form of an error as the Message of the classic one.
func newNestedBody(e *hubwire.Error) errorBody {
	b, _ := json.Marshal(newDetail(e)) // strings and a number: cannot fail
	return errorBody{Message: string(b)}
}

// newDetail has no semicolon in its message: the Node SDK takes what is between the
// first and the second.
func newDetail(e *hubwire.Error) core.ErrorDetail {
	d := core.NewErrorDetail(e)
	d.Message = strings.ReplaceAll(d.Message, ";", ",")
	return d
}

// expectWrites sets the deadline of an answer: a peer that does not read it does
// not hold the hub.
func (s *Server) expectWrites(w http.ResponseWriter) {
	// An error here shows again in the write.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.opt.WriteTimeout))
}

// write sends an answer. Header names are written by map: Set would change
// the case of some, which the C SDK compares.
func (s *Server) write(w http.ResponseWriter, a response) {
	h := w.Header()
	if a.etag != "" {
		h["ETag"] = []string{`"` + a.etag + `"`}
	}
	if a.allow != "" {
		h["Allow"] = []string{a.allow} // RFC 9110 section 15.5.6
	}
	body := a.body
	if e, ok := body.(*hubwire.Error); ok {
		h["iothub-errorcode"] = []string{codeName(e.Code)}
		if e.RetryAfter > 0 {
			h["Retry-After"] = []string{fmt.Sprint(int64((e.RetryAfter + time.Second - 1) / time.Second))}
		}
		if body = newErrorBody(e); a.nested {
			body = newNestedBody(e)
		}
	}
	s.expectWrites(w)
	if body == nil && a.raw != nil {
		h["Content-Length"] = []string{strconv.Itoa(len(a.raw))}
		w.WriteHeader(a.status)
		s.send(w, a.raw)
		return
	}
	if body == nil {
		h["Content-Length"] = []string{"0"}
		if a.status == http.StatusNoContent {
			delete(h, "Content-Length")
		}
		w.WriteHeader(a.status)
		return
	}
	b, err := json.Marshal(body)
	if err != nil {
		s.opt.Log.Error("https: answer", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	h["Content-Length"] = []string{fmt.Sprint(len(b))}
	w.WriteHeader(a.status)
	s.send(w, b)
}

func (s *Server) send(w http.ResponseWriter, b []byte) {
	if _, err := w.Write(b); err != nil {
		s.opt.Log.Info("https: the peer did not take its answer", "error", err)
	}
}
