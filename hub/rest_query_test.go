package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// pages asks for all pages of a query and returns the rows of each, and what they are.
func (r *rest) pages(text string, header ...string) (rows [][]string, item string) {
	r.t.Helper()
	body, err := json.Marshal(map[string]string{"query": text})
	if err != nil {
		r.t.Fatal(err)
	}
	for next := ""; ; {
		res, got := r.do("POST", "/devices/query"+version, string(body), append(header, "x-ms-continuation", next)...)
		var page []json.RawMessage
		if err := json.Unmarshal([]byte(got), &page); err != nil || res.StatusCode != 200 {
			r.t.Fatalf("%s: %s %s", text, res.Status, got)
		}
		var texts []string
		for _, row := range page {
			texts = append(texts, string(row))
		}
		rows, item = append(rows, texts), res.Header.Get("x-ms-item-type")
		if next = res.Header.Get("x-ms-continuation"); next == "" {
			if _, ok := res.Header["X-Ms-Continuation"]; ok {
				r.t.Error("the last page has an empty continuation")
			}
			return rows, item
		}
	}
}

func TestRESTQuery(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	for i := range 5 {
		id := hubwire.Identity{DeviceID: fmt.Sprint("d", i)}
		create(t, h, id)
		if _, err := h.PatchTwin(t.Context(), id, hub.TwinUpdate{Tags: json.RawMessage(fmt.Sprintf(`{"floor":%d}`, i%2))}, ""); err != nil {
			t.Fatal(err)
		}
	}
	r := newREST(t, h, "service")
	for _, tt := range []struct {
		name, text string
		header     []string
		want       [][]string
		item       string
	}{
		{"a projection", "SELECT deviceId FROM devices WHERE tags.floor = 1", nil, [][]string{{`{"deviceId":"d1"}`, `{"deviceId":"d3"}`}}, "Raw"},
		{"page by page", "select deviceId from devices", []string{"x-ms-max-item-count", "2"},
			[][]string{{`{"deviceId":"d0"}`, `{"deviceId":"d1"}`}, {`{"deviceId":"d2"}`, `{"deviceId":"d3"}`}, {`{"deviceId":"d4"}`}}, "Raw"},
		{"an aggregate", "SELECT COUNT() AS n FROM devices", nil, [][]string{{`{"n":5}`}}, "Raw"},
		{"nothing", "SELECT * FROM devices WHERE deviceId = 'x'", nil, [][]string{nil}, "Twin"},
		{"no modules", "SELECT * FROM devices.modules", nil, [][]string{nil}, "Twin"},
		{"no jobs", "SELECT * FROM devices.jobs", nil, [][]string{nil}, "DeviceJob"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rows, item := r.pages(tt.text, tt.header...)
			if diff := cmp.Diff(tt.want, rows); diff != "" || item != tt.item {
				t.Errorf("%s (-want +got)\n%s", item, diff)
			}
		})
	}
	t.Run("whole twins are as the twin is", func(t *testing.T) {
		rows, item := r.pages("SELECT * FROM devices WHERE deviceId = 'd3'")
		_, twin := r.do("GET", "/twins/d3"+version, "")
		if diff := cmp.Diff([][]string{{twin}}, rows); diff != "" || item != "Twin" {
			t.Errorf("%s (-want +got)\n%s", item, diff)
		}
	})
}

func TestRESTQueryRefusals(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	r := newREST(t, h, "service")
	for _, tt := range []struct {
		name, body, header, code, says string
	}{
		{"no text", `{}`, "", "ArgumentInvalid", ""},
		{"half a text", `{"query":"SELECT * FROM devices WHERE tags.a ="}`, "", "ArgumentInvalid", "offset 36"},
		{"another language", `{"query":"DROP TABLE devices"}`, "", "ArgumentInvalid", "DROP"},
		{"a text that is too long", `{"query":"` + strings.Repeat("x", 8193) + `"}`, "", "ArgumentInvalid", "8192"},
		{"no text but a number", `{"query":7}`, "", "IotHubFormatError", "query"},
		{"a continuation that is none", `{"query":"SELECT * FROM devices"}`, "page2", "ArgumentInvalid", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := r.do("POST", "/devices/query"+version, tt.body, "x-ms-continuation", tt.header)
			refusedAs(t, res, body, 400, tt.code)
			if !strings.Contains(body, tt.says) {
				t.Errorf("%q is not in %s", tt.says, body)
			}
		})
	}
}

