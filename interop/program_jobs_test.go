package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// job is what a job is to do, or whose state is asked for.
type job struct {
	JobID     string          `json:"jobId"`
	Condition string          `json:"condition,omitempty"`
	Method    any             `json:"method,omitempty"`
	Patch     json.RawMessage `json:"patch,omitempty"`
	Start     string          `json:"start,omitempty"`
	Seconds   int             `json:"seconds,omitempty"`
}

// jobState is of a job what is looked at here.
type jobState struct {
	JobID      string    `json:"jobId"`
	Type       string    `json:"type"`
	Status     string    `json:"status"`
	Condition  string    `json:"queryCondition"`
	Created    time.Time `json:"createdTime"`
	Start      time.Time `json:"startTime"`
	Statistics struct {
		Devices   int `json:"deviceCount"`
		Failed    int `json:"failedCount"`
		Succeeded int `json:"succeededCount"`
		Running   int `json:"runningCount"`
		Pending   int `json:"pendingCount"`
	} `json:"deviceJobStatistics"`
}

// ends waits until a job has this status.
func (s *service) ends(t *testing.T, id, status string) jobState {
	t.Helper()
	var now jobState
	poll(t, "the job does not end", func() bool {
		now = answered[jobState](t, s.office, "job", job{JobID: id})
		return slices.Contains([]string{"completed", "failed", "cancelled"}, now.Status)
	})
	if now.JobID != id || now.Status != status {
		t.Fatalf("the job %+v, want %s", now, status)
	}
	return now
}

// scheduled jobs: update twins, call methods, wait for their time, are cancelled and looked for.
func (s *service) scheduled(t *testing.T) {
	s.office.gives(t, all, "addDevices", []map[string]any{
		{"deviceId": "job-on", "tags": map[string]any{"job": 1}}, {"deviceId": "job-off", "tags": map[string]any{"job": 1}}, {"deviceId": "job-not"},
	})
	t.Run("update twins", s.jobUpdatesTwins)
	t.Run("call methods", s.jobCallsMethods)
	t.Run("wait, and are cancelled", s.jobIsCancelled)
	t.Run("an id that is taken", func(t *testing.T) {
		s.office.fails(t, "DeviceAlreadyExistsError", "", "schedule", job{JobID: "job-twins", Condition: "*", Patch: json.RawMessage(`{"tags":{}}`)})
	})
	t.Run("of nobody", func(t *testing.T) {
		s.office.fails(t, "Error", "Not found", "job", job{JobID: "job-none"})
		s.office.fails(t, "Error", "Not found", "cancelJob", job{JobID: "job-none"})
	})
	for name, j := range map[string]job{
		"a condition cut off":      {JobID: "job-bad", Condition: "tags.job =", Patch: json.RawMessage(`{"tags":{"x":1}}`)},
		"a whole query":            {JobID: "job-bad", Condition: "SELECT * FROM devices", Patch: json.RawMessage(`{"tags":{"x":1}}`)},
		"an etag":                  {JobID: "job-bad", Condition: "*", Patch: json.RawMessage(`{"etag":"AAAA","tags":{"x":1}}`)},
		"a patch with a bad name":  {JobID: "job-bad", Condition: "*", Patch: json.RawMessage(`{"tags":{"$x":1}}`)},
		"a method that waits long": {JobID: "job-bad", Condition: "*", Method: map[string]any{"methodName": "x", "responseTimeoutInSeconds": 301}},
	} {
		t.Run("refused: "+name, func(t *testing.T) { s.office.fails(t, "ArgumentError", "", "schedule", j) })
	}
	t.Run("are looked for", s.jobsAreFound)
	s.removeAll(t)
}

func (s *service) jobUpdatesTwins(t *testing.T) {
	made := answered[jobState](t, s.office, "schedule", job{JobID: "job-twins", Condition: "tags.job = 1",
		Patch: json.RawMessage(`{"etag":"*","tags":{"done":"ü"},"properties":{"desired":{"interval":5}}}`), Seconds: 60})
	if made.JobID != "job-twins" || made.Type != "scheduleUpdateTwin" || made.Condition != "tags.job = 1" || time.Since(made.Created).Abs() > time.Minute {
		t.Errorf("made %+v", made)
	}
	if st := s.ends(t, "job-twins", "completed").Statistics; st.Devices != 2 || st.Succeeded != 2 || st.Failed+st.Running+st.Pending != 0 {
		t.Errorf("statistics %+v", st)
	}
	for id, want := range map[string]string{"job-on": `{"job":1,"done":"ü"}`, "job-off": `{"job":1,"done":"ü"}`, "job-not": `{}`} {
		tw := answered[twinOfService](t, s.office, "twin", address{DeviceID: id})
		sameValue(t, "tags of "+id, want, tw.Tags)
		if _, has := tw.Properties.Desired["interval"]; has != (id != "job-not") {
			t.Errorf("%s: desired %v", id, tw.Properties.Desired)
		}
	}
}

