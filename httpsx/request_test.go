package httpsx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

func TestRequestsCarryTheirOptions(t *testing.T) {
	device := httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}}
	for _, tt := range []struct {
		r    httpsx.Request
		want string
	}{
		{httpsx.Request{Op: httpsx.GetDevice, Target: device, RequestID: "r-1"}, "/devices/d?api-version=2021-04-12"},
		{httpsx.Request{Op: httpsx.PutTwin, Target: device, IfMatch: "AAAAAAAAAAE="}, "/twins/d?api-version=2021-04-12"},
		{httpsx.Request{Op: httpsx.DeleteDevice, Target: device, IfMatch: "*", APIVersion: "2017-11-08-preview"}, "/devices/d?api-version=2017-11-08-preview"},
		{httpsx.Request{Op: httpsx.ListDevices, Top: 5}, "/devices?api-version=2021-04-12&top=5"},
		{httpsx.Request{Op: httpsx.Query, MaxItems: 10, Continuation: "a/b=="}, "/devices/query?api-version=2021-04-12"},
		{httpsx.Request{Op: httpsx.ListJobs, MaxItems: 10, Continuation: "t", JobType: httpsx.JobMethod, JobStatus: httpsx.JobRunning}, "/jobs/v2/query?api-version=2021-04-12&jobType=scheduleDeviceMethod&jobStatus=running"},
		{httpsx.Request{Op: httpsx.InvokeCommand, Target: httpsx.Target{Identity: device.Identity, Name: "c"}, ConnectTimeout: time.Second, ResponseTimeout: 1500 * time.Millisecond}, "/digitaltwins/d/commands/c?api-version=2021-04-12&connectTimeoutInSeconds=1&responseTimeoutInSeconds=2"},
		{httpsx.Request{Op: httpsx.InvokeMethod, Target: device, Caller: hubwire.Identity{DeviceID: "e", ModuleID: "m"}}, "/twins/d/methods?api-version=2021-04-12"},
		{httpsx.Request{Op: httpsx.ListScope, Target: device, MaxItems: 100, Continuation: "a b"}, "/devices/d/modules/$edgeHub/devicesAndModulesInDeviceScope?api-version=2018-08-30-preview&deviceCount=100&continuationToken=a+b"},
		{httpsx.Request{Op: httpsx.GetInScope, Target: device, Scope: hubwire.Identity{DeviceID: "x#", ModuleID: "m"}}, "/devices/d/modules/$edgeHub/deviceAndModuleInDeviceScope?api-version=2018-08-30-preview&targetDeviceId=x%23&targetModuleId=m"},
		{httpsx.Request{Op: httpsx.RegenerateKeys}, "/devices/keys/regenerate?api-version=2024-03-31"},
		{httpsx.Request{Op: httpsx.ListTargetScope, Target: device}, "/devices/d/modules/$edgeHub/devicesAndModulesInTargetDeviceScope?api-version=2020-06-30-preview"},
	} {
		req, err := tt.r.NewHTTP(t.Context(), "hub:8443")
		if err != nil {
			t.Fatal(err)
		}
		if got := req.URL.String(); got != "https://hub:8443"+tt.want || req.Host != "hub:8443" {
			t.Errorf("%s, want %s", got, tt.want)
		}
		again, err := httpsx.ReadRequest(req)
		if err != nil {
			t.Fatal(err)
		}
		tt.r.APIVersion, again.APIVersion = "", ""
		if tt.r.ResponseTimeout != 0 {
			tt.r.ResponseTimeout = 2 * time.Second // whole seconds
		}
		if diff := cmp.Diff(&tt.r, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.r.Op, diff)
		}
	}
}

func TestBodiesOfRequests(t *testing.T) {
	for _, tt := range []struct {
		name       string
		body       any
		want, kind string
	}{
		{"none", nil, "", ""},
		{"bytes, as they are", []byte("x"), "x", ""},
		{"a document", &httpsx.QueryText{Query: "SELECT * FROM devices WHERE a > 1"}, `{"query":"SELECT * FROM devices WHERE a > 1"}`, "application/json; charset=utf-8"},
		{"a document that is nil", (*httpsx.Twin)(nil), "null", "application/json; charset=utf-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httpsx.Request{Op: httpsx.Query, Body: tt.body}
			req, err := r.NewHTTP(t.Context(), "hub")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // net/http may send it again
				var body []byte
				if req.Body != nil {
					if body, err = io.ReadAll(req.Body); err != nil {
						t.Fatal(err)
					}
					req.Body, _ = req.GetBody()
				}
				if string(body) != tt.want || req.ContentLength != int64(len(tt.want)) || req.Header.Get("Content-Type") != tt.kind {
					t.Errorf("%q of %d bytes, %q", body, req.ContentLength, req.Header.Get("Content-Type"))
				}
			}
		})
	}
}

