package httpfront

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// TestFail has errors that are no refusals go to the log, and not to the peer.
func TestFail(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		status  int
		message string
		logged  bool
	}{
		{"a refusal", refuse(httpsx.GetDevice, hubwire.DeviceNotFound, "dev-1"), 404, "ErrorCode:DeviceNotFound;dev-1", false},
		{"trouble inside", errors.New("secret path"), 500, "ErrorCode:ServerError;internal error", true},
		{"an error without a code", &hubwire.Error{Message: "secret"}, 500, "ErrorCode:ServerError;internal error", false},
		{"trouble of the store", &hubwire.Error{Code: hubwire.ServerError, Err: errors.New("secret")}, 500, "ErrorCode:ServerError;the hub does not say more", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := &Server{opt: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
			w := httptest.NewRecorder()
			s.write(w, s.fail(&request{Request: &httpsx.Request{}, http: httptest.NewRequest("GET", "/", nil)}, tt.err))
			var body struct{ Message string }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || body.Message != tt.message {
				t.Errorf("%d %q, want %d %q", w.Code, body.Message, tt.status, tt.message)
			}
			if got := strings.Contains(log.String(), "secret path"); got != tt.logged {
				t.Errorf("log %q", &log)
			}
			//lint:ignore SA1008 this name keeps its case
			if id := w.Result().Header["x-ms-request-id"]; len(id) != 1 || len(id[0]) != 36 {
				t.Errorf("x-ms-request-id %q", id)
			}
		})
	}
}

// TestEveryOperationHasARoute has none forgotten.
func TestEveryOperationHasARoute(t *testing.T) {
	for op := range httpsx.Operation(255) {
		if op.Method() != "" && routeOf(op) == nil {
			t.Errorf("%v has no route", op)
		}
	}
}

// TestRoutesNeedRights has no operation that anybody may ask for.
func TestRoutesNeedRights(t *testing.T) {
	for op := range routes {
		rt := routeOf(httpsx.Operation(op))
		if rt == nil {
			continue
		}
		if services := rt.by == byService || rt.by == byServiceOrDevice || rt.by == byServiceOrModule; services != (len(rt.rights) > 0) {
			t.Errorf("%v needs %v", httpsx.Operation(op), rt.rights)
		}
	}
}
