package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

func methodJob(id string, start time.Time) *Job {
	return &Job{ID: id, Type: JobDeviceMethod, Condition: "*", Start: start, MaxExecution: time.Minute,
		Method: &Invocation{MethodRequest: hubwire.MethodRequest{Name: "lockDoor", Payload: json.RawMessage(`{"lockTime":"10m"}`)}}}
}

func twinJob(id, condition, patch string) *Job {
	return &Job{ID: id, Type: JobUpdateTwin, Condition: condition, Twin: update("", patch), TwinETag: "*"}
}

func createJob(t *testing.T, c *Core, want *Job) *Job {
	t.Helper()
	j, err := c.CreateJob(ctx, want)
	if err != nil {
		t.Fatalf("CreateJob(%s): %v", want.ID, err)
	}
	return j
}

// answering connects a device that answers each method after a while.
func answering(t *testing.T, c *Core, id hubwire.Identity, status int, after time.Duration) *Session {
	t.Helper()
	s, l := connectWith(t, c, grant(t, c, id), nil)
	l.onMethod = func(m MethodCall) {
		time.AfterFunc(after, func() {
			s.MethodResponse(m.RequestID, &hubwire.MethodResponse{Status: status, Payload: m.Payload})
		})
	}
	must(t, s.Subscribe(ctx, Subscription{Filter: "methods", Feature: FeatureMethods}))
	return s
}

func several(t testing.TB, c *Core, n int) (ids []hubwire.Identity) {
	t.Helper()
	for i := range n {
		id := hubwire.Identity{DeviceID: fmt.Sprintf("f%04d", i)}
		create(t, c, &Device{ID: id})
		ids = append(ids, id)
	}
	return ids
}

// rows gives what became of each device, as text.
func rows(c *Core, job string) (out []string) {
	for _, r := range allDeviceJobs(c) {
		if r.JobID != job {
			continue
		}
		s := r.ID.String() + " " + r.Status
		if r.Response != nil {
			s += fmt.Sprintf(" %d %s", r.Response.Status, r.Response.Payload)
		}
		if r.Error != nil {
			s += " " + r.Error.Code
		}
		out = append(out, s)
	}
	return out
}

// allDeviceJobs lists them all, in steps.
func allDeviceJobs(c *Core) (all []*DeviceJob) {
	var last DeviceJob
	for {
		rs := c.deviceJobs(last.JobID, last.ID, 7)
		if len(rs) == 0 {
			return all
		}
		all, last = append(all, rs...), *rs[len(rs)-1]
	}
}

func wantRows(t *testing.T, c *Core, job string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, rows(c, job)); diff != "" {
		t.Errorf("rows of %s (-want +got):\n%s", job, diff)
	}
}

func wantJob(t *testing.T, c *Core, id string, status JobStatus, stats JobStatistics) *Job {
	t.Helper()
	j, err := c.Job(id)
	if err != nil {
		t.Fatal(err)
	}
	if j.Status != status || j.Statistics != stats || status.Over() == j.End.IsZero() {
		t.Errorf("job %s is %s, %+v, ended %v; want %s, %+v", id, j.Status, j.Statistics, j.End, status, stats)
	}
	return j
}

func TestAJobIsRefused(t *testing.T) {
	with := func(edit func(*Job)) *Job {
		j := methodJob("j", time.Time{})
		edit(j)
		return j
	}
	for _, tt := range []struct {
		name string
		job  *Job
		code hubwire.Code
	}{
		{"that is nil", nil, hubwire.ArgumentInvalid},
		{"without an id", with(func(j *Job) { j.ID = "" }), hubwire.ArgumentInvalid},
		{"with an id of other characters", with(func(j *Job) { j.ID = "a/b" }), hubwire.ArgumentInvalid},
		{"with the path of the list as its id", with(func(j *Job) { j.ID = "query" }), hubwire.ArgumentInvalid},
		{"with an id that is too long", with(func(j *Job) { j.ID = strings.Repeat("j", 65) }), hubwire.ArgumentInvalid},
		{"of an unknown type", with(func(j *Job) { j.Type = "export" }), hubwire.ArgumentInvalid},
		{"without a method", with(func(j *Job) { j.Method = nil }), hubwire.ArgumentInvalid},
		{"with a method without a name", with(func(j *Job) { j.Method.Name = "" }), hubwire.ArgumentInvalid},
		{"with a payload that is no JSON", with(func(j *Job) { j.Method.Payload = json.RawMessage("{") }), hubwire.FormatError},
		{"with a payload that is too big", with(func(j *Job) { j.Method.Payload = make([]byte, hubwire.MaxMethodPayload+1) }), hubwire.MessageTooLarge},
		{"with an execution time that is too long", with(func(j *Job) { j.MaxExecution = MaxJobTime + 1 }), hubwire.ArgumentInvalid},
		{"with an execution time below nothing", with(func(j *Job) { j.MaxExecution = -1 }), hubwire.ArgumentInvalid},
		{"without a condition", with(func(j *Job) { j.Condition = "" }), hubwire.ArgumentInvalid},
		{"with a condition that does not parse", with(func(j *Job) { j.Condition = "tags.a = " }), hubwire.ArgumentInvalid},
		{"with a query for a condition", with(func(j *Job) { j.Condition = "SELECT * FROM devices" }), hubwire.ArgumentInvalid},
		{"without a twin update", &Job{ID: "j", Type: JobUpdateTwin, Condition: "*"}, hubwire.ArgumentInvalid},
		{"with a twin update of nothing", &Job{ID: "j", Type: JobUpdateTwin, Condition: "*", Twin: &TwinUpdate{}}, hubwire.ArgumentInvalid},
		{"with a twin update that is no twin's", twinJob("j", "*", `{"a b":1}`), hubwire.ArgumentInvalid},
		{"with an etag that not all twins can have", &Job{ID: "j", Type: JobUpdateTwin, Condition: "*", Twin: update("{}", ""), TwinETag: "AAAAAAAAAAE="}, hubwire.ArgumentInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCore(t, nil)
			_, err := c.CreateJob(ctx, tt.job)
			wantCode(t, "CreateJob", err, tt.code)
			if js, _, err := c.Jobs(JobFilter{}, 10, ""); len(js) != 0 || err != nil {
				t.Errorf("there are %d jobs, %v", len(js), err)
			}
		})
	}
}

func TestAJobCallsAMethodOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		other := several(t, c, 1)[0]
		answering(t, c, dev, 200, time.Second)
		begin := time.Now()
		made := createJob(t, c, methodJob("lock", begin.Add(20*time.Second)))
		if made.Status != JobScheduled || !made.Created.Equal(begin) || made.Statistics != (JobStatistics{}) {
			t.Errorf("scheduled: %+v", made)
		}
		_, err := c.CreateJob(ctx, methodJob("lock", begin))
		wantCode(t, "a second one", err, hubwire.JobAlreadyExists)
		time.Sleep(19 * time.Second)
		synctest.Wait()
		wantJob(t, c, "lock", JobScheduled, JobStatistics{})
		time.Sleep(time.Second)
		synctest.Wait()
		wantJob(t, c, "lock", JobRunning, JobStatistics{Devices: 2, Failed: 1, Running: 1})
		time.Sleep(time.Second)
		synctest.Wait()
		done := wantJob(t, c, "lock", JobCompleted, JobStatistics{Devices: 2, Failed: 1, Succeeded: 1})
		if got := done.End.Sub(begin); got != 21*time.Second {
			t.Errorf("it ended after %v", got)
		}
		wantRows(t, c, "lock", `dev completed 200 {"lockTime":"10m"}`, other.DeviceID+" failed DeviceNotOnline")
		for _, r := range allDeviceJobs(c) {
			if r.ID == dev && (r.Type != "scheduleDeviceMethod" || r.Started.Sub(begin) != 20*time.Second || r.Ended.Sub(begin) != 21*time.Second || !r.Updated.Equal(r.Ended)) {
				t.Errorf("row: %+v", r)
			}
		}
	})
}

func TestAJobUpdatesTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		ids := append(several(t, c, 30), dev)
		_, l := connect(t, c, dev)
		createJob(t, c, &Job{ID: "t", Type: JobUpdateTwin, Condition: "*", Twin: update(`{"a":1}`, `{"building":43}`), Start: time.Now().Add(-time.Hour)})
		synctest.Wait()
		wantJob(t, c, "t", JobCompleted, JobStatistics{Devices: 31, Succeeded: 31})
		for _, id := range ids {
			if got := twinText(c, id); got != `{"a":1}{"building":43}` {
				t.Errorf("twin of %v = %s", id, got)
			}
		}
		if len(l.changes) != 1 || string(l.changes[0].JSON) != `{"building":43}` {
			t.Errorf("the device heard %v", l.changes)
		}
		if got := twinText(c, mod); got != "{}{}" {
			t.Errorf("the module's twin = %s", got)
		}
	})
}

func TestAJobIsForWhomItsConditionSays(t *testing.T) {
	other := hubwire.Identity{DeviceID: "other", ModuleID: "mod"}
	for _, tt := range []struct{ condition, want string }{
		{"*", "dev other"},
		{"deviceId IN ['dev', 'nobody']", "dev"},
		{"tags.building = 43 AND is_defined(properties.desired.on)", "other"},
		{"FROM devices WHERE tags.building = 43", "dev other"},
		{"FROM devices.modules WHERE moduleId = 'mod'", "dev/mod other/mod"},
		{"FROM devices.modules WHERE deviceId = 'other'", "other/mod"},
		{"tags.building = 'nowhere'", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCore(t, nil)
			create(t, c, &Device{ID: hubwire.Identity{DeviceID: "other"}})
			create(t, c, &Device{ID: other})
			_, err := c.PatchTwin(ctx, hubwire.Identity{DeviceID: "other"}, update(`{"building":43}`, `{"on":true}`), "")
			must(t, err)
			_, err = c.PatchTwin(ctx, dev, update(`{"building":43}`, ""), "")
			must(t, err)
			createJob(t, c, twinJob("j", tt.condition, `{"a":1}`))
			synctest.Wait()
			var got []string
			for _, r := range allDeviceJobs(c) {
				got = append(got, r.ID.String())
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s: %v, want %s", tt.condition, got, tt.want)
			}
		})
	}
}