// deviceJob is a row of what a job did with one device.
type deviceJob struct {
	DeviceID string `json:"deviceId"`
	JobID    string `json:"jobId"`
	Type     string `json:"jobType"`
	Status   string `json:"status"`
	Outcome  *struct {
		Response struct {
			Status  int `json:"status"`
			Payload any `json:"payload"`
		} `json:"deviceMethodResponse"`
	} `json:"outcome"`
	Error *struct {
		Code any `json:"code"`
	} `json:"error"`
}

// jobCallsMethods has a job for a device that is there and one that is not.
func (s *service) jobCallsMethods(t *testing.T) {
	d := answered[identity](t, s.office, "get", address{DeviceID: "job-on"})
	p := s.judge.client(t, setup{ConnectionString: deviceString(d), Transport: "mqtt"})
	p.do(t, "open", nil)
	p.do(t, "method", map[string]any{"name": "echo", "status": 201, "echo": true})
	p.do(t, "send", sdkMessage{}) // the hub has seen SUBSCRIBE when it acknowledges this
	made := answered[jobState](t, s.office, "schedule", job{JobID: "job-methods", Condition: "tags.job = 1",
		Method: map[string]any{"methodName": "echo", "payload": map[string]any{"a": "ü"}, "responseTimeoutInSeconds": 5}, Seconds: 60})
	if made.Type != "scheduleDeviceMethod" {
		t.Errorf("made %+v", made)
	}
	st := s.ends(t, "job-methods", "completed").Statistics
	if st.Devices != 2 || st.Succeeded != 1 || st.Failed != 1 {
		t.Errorf("statistics %+v", st)
	}
	seen := nextInto[struct{ Payload any }](t, p, "method")
	sameValue(t, "the device saw", `{"a":"ü"}`, seen.Payload)

	got := answered[page](t, s.office, "page", sql{SQL: "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job-methods'"})
	var rows []deviceJob
	if err := json.Unmarshal(got.Rows, &rows); err != nil || got.Kind != "DeviceJob" || len(rows) != 2 {
		t.Fatalf("%s of kind %q, %v", got.Rows, got.Kind, err)
	}
	for _, r := range rows {
		if r.JobID != "job-methods" || r.Type != "scheduleDeviceMethod" {
			t.Errorf("row %+v", r)
		}
		switch r.DeviceID {
		case "job-on":
			if r.Status != "completed" || r.Outcome == nil || r.Outcome.Response.Status != 201 {
				t.Fatalf("row %+v", r)
			}
			sameValue(t, "outcome", `{"a":"ü"}`, r.Outcome.Response.Payload)
		default:
			if r.DeviceID != "job-off" || r.Status != "failed" || r.Error == nil {
				t.Errorf("row %+v", r)
			}
		}
	}
	p.do(t, "close", nil)
}

func (s *service) jobIsCancelled(t *testing.T) {
	start := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	s.office.do(t, "schedule", job{JobID: "job-later", Condition: "deviceId = 'job-not'", Patch: json.RawMessage(`{"tags":{"late":1}}`), Start: start.Format(time.RFC3339Nano)})
	now := answered[jobState](t, s.office, "job", job{JobID: "job-later"})
	if !slices.Contains([]string{"scheduled", "queued", "enqueued"}, now.Status) || !now.Start.Equal(start) {
		t.Errorf("it is %+v", now)
	}
	s.office.do(t, "cancelJob", job{JobID: "job-later"})
	s.ends(t, "job-later", "cancelled")
	sameValue(t, "tags", "{}", answered[twinOfService](t, s.office, "twin", address{DeviceID: "job-not"}).Tags)

	s.office.do(t, "schedule", job{JobID: "job-soon", Condition: "deviceId = 'job-not'", Patch: json.RawMessage(`{"tags":{"soon":1}}`), Start: time.Now().Add(time.Second).Format(time.RFC3339Nano)})
	s.ends(t, "job-soon", "completed")
	sameValue(t, "tags", `{"soon":1}`, answered[twinOfService](t, s.office, "twin", address{DeviceID: "job-not"}).Tags)
}

func (s *service) jobsAreFound(t *testing.T) {
	type filter struct {
		Type   string `json:"type,omitempty"`
		Status string `json:"status,omitempty"`
		Size   int    `json:"size,omitempty"`
	}
	for _, tt := range []struct {
		filter
		want []string
	}{
		{filter{}, []string{"job-later", "job-methods", "job-soon", "job-twins"}},
		{filter{Size: 1}, []string{"job-later", "job-methods", "job-soon", "job-twins"}},
		{filter{Type: "scheduleDeviceMethod"}, []string{"job-methods"}},
		{filter{Status: "cancelled"}, []string{"job-later"}},
		{filter{Type: "scheduleUpdateTwin", Status: "completed", Size: 2}, []string{"job-soon", "job-twins"}},
		{filter{Status: "running"}, nil},
	} {
		t.Run(fmt.Sprintf("%+v", tt.filter), func(t *testing.T) {
			pages := answered[[][]jobState](t, s.office, "jobPages", tt.filter)
			var got []string
			for _, p := range pages {
				if tt.Size != 0 && len(p) > tt.Size {
					t.Errorf("a page of %d", len(p))
				}
				for _, j := range p {
					got = append(got, j.JobID)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("jobs (-want +got)\n%s", diff)
			}
		})
	}
}
