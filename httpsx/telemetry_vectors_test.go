package httpsx

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

// wantMessage is what a vector of telemetry says in the words of the toolkit, derived from its
// headers by the names of spec/https.md 1.1, so that it holds for other vectors of the kind too.
func wantMessage(t *testing.T, v *testkit.HTTPVector) *hubwire.Message {
	m := &hubwire.Message{Body: v.Request.Body.Bytes(t)}
	for name, value := range v.Request.Headers {
		switch lower := strings.ToLower(name); {
		case lower == "iothub-messageid":
			m.ID = value
		case lower == "iothub-correlationid":
			m.CorrelationID = value
		case lower == "iothub-userid":
			m.UserID = value
		case lower == "iothub-to":
			m.To = value
		case lower == "iothub-contenttype":
			m.ContentType = value
		case lower == "iothub-contentencoding":
			m.ContentEncoding = value
		case lower == "dt-subject":
			m.Component = value
		case lower == "iothub-creationtimeutc":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				t.Fatal(err)
			}
			m.CreationTime = at.UTC()
		case strings.HasPrefix(lower, "iothub-app-"):
			m.Properties = append(m.Properties, hubwire.Property{Name: strings.TrimPrefix(lower, "iothub-app-"), Value: value})
		}
	}
	return m
}

func TestTelemetryVectors(t *testing.T) {
	for id, v := range VectorsOf(t, "TestTelemetryVectors") {
		t.Run(id, func(t *testing.T) {
			r := v.HTTPRequest(t)
			body := v.Request.Body.Bytes(t)
			m, err := ParseMessage(r.Header, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantMessage(t, v), m, sameMessage); diff != "" {
				t.Errorf("the server's end (-want +got):\n%s", diff)
			}
			if tooLarge := m.CheckTelemetry() != nil; tooLarge != (v.Response.Status == 413) {
				t.Errorf("too large is %v, the answer %d", tooLarge, v.Response.Status)
			}
			h := http.Header{}
			SetMessage(h, m)
			again, err := ParseMessage(overHTTP(t, h), body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m, again, sameMessage); diff != "" {
				t.Errorf("the client's end (-want +got):\n%s", diff)
			}
			for name, values := range h { // what we write must be what the vector has, but for the case
				if got := r.Header.Get(name); got != values[0] {
					t.Errorf("%s is %q, the vector's %q", name, values[0], got)
				}
			}
		})
	}
}

func TestBatchVectors(t *testing.T) {
	one := &hubwire.Message{Body: []byte("one"), Properties: []hubwire.Property{{Name: "k", Value: "v"}}}
	two := &hubwire.Message{Body: []byte("two")}
	want := map[string][]*hubwire.Message{
		"d2c-batch-c-bytes": {one, two}, "d2c-batch-node": {one, two}, "d2c-batch-c-string": {{Body: []byte(`say "hi"`)}},
		"d2c-batch-cs": {{Body: one.Body, ID: "1", Properties: one.Properties}, two},
	}
	for id, v := range VectorsOf(t, "TestBatchVectors") {
		t.Run(id, func(t *testing.T) {
			got, err := collectBatch(v.Request.Body.Bytes(t))
			if err != nil {
				t.Fatal(err)
			}
			if w, known := want[id]; known {
				if diff := cmp.Diff(w, got, sameMessage); diff != "" {
					t.Errorf("the server's end (-want +got):\n%s", diff)
				}
			}
			var b Batch
			for _, m := range got {
				b.Add(m)
			}
			again, err := collectBatch(b.Body())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, again, sameMessage); diff != "" {
				t.Errorf("the client's end (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReceiveVectors(t *testing.T) {
	for id, v := range VectorsOf(t, "TestReceiveVectors") {
		t.Run(id, func(t *testing.T) {
			h := http.Header{}
			for name, value := range v.Response.Headers {
				h[name] = []string{value}
			}
			body := v.Response.Body.Bytes(t)
			_, read := answer(t, h, string(body))
			r, err := ParseReceived(read, body)
			if err != nil {
				t.Fatal(err)
			}
			// HTTP has no case, so that of a property's name is lost on net/http.
			for i := range r.Properties {
				for name := range v.Response.Headers {
					if app, ok := strings.CutPrefix(name, "iothub-app-"); ok && strings.EqualFold(app, r.Properties[i].Name) {
						r.Properties[i].Name = app
					}
				}
			}
			mine := http.Header{}
			SetReceived(mine, deviceOne, r)
			got := map[string]string{}
			for name, values := range mine {
				got[name] = values[0]
			}
			// The time is in another form, which the SDKs read too.
			got["iothub-enqueuedtime"] = r.EnqueuedTime.Format("01/02/2006 3:04:05 PM")
			if diff := cmp.Diff(v.Response.Headers, got); diff != "" {
				t.Errorf("headers, byte for byte (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLockTimeoutVectors(t *testing.T) {
	v := VectorsOf(t, "TestSettleVectors")["c2d-receive-cs-lock"]
	if v == nil {
		t.Skip("there is no such vector")
	}
	r := v.HTTPRequest(t)
	if d, err := LockTimeout(r.Header, r.URL.Query()); d != time.Minute || err != nil {
		t.Errorf("%v, %v", d, err)
	}
}

func TestSettleVectors(t *testing.T) {
	want := map[string]Operation{
		"c2d-complete-c": CompleteC2D, "c2d-complete-node": CompleteC2D, "c2d-reject-c": RejectC2D, "c2d-reject-cli": RejectC2D,
		"c2d-abandon-c": AbandonC2D, "c2d-abandon-cs": AbandonC2D, "c2d-lock-lost": CompleteC2D,
		"c2d-empty": ReceiveC2D, "c2d-receive-cs-lock": ReceiveC2D,
	}
	for id, v := range VectorsOf(t, "TestSettleVectors") {
		t.Run(id, func(t *testing.T) {
			r, err := ReadRequest(v.HTTPRequest(t))
			if err != nil {
				t.Fatal(err)
			}
			if w, known := want[id]; known && r.Op != w || r.Target.Identity != deviceOne {
				t.Errorf("%v of %v, want %v", r.Op, r.Target.Identity, w)
			}
			if v.Response.Status < 300 && !r.Op.Succeeds(v.Response.Status) {
				t.Errorf("%d is no success of %v", v.Response.Status, r.Op)
			}
			mine, err := r.NewHTTP(t.Context(), testkit.VectorHost)
			if err != nil {
				t.Fatal(err)
			}
			if _, reject := mine.URL.Query()["reject"]; mine.Method != v.Request.Method || !strings.EqualFold(mine.URL.Path, v.Request.Path) || reject != (r.Op == RejectC2D) {
				t.Errorf("the client's end is %s %s", mine.Method, mine.URL)
			}
			again, err := ReadRequest(mine)
			if err != nil || again.Op != r.Op || again.Target != r.Target {
				t.Errorf("%v, %v, want %v", again, err, r)
			}
			if v.Response.Status >= 300 {
				h := http.Header{"Iothub-Errorcode": {v.Response.Headers["iothub-errorcode"]}}
				if e := ParseError(r.Op, v.Response.Status, h, v.Response.Body.Bytes(t)); e.Code.Name() != h.Get("iothub-errorcode") {
					t.Errorf("the refusal is %v", e)
				}
			}
		})
	}
}