func TestATwinThatIsFullFailsForItsDeviceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		several(t, c, 1)
		text := strings.Repeat("x", 4000)
		full, _ := json.Marshal([]string{text, text, text, text, text, text, text, text})
		_, err := c.PatchTwin(ctx, dev, update("", `{"full":`+string(full)+`}`), "")
		must(t, err)
		createJob(t, c, twinJob("t", "*", `{"more":"`+text+`"}`))
		synctest.Wait()
		wantJob(t, c, "t", JobCompleted, JobStatistics{Devices: 2, Failed: 1, Succeeded: 1})
		wantRows(t, c, "t", "dev failed ArgumentInvalid", "f0000 completed")
	})
}

func TestAJobWaitsForDevicesAsItsMethodSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		ids := several(t, c, methodWorkers+1) // all away, and none stands in the way of dev
		answering(t, c, dev, 200, time.Second)
		j := methodJob("j", time.Time{})
		j.Method.ConnectTimeout = 10 * time.Second
		createJob(t, c, j)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if rs := rows(c, "j"); !strings.HasPrefix(rs[0], "dev completed 200") {
			t.Errorf("dev after two seconds: %s", rs[0])
		}
		answering(t, c, ids[0], 404, 0)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		wantJob(t, c, "j", JobCompleted, JobStatistics{Devices: len(ids) + 1, Succeeded: 2, Failed: len(ids) - 1})
		if rs := rows(c, "j"); rs[1] != `f0000 completed 404 {"lockTime":"10m"}` || rs[2] != "f0001 failed DeviceNotOnline" {
			t.Errorf("rows: %v", rs[1:3])
		}
	})
}

func TestAJobEndsWithItsExecutionTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		several(t, c, 1)
		answering(t, c, dev, 200, 50*time.Second)
		answering(t, c, hubwire.Identity{DeviceID: "f0000"}, 200, time.Second)
		j := methodJob("j", time.Time{})
		j.MaxExecution, j.Method.ResponseTimeout = 30*time.Second, 5*time.Minute
		createJob(t, c, j)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		wantJob(t, c, "j", JobRunning, JobStatistics{Devices: 2, Running: 1, Succeeded: 1})
		time.Sleep(time.Second)
		synctest.Wait()
		done := wantJob(t, c, "j", JobFailed, JobStatistics{Devices: 2, Failed: 1, Succeeded: 1})
		if !strings.Contains(done.FailureReason, "maximum execution time") {
			t.Errorf("reason %q", done.FailureReason)
		}
		wantRows(t, c, "j", "dev failed RequestTimedOut", `f0000 completed 200 {"lockTime":"10m"}`)
	})
}

func TestAJobIsCancelled(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration
		state JobStatus
		rows  []string
		stats JobStatistics
	}{
		{"before its time", 5 * time.Second, JobScheduled, nil, JobStatistics{}},
		{"while it runs", 15 * time.Second, JobRunning, []string{"dev canceled JobCancelled"}, JobStatistics{Devices: 1, Failed: 1}},
		{"when it is over, which changes nothing", 40 * time.Second, JobCompleted, []string{`dev completed 200 {"lockTime":"10m"}`}, JobStatistics{Devices: 1, Succeeded: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCore(t, nil)
				answering(t, c, dev, 200, 20*time.Second)
				createJob(t, c, methodJob("j", time.Now().Add(10*time.Second)))
				time.Sleep(tt.after)
				synctest.Wait()
				if j, _ := c.Job("j"); j.Status != tt.state {
					t.Fatalf("before: %s, want %s", j.Status, tt.state)
				}
				want := JobCancelled
				if tt.state.Over() {
					want = tt.state
				}
				for range 2 {
					if j, err := c.CancelJob("j"); err != nil || j.Status != want {
						t.Errorf("CancelJob = %+v, %v", j, err)
					}
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				wantJob(t, c, "j", want, tt.stats)
				wantRows(t, c, "j", tt.rows...)
			})
		})
	}
	c := newCore(t, nil)
	_, err := c.CancelJob("nobody")
	wantCode(t, "CancelJob of none", err, hubwire.JobNotFound)
	_, err = c.Job("nobody")
	wantCode(t, "Job of none", err, hubwire.JobNotFound)
}
