package httpsx_test

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
)

// The documents of operations, in both directions.
var (
	requestDocs = map[httpsx.Operation]func() any{
		httpsx.PutDevice:                func() any { return new(httpsx.Device) },
		httpsx.PutModule:                func() any { return new(httpsx.Module) },
		httpsx.BulkDevices:              func() any { return new(httpsx.ImportDevices) },
		httpsx.RegenerateKeys:           func() any { return new(httpsx.KeyRegeneration) },
		httpsx.PatchTwin:                func() any { return new(httpsx.TwinUpdate) },
		httpsx.PutTwin:                  func() any { return new(httpsx.TwinUpdate) },
		httpsx.Query:                    func() any { return new(httpsx.QueryText) },
		httpsx.InvokeMethod:             func() any { return new(httpsx.MethodCall) },
		httpsx.PutJob:                   func() any { return new(httpsx.Job) },
		httpsx.CreateImportExport:       func() any { return new(httpsx.ImportExportJob) },
		httpsx.PutConfiguration:         func() any { return new(httpsx.Configuration) },
		httpsx.TestConfigurationQueries: func() any { return new(httpsx.ConfigurationQueries) },
		httpsx.ApplyConfiguration:       func() any { return new(httpsx.ConfigurationContent) },
		httpsx.PatchDigitalTwin:         func() any { return new(httpsx.JSONPatch) },
		httpsx.InvokeCommand:            func() any { return new(json.RawMessage) },
		httpsx.ListTargetScope:          func() any { return new(httpsx.OnBehalfOf) },
		httpsx.GetOnBehalfOf:            func() any { return new(httpsx.OnBehalfOf) },
		httpsx.PutModuleOnBehalfOf:      func() any { return new(httpsx.OnBehalfOf) },
		httpsx.GetModuleOnBehalfOf:      func() any { return new(httpsx.OnBehalfOf) },
		httpsx.ListModulesOnBehalfOf:    func() any { return new(httpsx.OnBehalfOf) },
		httpsx.DeleteModuleOnBehalfOf:   func() any { return new(httpsx.OnBehalfOf) },
	}
	answerDocs = map[httpsx.Operation]func() any{
		httpsx.GetDevice:                func() any { return new(httpsx.Device) },
		httpsx.PutDevice:                func() any { return new(httpsx.Device) },
		httpsx.ListDevices:              func() any { return new(httpsx.Devices) },
		httpsx.GetModule:                func() any { return new(httpsx.Module) },
		httpsx.PutModule:                func() any { return new(httpsx.Module) },
		httpsx.ListModules:              func() any { return new(httpsx.Modules) },
		httpsx.BulkDevices:              func() any { return new(httpsx.BulkResult) },
		httpsx.GetDeviceStatistics:      func() any { return new(httpsx.DeviceStatistics) },
		httpsx.GetServiceStatistics:     func() any { return new(httpsx.ServiceStatistics) },
		httpsx.RegenerateKeys:           func() any { return new(httpsx.RegeneratedKeys) },
		httpsx.GetTwin:                  func() any { return new(httpsx.Twin) },
		httpsx.PatchTwin:                func() any { return new(httpsx.Twin) },
		httpsx.PutTwin:                  func() any { return new(httpsx.Twin) },
		httpsx.Query:                    func() any { return new(httpsx.Rows) },
		httpsx.InvokeMethod:             func() any { return new(httpsx.MethodResult) },
		httpsx.PurgeC2D:                 func() any { return new(httpsx.PurgeResult) },
		httpsx.PutJob:                   func() any { return new(httpsx.Job) },
		httpsx.GetJob:                   func() any { return new(httpsx.Job) },
		httpsx.CancelJob:                func() any { return new(httpsx.Job) },
		httpsx.ListJobs:                 func() any { return new([]*httpsx.Job) },
		httpsx.CreateImportExport:       func() any { return new(httpsx.ImportExportJob) },
		httpsx.GetImportExport:          func() any { return new(httpsx.ImportExportJob) },
		httpsx.ListImportExports:        func() any { return new(httpsx.ImportExportJobs) },
		httpsx.GetConfiguration:         func() any { return new(httpsx.Configuration) },
		httpsx.PutConfiguration:         func() any { return new(httpsx.Configuration) },
		httpsx.ListConfigurations:       func() any { return new(httpsx.Configurations) },
		httpsx.TestConfigurationQueries: func() any { return new(httpsx.ConfigurationQueryErrors) },
		httpsx.GetDigitalTwin:           func() any { return new(json.RawMessage) },
		httpsx.InvokeCommand:            func() any { return new(json.RawMessage) },
		httpsx.ReceiveFeedback:          func() any { return new([]httpsx.FeedbackRecord) },
		httpsx.ListScope:                func() any { return new(httpsx.ScopeResult) },
		httpsx.GetInScope:               func() any { return new(httpsx.ScopeResult) },
		httpsx.ListTargetScope:          func() any { return new(httpsx.ScopeResult) },
		httpsx.GetOnBehalfOf:            func() any { return new(httpsx.ScopeResult) },
		httpsx.PutModuleOnBehalfOf:      func() any { return new(httpsx.Module) },
		httpsx.GetModuleOnBehalfOf:      func() any { return new(httpsx.Module) },
		httpsx.ListModulesOnBehalfOf:    func() any { return new(httpsx.Modules) },
	}
)

