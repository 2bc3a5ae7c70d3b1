package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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

// jobs are those of a test, and their devices: all names begin with its own.
type jobs struct {
	*service
	name string // also the tag of two of the devices
}

// scheduled jobs: update twins, call methods, wait for their time, are cancelled and looked for.
func (s *service) scheduled(t *testing.T) { (&jobs{s, s.id("job")}).all(t) }

func (s *jobs) all(t *testing.T) {
	tags := map[string]any{"job": s.name}
	s.office.gives(t, all, "addDevices", []map[string]any{
		{"deviceId": s.name + "-on", "tags": tags}, {"deviceId": s.name + "-off", "tags": tags}, {"deviceId": s.name + "-not"},
	})
	t.Run("update twins", s.updateTwins)
	t.Run("call methods", s.callMethods)
	t.Run("wait, and are cancelled", s.areCancelled)
	t.Run("an id that is taken", func(t *testing.T) {
		s.office.fails(t, "DeviceAlreadyExistsError", "", "schedule", job{JobID: s.name + "-twins", Condition: "*", Patch: json.RawMessage(`{"tags":{}}`)})
	})
	t.Run("of nobody", func(t *testing.T) {
		s.office.fails(t, "Error", "Not found", "job", job{JobID: s.name + "-none"})
		s.office.fails(t, "Error", "Not found", "cancelJob", job{JobID: s.name + "-none"})
	})
	for name, j := range map[string]job{
		"a condition cut off":      {JobID: s.name + "-bad", Condition: "tags.job =", Patch: json.RawMessage(`{"tags":{"x":1}}`)},
		"a whole query":            {JobID: s.name + "-bad", Condition: "SELECT * FROM devices", Patch: json.RawMessage(`{"tags":{"x":1}}`)},
		"an etag":                  {JobID: s.name + "-bad", Condition: "*", Patch: json.RawMessage(`{"etag":"AAAA","tags":{"x":1}}`)},
		"a patch with a bad name":  {JobID: s.name + "-bad", Condition: "*", Patch: json.RawMessage(`{"tags":{"$x":1}}`)},
		"a method that waits long": {JobID: s.name + "-bad", Condition: "*", Method: map[string]any{"methodName": "x", "responseTimeoutInSeconds": 301}},
	} {
		t.Run("refused: "+name, func(t *testing.T) { s.office.fails(t, "ArgumentError", "", "schedule", j) })
	}
	t.Run("are looked for", s.areFound)
	s.removeAll(t, s.name)
}