func TestRESTJobs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "service")
		put := func(id, body string) (int, string) {
			t.Helper()
			res, got := r.do("PUT", "/jobs/v2/"+id+version, body)
			return res.StatusCode, got
		}
		if status, body := put("later", `{"type":"scheduleUpdateTwin","updateTwin":{"tags":{"a":1},"etag":"*"},"queryCondition":"*","startTime":"2000-01-01T01:00:00Z","maxExecutionTimeInSeconds":60}`); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		if status, body := put("later", `{"type":"scheduleUpdateTwin","updateTwin":{"tags":{"a":1}},"queryCondition":"*"}`); status != 409 {
			t.Errorf("the same again: %d %s", status, body)
		}
		for name, body := range map[string]string{
			"bad condition":         `{"type":"scheduleUpdateTwin","updateTwin":{"tags":{}},"queryCondition":"tags.a ="}`,
			"etag":                  `{"type":"scheduleUpdateTwin","updateTwin":{"tags":{},"etag":"x"},"queryCondition":"*"}`,
			"another type":          `{"type":"import","queryCondition":"*"}`,
			"no method":             `{"type":"scheduleDeviceMethod","queryCondition":"*"}`,
			"a timeout that is not": `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","responseTimeoutInSeconds":1},"queryCondition":"*"}`,
		} {
			if status, got := put("bad", body); status != 400 {
				t.Errorf("%s: %d %s", name, status, got)
			}
		}
		if status, body := put("now", `{"type":"ScheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m"},"queryCondition":"deviceId = 'dev-1'"}`); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		wait(t, r, "now", "completed")
		rows, _ := r.pages("SELECT * FROM devices.jobs WHERE jobId = 'now'")
		if len(rows) != 1 || len(rows[0]) != 1 || !strings.Contains(rows[0][0], `"status":"failed"`) || !strings.Contains(rows[0][0], `"code":"DeviceNotOnline"`) {
			t.Errorf("rows %v", rows)
		}
		ids := func(query string) (got []string) {
			t.Helper()
			res, body := r.do("GET", "/jobs/v2/query"+version+query, "", "x-ms-max-item-count", "10")
			var list []struct{ JobID string }
			if err := json.Unmarshal([]byte(body), &list); err != nil || res.StatusCode != 200 || res.Header.Get("x-ms-item-type") != "JobResponse" {
				t.Fatalf("%s %s", res.Status, body)
			}
			for _, j := range list {
				got = append(got, j.JobID)
			}
			return got
		}
		for query, want := range map[string][]string{
			"": {"later", "now"}, "&jobStatus=Scheduled": {"later"}, "&jobStatus=finished": {"now"}, "&jobType=SCHEDULEUPDATETWIN": {"later"}, "&jobType=export": nil,
		} {
			if diff := cmp.Diff(want, ids(query)); diff != "" {
				t.Errorf("%q (-want +got)\n%s", query, diff)
			}
		}
		if res, body := r.do("POST", "/jobs/v2/later/cancel"+version, "{}"); res.StatusCode != 200 || !strings.Contains(body, `"status":"cancelled"`) {
			t.Errorf("cancel: %s %s", res.Status, body)
		}
		res, body := r.do("POST", "/jobs/v2/none/cancel"+version, "")
		refusedAs(t, res, body, 404, "JobNotFound")
	})
}

// wait polls until a job has a status.
func wait(t *testing.T, r *rest, id, status string) {
	t.Helper()
	for range 100 {
		if _, body := r.do("GET", "/jobs/v2/"+id+version, ""); strings.Contains(body, `"status":"`+status+`"`) {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("job %s did not become %s", id, status)
}