func TestRequestsThatAreNotSent(t *testing.T) {
	get := func(change func(*httpsx.Request)) *httpsx.Request {
		r := &httpsx.Request{Op: httpsx.GetDevice, Target: httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}}}
		change(r)
		return r
	}
	same := func(*httpsx.Request) {}
	for name, tt := range map[string]struct {
		ctx  context.Context
		r    *httpsx.Request
		host string
	}{
		"no context":                        {nil, get(same), "hub"},
		"no request":                        {t.Context(), nil, "hub"},
		"no host":                           {t.Context(), get(same), ""},
		"a host with a path":                {t.Context(), get(same), "hub/x"},
		"a host with a user":                {t.Context(), get(same), "me@hub"},
		"a host with a query":               {t.Context(), get(same), "hub?x=1#"},
		"a host with a line feed":           {t.Context(), get(same), "hub\n"},
		"a host with a bad port":            {t.Context(), get(same), "hub:x"},
		"an etag that breaks off the line":  {t.Context(), get(func(r *httpsx.Request) { r.IfMatch = "a\r\nb" }), "hub"},
		"a token that breaks off the line":  {t.Context(), get(func(r *httpsx.Request) { r.Continuation = "a\nb" }), "hub"},
		"a caller that breaks off the line": {t.Context(), get(func(r *httpsx.Request) { r.Caller.DeviceID = "a\x00" }), "hub"},
		"a body that is no JSON":            {t.Context(), get(func(r *httpsx.Request) { r.Body = &httpsx.TwinUpdate{Tags: []byte("{")} }), "hub"},
		"a body within one that is no JSON": {t.Context(), get(func(r *httpsx.Request) { r.Body = &httpsx.Job{Method: &httpsx.MethodCall{Payload: []byte("nul")}} }), "hub"},
		"a body that nothing can write":     {t.Context(), get(func(r *httpsx.Request) { r.Body = func() {} }), "hub"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.r.NewHTTP(tt.ctx, tt.host)
			var e *hubwire.Error
			if !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestVersionsOfTheAPI(t *testing.T) {
	for version, ok := range map[string]bool{
		"2021-04-12": true, "2016-11-14": true, "2017-11-08-preview": true, "2099-01-01": true,
		"": false, "2021": false, "2021-04-1x": false, "2021/04/12": false, "2021-04-12-beta": false, "-preview": false,
	} {
		_, err := httpsx.ReadRequest(newRequest("GET", "/devices/d?API-Version="+version))
		if (err == nil) != ok || !ok && !errors.Is(err, hubwire.InvalidProtocolVersion) {
			t.Errorf("%q: %v", version, err)
		}
	}
	if _, err := httpsx.ReadRequest(newRequest("GET", "/devices/d")); !errors.Is(err, hubwire.InvalidProtocolVersion) {
		t.Errorf("without a query: %v", err)
	}
	for name, tt := range map[string]struct {
		url, caller string
		ok          bool
	}{
		"a module's call of a method":                  {"/twins/d/modules/m/methods", "d/c", true},
		"a module's call with a version that is none":  {"/twins/d/modules/m/methods?api-version=x", "d/c", false},
		"a service's call of a method":                 {"/twins/d/modules/m/methods", "", false},
		"something else that names a module as caller": {"/twins/d", "d/c", false},
	} {
		method := "POST"
		if tt.url == "/twins/d" {
			method = "GET"
		}
		r := newRequest(method, tt.url)
		r.Header.Set("x-ms-edge-moduleId", tt.caller)
		if _, err := httpsx.ReadRequest(r); (err == nil) != tt.ok || err != nil && !errors.Is(err, hubwire.InvalidProtocolVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsThatMakeNoSenseCountAsLeftOut(t *testing.T) {
	for _, n := range []string{"x", "-1", "1.5", "99999999999", "%zz", ""} {
		r := newRequest("GET", "/devices?api-version=2021-04-12&top="+n)
		if got, err := httpsx.ReadRequest(r); err != nil || got.Top != 0 {
			t.Errorf("top=%s: %+v, %v", n, got, err)
		}
		r = newRequest("POST", "/devices/query?api-version=2021-04-12")
		r.Header.Set("x-ms-max-item-count", n)
		if got, err := httpsx.ReadRequest(r); err != nil || got.MaxItems != 0 {
			t.Errorf("x-ms-max-item-count: %s: %+v, %v", n, got, err)
		}
	}
	r := newRequest("POST", "/digitaltwins/d/commands/c?api-version=2021-04-12&responseTimeoutInSeconds=soon&connectTimeoutInSeconds=-1")
	if got, err := httpsx.ReadRequest(r); err != nil || got.ResponseTimeout >= 0 || got.ConnectTimeout >= 0 { // a method's are refused too
		t.Errorf("timeouts that are none: %+v, %v", got, err)
	}
}

func TestETags(t *testing.T) {
	for value, want := range map[string]string{
		"":                 "",
		"*":                "*",
		`"*"`:              "*",
		"AAAAAAAAAAE=":     "AAAAAAAAAAE=",
		`"AAAAAAAAAAE="`:   "AAAAAAAAAAE=",
		`W/"AAAAAAAAAAE="`: "AAAAAAAAAAE=",
		"  \"a+/=\"\t":     "a+/=",
		`""`:               "",
		`"`:                `"`,
		`""a""`:            `"a"`,
		`w/"a"`:            `w/"a"`,
		`"a", "b"`:         `a", "b`,
		"W/":               "",
	} {
		if got := httpsx.ParseETag(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
		if again := httpsx.ParseETag(httpsx.QuoteETag(want)); again != want {
			t.Errorf("%q comes back as %q", want, again)
		}
	}
}

func TestBodiesAreReadToTheirLimit(t *testing.T) {
	for _, tt := range []struct {
		op    httpsx.Operation
		limit int
	}{
		{httpsx.SendTelemetry, 256 << 10}, {httpsx.SendC2D, 64 << 10}, {httpsx.BulkDevices, 8 << 20}, {httpsx.PutTwin, 1 << 20},
	} {
		if tt.op.MaxBody() != int64(tt.limit) {
			t.Errorf("%v takes %d bytes", tt.op, tt.op.MaxBody())
		}
		body := func(n int, announced int64) (*http.Request, *bytes.Reader) {
			b := bytes.NewReader(make([]byte, n))
			r := httptest.NewRequest("POST", "/", io.NopCloser(b))
			r.ContentLength = announced
			return r, b
		}
		for _, announced := range []int64{-1, 0, int64(tt.limit)} {
			r, _ := body(tt.limit, announced)
			if b, err := httpsx.ReadBody(tt.op, r); err != nil || len(b) != tt.limit {
				t.Errorf("%v: %d bytes, %v", tt.op, len(b), err)
			}
		}
		r, _ := body(tt.limit+1, -1)
		_, err := httpsx.ReadBody(tt.op, r)
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Code != hubwire.MessageTooLarge || !strings.Contains(e.Message, "more than") {
			t.Errorf("%v of a byte more: %v", tt.op, err)
		}
		r, b := body(tt.limit+1, int64(tt.limit)+1)
		if _, err := httpsx.ReadBody(tt.op, r); !errors.Is(err, hubwire.MessageTooLarge) || b.Len() != tt.limit+1 {
			t.Errorf("%v that says so: %v, %d bytes are left", tt.op, err, b.Len())
		}
	}
	r := httptest.NewRequest("POST", "/", broken{strings.NewReader("{"), io.ErrUnexpectedEOF})
	if _, err := httpsx.ReadBody(httpsx.PutTwin, r); !errors.Is(err, hubwire.FormatError) {
		t.Errorf("half a body: %v", err)
	}
	r.Body = http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("12345")), 4)
	if _, err := httpsx.ReadBody(httpsx.PutTwin, r); !errors.Is(err, hubwire.MessageTooLarge) {
		t.Errorf("net/http's own limit: %v", err)
	}
}
