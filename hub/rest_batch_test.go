package hub_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

const batchType = "application/vnd.microsoft.iothub.json"

func TestRESTBatch(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		res, body := r.do("POST", eventsOfDev, `[{"body":"b25l","properties":{"iothub-messageid":"1","iothub-app-K":"v"}}, {"body": "two \"2\"", "base64Encoded":false}]`,
			as(t, h, dev, "Content-Type", batchType+"; charset=utf-8", "iothub-operation", "d2c")...)
		if res.StatusCode != 204 || body != "" {
			t.Fatalf("%s %s", res.Status, body)
		}
		want := []hubwire.Message{
			{Body: []byte("one"), ID: "1", Properties: []hubwire.Property{{Name: "k", Value: "v"}}},
			{Body: []byte(`two "2"`)},
		}
		var got []hubwire.Message
		for _, ev := range events(t, h) {
			got = append(got, ev.Message)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if res, _ := r.do("POST", eventsOfDev, `[{"body":"b25l"}]`, as(t, h, dev, "Content-Type", "application/json")...); res.StatusCode != 204 {
			t.Errorf("what only looks like a batch: %s", res.Status)
		}
		if got := bodies(t, h); len(got) != 3 || got[2] != `[{"body":"b25l"}]` {
			t.Errorf("%q", got)
		}
	})
}

// TestRESTBatchIsTakenWholeOrNotAtAll has batches of which one element cannot be taken.
func TestRESTBatchIsTakenWholeOrNotAtAll(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		for name, tt := range map[string]struct {
			last   string
			status int
			code   string
		}{
			"no base64":              {`{"body":"?"}`, 400, "IotHubFormatError"},
			"no body":                {`{"properties":{}}`, 400, "IotHubFormatError"},
			"no object":              {`7`, 400, "IotHubFormatError"},
			"half of it":             {`{"body":"`, 400, "IotHubFormatError"},
			"a nameless property":    {`{"body":"","properties":{"iothub-app-":"x"}}`, 400, "ArgumentInvalid"},
			"a message id too long":  {`{"body":"","properties":{"iothub-messageid":"` + strings.Repeat("x", 129) + `"}}`, 400, "ArgumentInvalid"},
			"a body that is too big": {`{"body":"` + strings.Repeat("AAAA", 64<<10) + `"}`, 413, "MessageTooLarge"},
		} {
			t.Log(name)
			res, body := r.do("POST", eventsOfDev, `[{"body":"b25l"},`+tt.last+`]`, as(t, h, dev, "Content-Type", batchType)...)
			refusedAs(t, res, body, tt.status, tt.code)
		}
		if got := bodies(t, h); len(got) != 0 {
			t.Errorf("taken: %q", got)
		}
	})
}

// TestRESTBatchMeetsTheInterceptFunction has each message of a batch seen, and all refused with one.
func TestRESTBatchMeetsTheInterceptFunction(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	intercept := func(_ context.Context, op *hub.Op) hub.Verdict {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind != hub.OpPublish {
			return hub.Verdict{}
		}
		seen = append(seen, string(op.Message.Body))
		if len(seen) == 4 {
			return hub.Verdict{Refuse: hubwire.ServiceUnavailable}
		}
		return hub.Verdict{}
	}
	bubble(t, &hub.Config{Intercept: intercept}, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		const batch = `[{"body":"a","base64Encoded":false},{"body":"b","base64Encoded":false}]`
		for i, want := range []int{204, 503} {
			if res, body := r.do("POST", eventsOfDev, batch, as(t, h, dev, "Content-Type", batchType)...); res.StatusCode != want {
				t.Errorf("batch %d: %s %s", i, res.Status, body)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]string{"a", "b", "a", "b"}, seen); diff != "" {
			t.Errorf("seen (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]string{"a", "b"}, bodies(t, h)); diff != "" {
			t.Errorf("taken (-want +got)\n%s", diff)
		}
	})
}

// TestRESTTelemetryTakesRoutes sends to an output of a module, which a route leads from.
func TestRESTTelemetryTakesRoutes(t *testing.T) {
	cfg := &hub.Config{Routes: []hub.Route{{From: mod, Output: "out", To: mod, Input: "in"}}}
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		for _, output := range []string{"out", "other"} {
			if res, body := r.do("POST", eventsOfMod, "x", as(t, h, mod, "iothub-outputname", output)...); res.StatusCode != 204 {
				t.Errorf("%s %s", res.Status, body)
			}
		}
		if n := queueLength(t, h, mod); n != 1 {
			t.Errorf("%d messages came", n)
		}
		if res, _ := r.do("GET", "/devices/dev-1/modules/mod/messages/deviceBound"+version, "", as(t, h, mod)...); res.StatusCode != 204 {
			t.Errorf("an input's message came over HTTPS: %s", res.Status)
		}
	})
}

func TestRESTRequestsAreThrottled(t *testing.T) {
	const perMinute = 2.0 / 60
	for name, tt := range map[string]struct {
		throttle     hub.Throttle
		method, path string
		body         string
		header       func(t *testing.T, h *hub.Hub) []string // nil for the owner's
	}{
		"the registry":   {hub.Throttle{Registry: perMinute}, "GET", "/devices/dev-1" + version, "", nil},
		"queries":        {hub.Throttle{Queries: perMinute}, "POST", "/devices/query" + version, `{"query":"SELECT * FROM devices"}`, nil},
		"messages":       {hub.Throttle{C2DSends: perMinute}, "POST", deviceBound, "", nil},
		"polls":          {hub.Throttle{C2DReceives: perMinute}, "GET", deviceBound, "", func(t *testing.T, h *hub.Hub) []string { return as(t, h, dev) }},
		"uploads":        {hub.Throttle{Uploads: perMinute}, "POST", "/devices/dev-1/files" + version, `{"blobName":"x"}`, func(t *testing.T, h *hub.Hub) []string { return as(t, h, dev) }},
		"configurations": {hub.Throttle{Configurations: perMinute}, "GET", "/configurations" + version, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &hub.Config{Throttle: tt.throttle}, func(t *testing.T, h *hub.Hub) {
				r := newREST(t, h, "iothubowner")
				var header []string
				if tt.header != nil {
					header = tt.header(t, h)
				}
				for i := range 2 {
					if res, body := r.do(tt.method, tt.path, tt.body, header...); res.StatusCode >= 300 {
						t.Errorf("request %d: %s %s", i, res.Status, body)
					}
				}
				res, body := r.do(tt.method, tt.path, tt.body, header...)
				refusedAs(t, res, body, 429, "ThrottlingException")
				if got := res.Header.Get("Retry-After"); got != "30" {
					t.Errorf("Retry-After %q", got)
				}
				time.Sleep(30 * time.Second)
				if res, body := r.do(tt.method, tt.path, tt.body, header...); res.StatusCode >= 300 {
					t.Errorf("afterwards: %s %s", res.Status, body)
				}
				if res, body := r.do("GET", "/statistics/service"+version, ""); name != "the registry" && res.StatusCode != 200 {
					t.Errorf("something else: %s %s", res.Status, body)
				}
			})
		})
	}
}