func (s *jobs) updateTwins(t *testing.T) {
	made := answered[jobState](t, s.office, "schedule", job{JobID: s.name + "-twins", Condition: "tags.job = '" + s.name + "'",
		Patch: json.RawMessage(`{"etag":"*","tags":{"done":"ü"},"properties":{"desired":{"interval":5}}}`), Seconds: 60})
	if made.JobID != s.name+"-twins" || made.Type != "scheduleUpdateTwin" || made.Condition != "tags.job = '"+s.name+"'" || time.Since(made.Created).Abs() > time.Minute {
		t.Errorf("made %+v", made)
	}
	if st := s.ends(t, s.name+"-twins", "completed").Statistics; st.Devices != 2 || st.Succeeded != 2 || st.Failed+st.Running+st.Pending != 0 {
		t.Errorf("statistics %+v", st)
	}
	for id, want := range map[string]string{s.name + "-on": `{"job":"` + s.name + `","done":"ü"}`, s.name + "-off": `{"job":"` + s.name + `","done":"ü"}`, s.name + "-not": `{}`} {
		tw := answered[twinOfService](t, s.office, "twin", address{DeviceID: id})
		sameValue(t, "tags of "+id, want, tw.Tags)
		if _, has := tw.Properties.Desired["interval"]; has != (id != s.name+"-not") {
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

// callMethods has a job for a device that is there and one that is not.
func (s *jobs) callMethods(t *testing.T) {
	d := answered[identity](t, s.office, "get", address{DeviceID: s.name + "-on"})
	p := s.judge.client(t, setup{ConnectionString: deviceString(d), Transport: "mqtt"})
	p.do(t, "open", nil)
	p.do(t, "method", map[string]any{"name": "echo", "status": 201, "echo": true})
	p.do(t, "send", sdkMessage{}) // the hub has seen SUBSCRIBE when it acknowledges this
	made := answered[jobState](t, s.office, "schedule", job{JobID: s.name + "-methods", Condition: "tags.job = '" + s.name + "'",
		Method: map[string]any{"methodName": "echo", "payload": map[string]any{"a": "ü"}, "responseTimeoutInSeconds": 60}, Seconds: 60})
	if made.Type != "scheduleDeviceMethod" {
		t.Errorf("made %+v", made)
	}
	st := s.ends(t, s.name+"-methods", "completed").Statistics
	if st.Devices != 2 || st.Succeeded != 1 || st.Failed != 1 {
		t.Errorf("statistics %+v", st)
	}
	seen := nextInto[struct{ Payload any }](t, p, "method")
	sameValue(t, "the device saw", `{"a":"ü"}`, seen.Payload)

	got := answered[page](t, s.office, "page", sql{SQL: "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '" + s.name + "-methods'"})
	var rows []deviceJob
	if err := json.Unmarshal(got.Rows, &rows); err != nil || got.Kind != "DeviceJob" || len(rows) != 2 {
		t.Fatalf("%s of kind %q, %v", got.Rows, got.Kind, err)
	}
	for _, r := range rows {
		if r.JobID != s.name+"-methods" || r.Type != "scheduleDeviceMethod" {
			t.Errorf("row %+v", r)
		}
		switch r.DeviceID {
		case s.name + "-on":
			if r.Status != "completed" || r.Outcome == nil || r.Outcome.Response.Status != 201 {
				t.Fatalf("row %+v", r)
			}
			sameValue(t, "outcome", `{"a":"ü"}`, r.Outcome.Response.Payload)
		default:
			if r.DeviceID != s.name+"-off" || r.Status != "failed" || r.Error == nil {
				t.Errorf("row %+v", r)
			}
		}
	}
	p.do(t, "close", nil)
}

func (s *jobs) areCancelled(t *testing.T) {
	start := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	s.office.do(t, "schedule", job{JobID: s.name + "-later", Condition: "deviceId = '" + s.name + "-not'", Patch: json.RawMessage(`{"tags":{"late":1}}`), Start: start.Format(time.RFC3339Nano)})
	now := answered[jobState](t, s.office, "job", job{JobID: s.name + "-later"})
	if !slices.Contains([]string{"scheduled", "queued", "enqueued"}, now.Status) || !now.Start.Equal(start) {
		t.Errorf("it is %+v", now)
	}
	s.office.do(t, "cancelJob", job{JobID: s.name + "-later"})
	s.ends(t, s.name+"-later", "cancelled")
	sameValue(t, "tags", "{}", answered[twinOfService](t, s.office, "twin", address{DeviceID: s.name + "-not"}).Tags)

	s.office.do(t, "schedule", job{JobID: s.name + "-soon", Condition: "deviceId = '" + s.name + "-not'", Patch: json.RawMessage(`{"tags":{"soon":1}}`), Start: time.Now().Add(time.Second).Format(time.RFC3339Nano)})
	s.ends(t, s.name+"-soon", "completed")
	sameValue(t, "tags", `{"soon":1}`, answered[twinOfService](t, s.office, "twin", address{DeviceID: s.name + "-not"}).Tags)
}

func (s *jobs) areFound(t *testing.T) {
	type filter struct {
		Type   string `json:"type,omitempty"`
		Status string `json:"status,omitempty"`
		Size   int    `json:"size,omitempty"`
	}
	for _, tt := range []struct {
		filter
		want []string
	}{
		{filter{}, []string{s.name + "-later", s.name + "-methods", s.name + "-soon", s.name + "-twins"}},
		{filter{Size: 1}, []string{s.name + "-later", s.name + "-methods", s.name + "-soon", s.name + "-twins"}},
		{filter{Type: "scheduleDeviceMethod"}, []string{s.name + "-methods"}},
		{filter{Status: "cancelled"}, []string{s.name + "-later"}},
		{filter{Type: "scheduleUpdateTwin", Status: "completed", Size: 2}, []string{s.name + "-soon", s.name + "-twins"}},
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
					if strings.HasPrefix(j.JobID, s.name) {
						got = append(got, j.JobID)
					}
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("jobs (-want +got)\n%s", diff)
			}
		})
	}
}
