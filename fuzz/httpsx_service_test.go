package fuzz

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// Whatever an answer holds becomes an error of bounded size, on one line; and that error, written
// by a server in each form, is the same again.
func FuzzHTTPError(f *testing.F) {
	for _, body := range []string{
		``, `<html>502</html>`, `{"Message":"ErrorCode:DeviceNotFound;dev-1","ExceptionMessage":"Tracking ID:1-G:0"}`,
		`{"errorCode":404103,"trackingId":"t","message":"m","info":{}}`, `{"Message":"{\"errorCode\":504101}"}`, `{"error":{"code":"x","message":"y"}}`,
		`{"Message":"ErrorCode:ArgumentInvalid;Error: {\"Message\":\"ErrorCode:ArgumentInvalid;x\"}"}`, `{"Message":`, `{"errorMessage":"a\u0000b\nc"}`,
	} {
		f.Add(404, "DeviceNotFound", "3", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, name, after string, body []byte) {
		if status < 300 || status > 599 {
			return
		}
		h := http.Header{"Iothub-Errorcode": {name}, "Retry-After": {after}, "Content-Type": {"application/json"}}
		e := httpsx.ParseError(httpsx.GetTwin, status, h, body)
		if len(e.Message) > 2000 || len(e.TrackingID) > 2000 || !utf8.ValidString(e.Error()) || strings.ContainsAny(e.Error(), "\r\n\x00") {
			t.Fatalf("%q", e.Error())
		}
		if e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour || e.Outcome == hubwire.NotSent {
			t.Fatalf("%#v", e)
		}
		if e.Code == 0 || e.Code.Name() == "" || strings.ContainsAny(e.Message, ";{") || e.Message == "" {
			return // a server does not write these as they are
		}
		e.Outcome, e.Retryable = hubwire.Refused, e.Code.Retryable() // now that the hub says it
		e.RetryAfter = e.RetryAfter.Truncate(time.Second)
		for _, form := range []httpsx.ErrorForm{httpsx.Classic, httpsx.Numeric, httpsx.Nested} {
			a := httpsx.NewErrorAnswer(httpsx.GetTwin, e, time.Now())
			a.Body = httpsx.AppendError(nil, e, form, time.Now())
			w := httptest.NewRecorder()
			if err := a.Write(w); err != nil {
				t.Fatal(err)
			}
			again := httpsx.ParseError(httpsx.GetTwin, w.Code, w.Header(), w.Body.Bytes())
			if e.TrackingID == "" {
				again.TrackingID = "" // it gets one
			}
			if diff := cmp.Diff(e, again); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", w.Body, diff)
			}
		}
	})
}

// An ETag is the same in each of its forms.
func FuzzETag(f *testing.F) {
	for _, v := range []string{"", "*", `"*"`, "AAAAAAAAAAE=", `W/"x"`, ` "a" `, `"`, `""`, `"a", "b"`, "W/W/"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		etag := httpsx.ParseETag(value)
		for _, form := range []string{httpsx.QuoteETag(etag), "W/" + httpsx.QuoteETag(etag), "\t" + httpsx.QuoteETag(etag) + " "} {
			if again := httpsx.ParseETag(form); again != etag {
				t.Fatalf("%q -> %q -> %q -> %q", value, etag, form, again)
			}
		}
	})
}

// A request that matches an operation is what that operation builds, and what that
// builds matches the same.
func FuzzHTTPPath(f *testing.F) {
	for _, path := range []string{
		"/devices/dev-1", "/devices/d%27v%2a1%23/messages/events", "/Twins/d/modules/%24edgeAgent/methods", "/jobs/v2/query", "/configurations/",
		"/devices/d/messages/devicebound/t?reject", "/devices/d/files/notifications/a%2Fb", "/digitaltwins/d/components/c/commands/x", "//devices//x",
		"/devices/d/modules/$edgeHub/devicesAndModulesInDeviceScope", "/messages/serviceBound/feedback/l/abandon", "/devices/%zz", "/a/b/c/d/e/f/g/h/i",
	} {
		for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
			f.Add(method, path)
		}
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{}}
		op, target, err := httpsx.Match(r)
		if err != nil {
			if e, ok := err.(*hubwire.Error); !ok || e.Outcome != hubwire.Refused || len(e.Error()) > 600 {
				t.Fatalf("%v", err)
			}
			return
		}
		if err := op.Check(target); err != nil {
			t.Fatalf("%s %s matches %v on %+v, which is refused: %v", method, path, op, target, err)
		}
		if methods := strings.Split(httpsx.Allow(r), ", "); !strings.Contains(strings.Join(methods, " "), op.Method()) {
			t.Fatalf("%s allows %q", path, methods)
		}
		again := httpsx.Request{Op: op, Target: target}
		req, err := again.NewHTTP(t.Context(), "hub")
		if err != nil {
			t.Fatal(err)
		}
		got, err := httpsx.ReadRequest(req)
		if err != nil || got.Op != op || got.Target != target {
			t.Fatalf("%s %s -> %v on %+v -> %s -> %+v, %v", method, path, op, target, req.URL, got, err)
		}
	})
}

