package httpfront

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

// TestFail has each error go out as the service would say it, and no other
// error's text.
func TestFail(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		status  int
		code    string
		message string
	}{
		{"a refusal", refuse(hubwire.DeviceNotFound, "dev-1"), 404, "DeviceNotFound", "ErrorCode:DeviceNotFound;dev-1"},
		{"one with semicolons", refuse(hubwire.ArgumentInvalid, "a;b;c"), 400, "ArgumentInvalid", "ErrorCode:ArgumentInvalid;a,b,c"},
		{"a code of HTTP alone", refuse(hubwire.NotFound, "x"), 404, "GenericNotFound", "ErrorCode:GenericNotFound;x"},
		{"a code of methods", refuse(hubwire.BadGateway, "x"), 502, "GenericBadGateway", "ErrorCode:GenericBadGateway;x"},
		{"another code of methods", refuse(hubwire.MaxInflightMethodExceeded, "x"), 403, "DeviceMaximumInflightMethodExceeded", "ErrorCode:DeviceMaximumInflightMethodExceeded;x"},
		{"a code without a name", refuse(418999, "x"), 418, "InvalidErrorCode", "ErrorCode:InvalidErrorCode;x"},
		{"trouble inside", errors.New("secret path"), 500, "ServerError", "ErrorCode:ServerError;internal error"},
		{"an error without a code", &hubwire.Error{Message: "secret"}, 500, "ServerError", "ErrorCode:ServerError;internal error"},
		{"trouble of the store", &hubwire.Error{Code: hubwire.ServerError, Err: errors.New("secret")}, 500, "ServerError", "ErrorCode:ServerError;the hub does not say more"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			new(Server).write(w, fail(tt.err))
			var body errorBody
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			//lint:ignore SA1008 this name keeps its case
			code := strings.Join(w.Result().Header["iothub-errorcode"], "")
			if w.Code != tt.status || code != tt.code || body.Message != tt.message {
				t.Errorf("%d %q %q, want %d %q %q", w.Code, code, body.Message, tt.status, tt.code, tt.message)
			}
			id, at, ok := strings.Cut(strings.TrimPrefix(body.ExceptionMessage, "Tracking ID:"), "-G:0-TimeStamp:")
			if _, err := time.Parse("01/02/2006 15:04:05", at); !ok || len(id) != 32 || err != nil {
				t.Errorf("ExceptionMessage %q", body.ExceptionMessage)
			}
		})
	}
}

// TestNestedFail has the newer form inside of the classic one, of which the .NET
// SDK wants members that are no objects, and the same code in the header.
func TestNestedFail(t *testing.T) {
	w := httptest.NewRecorder()
	answer := fail(refuse(hubwire.DeviceNotOnline, `"d"; offline`))
	answer.nested = true
	new(Server).write(w, answer)
	var body errorBody
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1008 this name keeps its case
	code := w.Result().Header["iothub-errorcode"]
	if w.Code != 404 || !cmp.Equal(code, []string{"DeviceNotOnline"}) || body.ExceptionMessage != "" {
		t.Errorf("%d %v %s", w.Code, w.Result().Header, w.Body)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body.Message), &got); err != nil {
		t.Fatalf("%s: %v", body.Message, err)
	}
	id, at, ok := strings.Cut(got["trackingId"].(string), "-G:0-TimeStamp:")
	if _, err := time.Parse("01/02/2006 15:04:05", at); !ok || len(id) != 32 || err != nil {
		t.Errorf("trackingId %v", got["trackingId"])
	}
	if _, err := time.Parse("2006-01-02T15:04:05.0000000Z", got["timestampUtc"].(string)); err != nil {
		t.Error(err)
	}
	delete(got, "trackingId")
	delete(got, "timestampUtc")
	if diff := cmp.Diff(map[string]any{"errorCode": 404103.0, "message": `"d", offline`}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "", 1: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		w := httptest.NewRecorder()
		new(Server).write(w, fail(&hubwire.Error{Code: hubwire.Throttled, RetryAfter: wait}))
		if got := w.Result().Header.Get("Retry-After"); got != want {
			t.Errorf("%v: %q, want %q", wait, got, want)
		}
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	for status, length := range map[int]string{200: "0", 204: ""} {
		w := httptest.NewRecorder()
		new(Server).write(w, response{status: status})
		if h := w.Result().Header; w.Code != status || h.Get("Content-Length") != length || h.Get("Content-Type") != "" || w.Body.Len() != 0 {
			t.Errorf("%d: %d %v", status, w.Code, h)
		}
	}
}

// TestAnswerThatIsNoJSON cannot happen, and must not send half of it if it does.
func TestAnswerThatIsNoJSON(t *testing.T) {
	var log bytes.Buffer
	s := &Server{opt: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	w := httptest.NewRecorder()
	s.write(w, response{status: 200, body: func() {}})
	if w.Code != 500 || w.Body.Len() != 0 || !strings.Contains(log.String(), "unsupported type") {
		t.Errorf("%d %q, log %s", w.Code, w.Body, &log)
	}
}