// sameRequest compares what the two ends of a request have.
var sameRequest = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(httpsx.Request{}, "Body")}

// Each vector's request is read as the hub reads it, built again as a client builds it, and
// read again: all that it asks for must have come through. Each answer is read as a
// client reads it, written as the hub writes it, and must be the same again.
func TestVectors(t *testing.T) {
	for id, v := range httpsx.VectorsOf(t, "TestVectors") {
		t.Run(id, func(t *testing.T) {
			req := v.HTTPRequest(t)
			r, err := httpsx.ReadRequest(req)
			if err != nil {
				t.Fatal(err)
			}
			if r.Op >= httpsx.GetDevice {
				again := rebuild(t, v, r)
				if diff := cmp.Diff(r, again, sameRequest); diff != "" {
					t.Errorf("the request (-as it was +as we build it):\n%s", diff)
				}
			}
			if r.Op.Succeeds(v.Response.Status) || r.Op == httpsx.BulkDevices && strings.Contains(string(v.Response.Body.Bytes(t)), `"isSuccessful"`) {
				checkAnswer(t, v, r.Op)
				return
			}
			checkError(t, v, r.Op)
		})
	}
}

// rebuild builds the vector's request as a client does and reads it as the hub does.
func rebuild(t *testing.T, v *testkit.HTTPVector, r *httpsx.Request) *httpsx.Request {
	t.Helper()
	raw := v.Request.Body.Bytes(t)
	var doc any
	if raw != nil {
		doc = requestDocs[r.Op]()
		if err := httpsx.Decode(r.Op, raw, doc); err != nil {
			t.Fatal(err)
		}
	}
	r.Body = doc
	req, err := r.NewHTTP(t.Context(), testkit.VectorHost)
	if err != nil {
		t.Fatal(err)
	}
	method, path := v.Request.Method, strings.TrimSuffix(v.HTTPRequest(t).URL.Path, "/")
	if override := v.HTTPRequest(t).Header.Get("X-HTTP-Method-Override"); override != "" {
		method = override
	}
	if req.Method != method || req.URL.Path != path {
		t.Errorf("the request is %s %s, want %s %s", req.Method, req.URL.Path, method, path)
	}
	want := url.Values{}
	for name, value := range v.Request.Query {
		want.Set(name, "")
		if value != nil {
			want.Set(name, *value)
		}
	}
	if diff := cmp.Diff(want, req.URL.Query()); diff != "" {
		t.Errorf("its query (-want +got):\n%s", diff)
	}
	if doc != nil {
		body, _ := io.ReadAll(req.Body)
		if diff := cmp.Diff(meaning(t, raw), meaning(t, body)); diff != "" {
			t.Errorf("its body (-want +got):\n%s", diff)
		}
		if got := req.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("its content type is %q", got)
		}
	}
	again, err := httpsx.ReadRequest(req)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// meaning is a JSON value without members that say nothing: those that are null, empty or a default.
func meaning(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return significant("", v)
}

func significant(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if old, ok := v["timeoutInSeconds"]; ok {
			delete(v, "timeoutInSeconds")
			v["responseTimeoutInSeconds"] = old
		}
		for name, value := range v {
			if value = significant(name, value); value == nil {
				delete(v, name)
			} else {
				v[name] = value
			}
		}
		if len(v) == 0 && name != "properties.desired" {
			return nil
		}
		return v
	case []any:
		for i := range v {
			v[i] = significant("", v[i])
		}
	case string:
		if v == "" {
			return nil
		}
	case bool:
		if !v && name != "on" {
			return nil
		}
	case float64:
		if v == 0 && (name == "priority" || name == "connectTimeoutInSeconds") {
			return nil
		}
	}
	return v
}

