package hub_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestRESTDeviceIntercept has each verdict on what devices do over HTTPS.
func TestRESTDeviceIntercept(t *testing.T) {
	queued := func(t *testing.T, h *hub.Hub, path string) string { sendC2D(t, h, dev, "hi"); return path }
	operations := []struct {
		kind               hub.OpKind
		method, path, body string
		prepare            func(t *testing.T, h *hub.Hub, path string) string // returns the path to ask for
		acted              func(t *testing.T, h *hub.Hub) bool                // nil when there is nothing to act upon
		want               hub.Op
	}{
		{
			kind: hub.OpPublish, method: "POST", path: eventsOfDev, body: "x",
			acted: func(t *testing.T, h *hub.Hub) bool { return len(bodies(t, h)) == 1 },
			want:  hub.Op{Message: &hubwire.Message{Body: []byte("x")}},
		},
		{
			kind: hub.OpC2D, method: "GET", path: deviceBound, prepare: queued,
			want: hub.Op{Message: &hubwire.Message{Body: []byte("hi")}},
		},
		{
			kind: hub.OpAck, method: "DELETE", path: "/devices/dev-1/messages/deviceBound/TOKEN" + version,
			prepare: func(t *testing.T, h *hub.Hub, path string) string {
				queued(t, h, "")
				res, _ := newREST(t, h, "").do("GET", deviceBound, "", as(t, h, dev)...)
				return strings.Replace(path, "TOKEN", lockToken(t, res), 1)
			},
			acted: func(t *testing.T, h *hub.Hub) bool { return queueLength(t, h, dev) == 0 },
		},
		{
			kind: hub.OpRequest, method: "POST", path: eventsOfDev, body: "x",
			acted: func(t *testing.T, h *hub.Hub) bool { return len(bodies(t, h)) == 1 },
		},
	}
	verdicts := []struct {
		name    string
		verdict hub.Verdict
		acts    bool
		status  int // hundreds; 0 for no answer
		after   time.Duration
	}{
		{"a delay", hub.Verdict{Delay: 5 * time.Second}, true, 2, 5 * time.Second},
		{"a refusal", hub.Verdict{Refuse: hubwire.Throttled, RetryAfter: 7 * time.Second}, false, 4, 0},
		{"a drop before", hub.Verdict{DropBefore: true}, false, 0, 0},
		{"a drop after", hub.Verdict{DropAfter: true}, true, 0, 0},
		{"a swallowed answer", hub.Verdict{SwallowAck: true}, true, 0, time.Minute},
	}
	for _, o := range operations {
		for _, v := range verdicts {
			t.Run(string(o.kind)+", "+v.name, func(t *testing.T) {
				var seen atomic.Int32
				intercept := func(_ context.Context, op *hub.Op) hub.Verdict {
					if op.Kind != o.kind || op.Name == "GET /devices/dev-1/messages/deviceBound" {
						return hub.Verdict{}
					}
					seen.Add(1)
					if op.Identity != dev || op.Protocol != "https" || o.want.Message != nil && string(op.Message.Body) != string(o.want.Message.Body) {
						t.Errorf("%+v", op)
					}
					return v.verdict
				}
				bubble(t, &hub.Config{Intercept: intercept}, func(t *testing.T, h *hub.Hub) {
					path := o.path
					if o.prepare != nil {
						path = o.prepare(t, h, path)
					}
					r := newREST(t, h, "")
					r.client.Timeout = time.Minute
					start := time.Now()
					res, _, err := r.try(o.method, path, o.body, as(t, h, dev)...)
					switch {
					case v.status == 0 && err == nil, v.status != 0 && (err != nil || res.StatusCode/100 != v.status):
						t.Errorf("%+v, %v", res, err)
					case v.status == 4 && res.Header.Get("Retry-After") != "7":
						t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
					}
					if took := time.Since(start); took != v.after || seen.Load() != 1 {
						t.Errorf("it took %v, seen %d times", took, seen.Load())
					}
					if o.acted != nil && o.acted(t, h) != v.acts {
						t.Errorf("the hub acted: %v", !v.acts)
					}
				})
			})
		}
	}
}