// A body that is read as a document is the same again when it was written.
func FuzzHTTPDocument(f *testing.F) {
	docs := []func() any{
		func() any { return new(httpsx.Device) }, func() any { return new(httpsx.Module) }, func() any { return new(httpsx.ImportDevices) },
		func() any { return new(httpsx.Twin) }, func() any { return new(httpsx.TwinUpdate) }, func() any { return new(httpsx.MethodCall) },
		func() any { return new(httpsx.Job) }, func() any { return new(httpsx.ImportExportJob) }, func() any { return new(httpsx.Configuration) },
		func() any { return new(httpsx.ConfigurationQueryErrors) }, func() any { return new(httpsx.JSONPatch) }, func() any { return new(httpsx.BulkResult) },
		func() any { return new(httpsx.RegeneratedKeys) }, func() any { return new(httpsx.ScopeResult) }, func() any { return new(httpsx.OnBehalfOf) },
		func() any { return new([]httpsx.FeedbackRecord) }, func() any { return new(httpsx.DeviceJob) }, func() any { return new(httpsx.MethodResult) },
	}
	for kind, body := range []string{
		`{"deviceId":"d","status":"Enabled","authentication":{"type":"sas","symmetricKey":{"primaryKey":"a2V5"}},"lastActivityTime":"2026-01-02T03:04:05.6789012Z"}`,
		`{"moduleId":"m","managedBy":null}`, `[{"id":"d","importMode":"Update","tags":{"a":1},"properties":{"desired":{}}}]`,
		`{"deviceId":"d","tags":{},"properties":{"desired":{"a":1.50,"$metadata":{},"$version":7},"reported":{"$version":1}},"configurations":{"c":{"status":"Applied"}}}`,
		`{"properties":{"desired":{"a":null}},"etag":"*"}`, `{"methodName":"m","payload":[1],"timeoutInSeconds":0}`,
		`{"jobId":"j","type":"scheduleUpdateTwin","updateTwin":{"etag":"*"},"startTime":"tomorrow","maxExecutionTimeInSeconds":-1}`,
		`{"type":"export","identity":{"userAssignedIdentity":"x"}}`, `{"id":"c","content":{"deviceContent":{"a":{}}},"metrics":{"queries":{"q":"<>"}}}`,
		`{"targetConditionError":null}`, `[{"op":"add","path":"/a","value":null}]`, `{"isSuccessful":false,"errors":[{"errorCode":"DeviceNotFound"}]}`,
		`{"policyKey":"both","rotatedKeys":[{"id":"d","primaryKey":"a"}]}`, `{"devices":[{}],"continuationLink":"x"}`, `{"module":{"moduleId":"m"}}`,
		`[{"enqueuedTimeUtc":"never"}]`, `{"outcome":{"deviceMethodResponse":null}}`, `{"status":200,"payload":null}`,
	} {
		f.Add(uint8(kind), []byte(body))
	}
	notRaw := func(p cmp.Path) bool { return p.Last().Type() != reflect.TypeFor[json.RawMessage]() }
	same := cmp.Options{cmp.FilterPath(notRaw, cmpopts.EquateEmpty()), cmp.Comparer(sameJSON)}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		doc := docs[int(kind)%len(docs)]
		first, second := doc(), doc()
		if err := httpsx.Decode(httpsx.GetTwin, body, first); err != nil {
			if e, ok := err.(*hubwire.Error); !ok || e.Code != hubwire.FormatError || len(e.Error()) > 600 {
				t.Fatalf("%v", err)
			}
			return
		}
		settle(first)
		b, err := httpsx.Marshal(first)
		if err != nil {
			t.Fatalf("%s -> %v", body, err)
		}
		if err := httpsx.Decode(httpsx.GetTwin, b, second); err != nil {
			t.Fatalf("%s -> %s -> %v", body, b, err)
		}
		if diff := cmp.Diff(first, second, same); diff != "" {
			t.Fatalf("%s -> %s (-first +second):\n%s", body, b, diff)
		}
	})
}

// settle puts what is left out at its default, which is what is written.
func settle(doc any) {
	switch d := doc.(type) {
	case *httpsx.Twin:
		for _, section := range []*json.RawMessage{&d.Tags, &d.Desired.JSON, &d.Reported.JSON} {
			if *section == nil {
				*section = json.RawMessage("{}")
			}
		}
	case *httpsx.Job:
		settle(d.Method)
	case *httpsx.MethodCall:
		if d != nil && d.ResponseTimeout == 0 {
			d.ResponseTimeout = httpsx.DefaultResponseTimeout
		}
	}
}

// sameJSON compares values that are written in different ways. Null is one that is not there.
func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	_, _ = json.Unmarshal(a, &x), json.Unmarshal(b, &y)
	return reflect.DeepEqual(x, y)
}
