package httpsx_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

func TestAnswersOverAConnection(t *testing.T) {
	want := httpsx.Answer{
		Status: 200, ETag: "AAAAAAAAAAE=", ItemType: httpsx.ItemTwin, Continuation: "a/b==", CommandStatus: 404, Location: "https://hub/digitaltwins/d",
		RequestID: "r-1", RetryAfter: 3 * time.Second, ContentType: "application/json; charset=utf-8", Body: []byte(`[]`),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := want
		if strings.HasSuffix(r.URL.Path, "empty") {
			a = httpsx.Answer{Status: http.StatusNoContent, Body: []byte("which has no place")}
		}
		if err := a.Write(w); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	for path, want := range map[string]httpsx.Answer{"/full": want, "/empty": {Status: http.StatusNoContent, Body: []byte{}}} {
		resp, err := server.Client().Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := httpsx.ReadAnswer(httpsx.ReceiveFeedback, resp)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestAnswersOfOperations(t *testing.T) {
	for _, tt := range []struct {
		op     httpsx.Operation
		doc    any
		status int
	}{
		{httpsx.PutDevice, &httpsx.Device{}, 200}, // never 201
		{httpsx.DeleteDevice, nil, 204},
		{httpsx.ReceiveFeedback, []httpsx.FeedbackRecord{}, 200},
		{httpsx.CancelImportExport, nil, 204},
		{httpsx.PatchDigitalTwin, nil, 202},
		{httpsx.SendTelemetry, nil, 204},
	} {
		a, err := httpsx.NewAnswer(tt.op, tt.doc)
		if err != nil || a.Status != tt.status || (a.Body == nil) != (tt.doc == nil) {
			t.Errorf("%v: %+v, %v", tt.op, a, err)
		}
		if !tt.op.Succeeds(a.Status) {
			t.Errorf("%v does not take its own %d", tt.op, a.Status)
		}
	}
	for _, op := range allOperations(t) {
		if !op.Succeeds(op.Status()) || op.Succeeds(0) || op.Succeeds(302) || op.Succeeds(404) {
			t.Errorf("%v", op)
		}
	}
}

func TestResultsWithStatus400AreNoErrors(t *testing.T) {
	for _, tt := range []struct {
		op     httpsx.Operation
		body   string
		result bool
	}{
		{httpsx.BulkDevices, `{"isSuccessful":false,"errors":[{"deviceId":"d","errorCode":409001}]}`, true},
		{httpsx.BulkDevices, `{"Message":"ErrorCode:DeviceDefinedMultipleTimes;d"}`, false},
		{httpsx.BulkDevices, `{"isSuccessful":null}`, false},
		{httpsx.BulkDevices, `{"isSuccessful":fal`, false},
		{httpsx.RegenerateKeys, `{"policyKey":"both","rotatedKeys":[],"errors":[{"id":"d","errorCode":404001}]}`, true},
		{httpsx.RegenerateKeys, `{"Message":"ErrorCode:InvalidPolicyKey;x"}`, false},
		{httpsx.GetTwin, `{"isSuccessful":false}`, false},
	} {
		a, err := httpsx.ReadAnswer(tt.op, &http.Response{StatusCode: 400, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(tt.body))})
		var e *hubwire.Error
		if (err == nil) != tt.result || err != nil && (!errors.As(err, &e) || e.Code.Status() != 400) || err == nil && a.Status != 400 {
			t.Errorf("%v: %s: %+v, %v", tt.op, tt.body, a, err)
		}
	}
	w := httptest.NewRecorder()
	if err := httpsx.NewBulkAnswer(nil).Write(w); err != nil || w.Code != 400 {
		t.Errorf("no result: %d, %v", w.Code, err)
	}
}

func TestWhatMayBeSentAgain(t *testing.T) {
	again := map[httpsx.Operation]bool{}
	for _, op := range allOperations(t) {
		again[op] = op.Repeatable()
	}
	for _, op := range []httpsx.Operation{
		httpsx.SendTelemetry, httpsx.SendC2D, httpsx.InvokeMethod, httpsx.InvokeCommand, httpsx.BulkDevices, httpsx.RegenerateKeys,
		httpsx.InitUpload, httpsx.ReceiveC2D, httpsx.ReceiveFeedback, httpsx.CreateImportExport, httpsx.PatchDigitalTwin, httpsx.AbandonC2D,
	} {
		if again[op] {
			t.Errorf("%v twice is not as %v once", op, op)
		}
	}
	for _, op := range []httpsx.Operation{httpsx.GetDevice, httpsx.PutTwin, httpsx.DeleteModule, httpsx.Query, httpsx.ListScope, httpsx.ListTargetScope, httpsx.CompleteC2D} {
		if !again[op] {
			t.Errorf("%v twice is as %v once", op, op)
		}
	}
	if httpsx.Operation(0).Repeatable() {
		t.Error("nothing can be repeated")
	}
}

// TestNoBodyOfASwitchedProtocol has a proxy switch to another protocol: the body is then a connection, on which nothing may
// ever come.
func TestNoBodyOfASwitchedProtocol(t *testing.T) {
	body, other := io.Pipe()
	defer other.Close()
	_, err := httpsx.ReadAnswer(httpsx.GetDevice, &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: body})
	if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Outcome != hubwire.Unknown || !strings.Contains(e.Message, "status 101") {
		t.Errorf("%v", err)
	}
}

func TestNullIsNoDocument(t *testing.T) {
	a := &httpsx.Answer{Body: []byte(" null\n")}
	for _, doc := range []any{new(httpsx.Device), new(httpsx.Job), new(*httpsx.Job), new(*httpsx.DeviceJob), new(httpsx.Twin), new(map[string]any)} {
		if err := a.Decode(httpsx.GetDevice, doc); !errors.Is(err, hubwire.DeserializationError) || err.(*hubwire.Error).Outcome != hubwire.Unknown {
			t.Errorf("%T: %v", doc, err)
		}
	}
	var rows httpsx.Rows
	if err := a.Decode(httpsx.Query, &rows); err != nil || len(rows) != 0 {
		t.Errorf("a list: %v", err)
	}
}
