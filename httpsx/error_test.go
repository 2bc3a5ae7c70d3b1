package httpsx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

func TestErrorsAsAServerWritesThem(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901200, time.FixedZone("", 3600))
	offline := &hubwire.Error{Code: hubwire.DeviceNotOnline, Message: "it's off; \"really\"", TrackingID: "T"}
	for _, tt := range []struct {
		name string
		form httpsx.ErrorForm
		err  *hubwire.Error
		want string
	}{
		{"classic", httpsx.Classic, offline, `{"Message":"ErrorCode:DeviceNotOnline;it's off, \"really\"","ExceptionMessage":"Tracking ID:T"}`},
		{"numeric", httpsx.Numeric, offline, `{"errorCode":404103,"trackingId":"T","message":"it's off, \"really\"","timestampUtc":"2026-01-02T02:04:05.6789012Z"}`},
		{"nested", httpsx.Nested, offline, `{"Message":"{\"errorCode\":404103,\"trackingId\":\"T\",\"message\":\"it's off, \\\"really\\\"\",\"timestampUtc\":\"2026-01-02T02:04:05.6789012Z\"}","ExceptionMessage":""}`},
		{"without a word", httpsx.Classic, &hubwire.Error{Code: hubwire.JobNotFound, TrackingID: "T"}, `{"Message":"ErrorCode:JobNotFound;the hub does not say more","ExceptionMessage":"Tracking ID:T"}`},
		{"without a tracking id", httpsx.Classic, &hubwire.Error{Code: hubwire.JobNotFound, Message: "j"}, `{"Message":"ErrorCode:JobNotFound;j","ExceptionMessage":"Tracking ID:HEX-G:0-TimeStamp:01/02/2026 02:04:05"}`},
		{"without a code, which could tell too much", httpsx.Classic, &hubwire.Error{Message: "open /etc/x", TrackingID: "T"}, `{"Message":"ErrorCode:ServerError;internal error","ExceptionMessage":"Tracking ID:HEX-G:0-TimeStamp:01/02/2026 02:04:05"}`},
		{"a code without a name", httpsx.Classic, &hubwire.Error{Code: 404999, Message: "m", TrackingID: "T"}, `{"Message":"ErrorCode:InvalidErrorCode;m","ExceptionMessage":"Tracking ID:T"}`},
		{"none", httpsx.Classic, nil, `{"Message":"ErrorCode:ServerError;internal error","ExceptionMessage":"Tracking ID:HEX-G:0-TimeStamp:01/02/2026 02:04:05"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(httpsx.AppendError([]byte("before"), tt.err, tt.form, now))
			got = regexp.MustCompile("[0-9a-f]{32}").ReplaceAllString(got, "HEX")
			if diff := cmp.Diff("before"+tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The algorithms by which the SDKs read errors of the service API, as their sources
// has them. Each gives the code that it finds, or "".
var sdkParsers = map[string]func(body []byte, h map[string][]string, status int) string{
	"Node": func(body []byte, _ map[string][]string, _ int) string {
		var b struct{ Message string }
		if json.Unmarshal(body, &b) != nil {
			return ""
		}
		parts := strings.Split(b.Message, ";")
		_, code, ok := strings.Cut(parts[0], ":")
		if !ok || len(parts) != 2 || parts[1] == "" {
			return ""
		}
		return code
	},
	".NET": func(body []byte, h map[string][]string, _ int) string {
		var b struct{ Message string }
		if json.Unmarshal(body, &b) != nil || len(h["iothub-errorcode"]) != 1 {
			return ""
		}
		code := ""
		var inner map[string]any
		if json.Unmarshal([]byte(b.Message), &inner) == nil {
			for _, v := range inner {
				if _, isObject := v.(map[string]any); isObject {
					return "" // it reads a map of texts
				}
			}
			n, _ := inner["errorCode"].(float64)
			code = hubwire.Code(n).Name()
		} else {
			first, _, _ := strings.Cut(b.Message, ";")
			code = strings.TrimPrefix(first, "ErrorCode:")
		}
		if code != h["iothub-errorcode"][0] {
			return ""
		}
		return code
	},
	"Java": func(body []byte, _ map[string][]string, status int) string {
		text := string(body)
		for {
			i := strings.IndexByte(text, '{')
			var m map[string]any
			if i < 0 || json.Unmarshal([]byte(text[i:]), &m) != nil {
				return strconv.Itoa(status)
			}
			if n, ok := m["errorCode"].(float64); ok {
				return hubwire.Code(n).Name()
			}
			inner, ok := m["Message"].(string)
			if !ok {
				return strconv.Itoa(status)
			}
			text = inner
		}
	},
}

func TestErrorsAreReadByTheSDKs(t *testing.T) {
	for _, op := range allOperations(t) {
		for _, code := range []hubwire.Code{
			hubwire.DeviceNotFound, hubwire.ModuleNotFound, hubwire.ModuleAlreadyExists, hubwire.DeviceNotOnline, hubwire.GatewayTimeout,
			hubwire.BadGateway, hubwire.ConnectionClosedRemotely, hubwire.Throttled, hubwire.ServerError, hubwire.UnauthorizedAccess,
		} {
			a := httpsx.NewErrorAnswer(op, &hubwire.Error{Code: code, Message: "one; two; {three}"}, time.Now())
			w := httptest.NewRecorder()
			if err := a.Write(w); err != nil {
				t.Fatal(err)
			}
			for sdk, parse := range sdkParsers {
				got := parse(w.Body.Bytes(), w.Header(), w.Code)
				nested := op.ErrorForm(code) == httpsx.Nested
				switch {
				case got == code.Name():
				case sdk == "Node" && nested: // it gives a generic message, and tells by the status
				case sdk == "Java" && got == strconv.Itoa(code.Status()): // it tells by the status
					if nested {
						t.Errorf("%s does not find the number of %v from %v in %s", sdk, code, op, w.Body)
					}
				default:
					t.Errorf("%s reads %v from %v as %q: %s", sdk, code, op, got, w.Body)
				}
			}
		}
	}
}

func TestErrorAnswers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
		after  string
	}{
		{"a refusal", &hubwire.Error{Code: hubwire.DeviceNotFound}, 404, "DeviceNotFound", ""},
		{"one that is wrapped", fmt.Errorf("x: %w", &hubwire.Error{Code: hubwire.JobNotFound}), 404, "JobNotFound", ""},
		{"throttling", &hubwire.Error{Code: hubwire.Throttled, RetryAfter: 1500 * time.Millisecond}, 429, "ThrottlingException", "2"},
		{"a failure of the hub's own", errors.New("disk full"), 500, "ServerError", ""},
		{"an error without a code", &hubwire.Error{Message: "x"}, 500, "ServerError", ""},
		{"a code that is no status", &hubwire.Error{Code: 7}, 500, "InvalidErrorCode", ""},
		{"a code of a status that says that more follows", &hubwire.Error{Code: 100001}, 500, "InvalidErrorCode", ""},
		{"nil", nil, 500, "ServerError", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := httpsx.NewErrorAnswer(httpsx.GetTwin, tt.err, time.Now()).Write(w); err != nil {
				t.Fatal(err)
			}
			var h map[string][]string = w.Header()
			want := map[string][]string{"iothub-errorcode": {tt.code}, "Content-Type": {"application/json; charset=utf-8"}, "Content-Length": {strconv.Itoa(w.Body.Len())}}
			if tt.after != "" {
				want["Retry-After"] = []string{tt.after}
			}
			if diff := cmp.Diff(want, h); w.Code != tt.status || diff != "" {
				t.Errorf("%d (-want +got):\n%s", w.Code, diff)
			}
			if strings.Contains(w.Body.String(), "disk") {
				t.Errorf("it tells %s", w.Body)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                               0,
		"3":                              3 * time.Second,
		" 3 ":                            3 * time.Second,
		"0":                              0,
		"-3":                             0,
		"1.5":                            0,
		"soon":                           0,
		"86401":                          24 * time.Hour,
		"99999999999999999999999":        24 * time.Hour,
		"Fri, 02 Jan 2026 03:04:15 GMT":  10 * time.Second,
		"Friday, 02-Jan-26 03:05:05 GMT": time.Minute,
		"Fri Jan  2 03:04:06 2026":       time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT":  0,
		"Fri, 02 Jan 2099 03:04:00 GMT":  24 * time.Hour,
	} {
		if got := httpsx.ParseRetryAfter(value, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	e := httpsx.ParseError(httpsx.GetTwin, 503, http.Header{
		"Date": {"Fri, 02 Jan 2026 03:04:05 GMT"}, "Retry-After": {"Fri, 02 Jan 2026 03:04:15 GMT"}}, nil)
	if e.RetryAfter != 10*time.Second { // by the server's clock
		t.Errorf("%v", e.RetryAfter)
	}
	synctest.Test(t, func(t *testing.T) { // which begins with the year 2000
		e := httpsx.ParseError(httpsx.GetTwin, 503, http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:20 GMT"}}, nil)
		if e.RetryAfter != 20*time.Second { // by ours
			t.Errorf("%v", e.RetryAfter)
		}
	})
}