func checkAnswer(t *testing.T, v *testkit.HTTPVector, op httpsx.Operation) {
	t.Helper()
	a, err := httpsx.ReadAnswer(op, v.HTTPResponse(t))
	if err != nil {
		t.Fatal(err)
	}
	b := a
	if doc := answerDocs[op]; doc != nil && len(a.Body) > 0 {
		d := doc()
		if err := a.Decode(op, d); err != nil {
			t.Fatal(err)
		}
		if b, err = httpsx.NewAnswer(op, d); err != nil {
			t.Fatal(err)
		}
		if r, ok := d.(*httpsx.BulkResult); ok {
			b = httpsx.NewBulkAnswer(r)
		}
		b.ETag, b.ItemType, b.Continuation, b.Location = a.ETag, a.ItemType, a.Continuation, a.Location
		b.CommandStatus, b.RequestID = a.CommandStatus, a.RequestID
		if op == httpsx.ReceiveFeedback {
			b.ContentType = httpsx.FeedbackType
		}
	} else if len(a.Body) > 0 {
		t.Fatalf("%v has no document here", op)
	} else {
		b.Body = nil
	}
	checkWritten(t, v, b)
}

// checkWritten compares what a writes with the vector's answer, names of headers with their case.
func checkWritten(t *testing.T, v *testkit.HTTPVector, a *httpsx.Answer) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := a.Write(w); err != nil {
		t.Fatal(err)
	}
	if w.Code != v.Response.Status {
		t.Errorf("the status is %d, want %d", w.Code, v.Response.Status)
	}
	got := map[string]string{}
	for name, values := range w.Header() {
		got[name] = strings.Join(values, "; ")
	}
	delete(got, "Content-Length")
	want := v.Response.Headers
	delete(want, "Date") // net/http's
	delete(want, "Server")
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the headers (-want +got):\n%s", diff)
	}
	if raw := v.Response.Body.Bytes(t); raw != nil || w.Body.Len() > 0 {
		var want, got any
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		if !covers("", want, got) {
			t.Errorf("the body (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

// covers reports whether got has all that want has, and beside that only members that say nothing.
func covers(name string, want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		members, ok := got.(map[string]any)
		for name, v := range want {
			mine, there := members[name]
			ok = ok && there && covers(name, v, mine)
		}
		for name, v := range members {
			_, there := want[name]
			ok = ok && (there || v == float64(0) || v == "0001-01-01T00:00:00Z" || significant(name, v) == nil)
		}
		return ok
	case []any:
		elements, ok := got.([]any)
		ok = ok && len(elements) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = covers("", want[i], elements[i])
		}
		return ok
	}
	return cmp.Equal(want, got)
}

// checkError reads the vector's error as a client does, and writes it as the hub does in the
// form that it has.
func checkError(t *testing.T, v *testkit.HTTPVector, op httpsx.Operation) {
	t.Helper()
	_, err := httpsx.ReadAnswer(op, v.HTTPResponse(t))
	e, ok := err.(*hubwire.Error)
	if !ok {
		t.Fatalf("%v is no *hubwire.Error", err)
	}
	name, named := v.Response.Headers["iothub-errorcode"]
	if named && e.Code.Name() != name || e.Code.Status() != v.Response.Status {
		t.Errorf("the code is %v", e.Code)
	}
	if named && (e.Outcome != hubwire.Refused || e.Retryable != e.Code.Retryable()) {
		t.Errorf("%#v", e)
	}
	form := op.ErrorForm(e.Code)
	raw := string(v.Response.Body.Bytes(t))
	if strings.HasPrefix(raw, `{"errorCode"`) || strings.HasPrefix(raw, `{"message"`) {
		form = httpsx.Numeric
	}
	a := httpsx.NewErrorAnswer(op, err, time.Now())
	a.Body = httpsx.AppendError(nil, e, form, time.Now())
	w := httptest.NewRecorder()
	if err := a.Write(w); err != nil {
		t.Fatal(err)
	}
	again := httpsx.ParseError(op, w.Code, w.Header(), w.Body.Bytes())
	want := *e
	want.Message = strings.ReplaceAll(want.Message, ";", ",")
	ignore := cmpopts.IgnoreFields(hubwire.Error{}, "TrackingID")
	if e.TrackingID != "" {
		ignore = nil
	}
	if diff := cmp.Diff(&want, again, ignore); diff != "" {
		t.Errorf("written and read again (-want +got):\n%s", diff)
	}
	var header map[string][]string = w.Header() // whose names are not canonical
	if got := header["iothub-errorcode"]; named && !cmp.Equal(got, []string{name}) {
		t.Errorf("iothub-errorcode is %q", got)
	}
}
