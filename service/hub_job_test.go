package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

// TestJobs is scenario T6: a method in ten seconds and a twin update in twenty, on the
// devices of a condition, of which one is away.
func TestJobs(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx := t.Context()
		fleet(t, c, 6)
		condition := "tags.room = " + service.Quote("it's 1") // d001 and d004
		there := online(t, h, hubwire.Identity{DeviceID: "d001"})
		if err := there.HandleMethod(ctx, "lockDoor", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(`"locked for ` + string(r.Payload) + `"`)}, nil
		}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		lock := hubwire.MethodRequest{Name: "lockDoor", Payload: json.RawMessage("10")}
		j, err := c.ScheduleMethod(ctx, "lock", condition, lock, &service.JobOptions{Start: start.Add(10 * time.Second), MaxExecutionTime: time.Minute})
		if err != nil || j.ID != "lock" || j.Status.Done() {
			t.Fatalf("%+v, %v", j, err)
		}
		building := &service.TwinUpdate{Desired: json.RawMessage(`{"building":43,"floor":3}`)}
		if _, err := c.ScheduleTwinUpdate(ctx, "move", condition, building, &service.JobOptions{Start: start.Add(20 * time.Second)}); err != nil {
			t.Fatal(err)
		}

		j, err = c.WaitJob(ctx, "lock", time.Second)
		if err != nil || time.Since(start) < 10*time.Second || j.Statistics.Devices != 2 || j.Statistics.Succeeded != 1 || j.Statistics.Failed != 1 {
			t.Errorf("lock: %+v, %v after %v", j, err, time.Since(start))
		}
		if diff := cmp.Diff(map[string]string{"d001": `completed 200 "locked for 10"`, "d004": "failed"}, outcomes(t, c, "lock", "")); diff != "" {
			t.Errorf("what became of each (-want +got):\n%s", diff)
		}

		j, err = c.WaitJob(ctx, "move", time.Second)
		if err != nil || time.Since(start) < 20*time.Second || j.Status != service.JobCompleted || j.Statistics.Succeeded != 2 {
			t.Errorf("move: %+v, %v after %v", j, err, time.Since(start))
		}
		if tw, err := c.Twin(ctx, hubwire.Identity{DeviceID: "d004"}); err != nil || string(tw.Desired.JSON) != `{"building":43,"floor":3}` {
			t.Errorf("%+v, %v", tw, err)
		}

		// Those that failed have another job, when they are back.
		failed := slices.Collect(maps.Keys(outcomes(t, c, "lock", service.JobFailed)))
		late := online(t, h, hubwire.Identity{DeviceID: "d004"})
		if err := late.HandleMethod(ctx, "lockDoor", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 200}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ScheduleMethod(ctx, "lock-again", service.DeviceIn(failed...), lock, nil); err != nil {
			t.Fatal(err)
		}
		if j, err := c.WaitJob(ctx, "lock-again", 0); err != nil || j.Status != service.JobCompleted || j.Statistics.Succeeded != 1 {
			t.Errorf("lock-again: %+v, %v", j, err)
		}
		var all []string
		for j, err := range c.Jobs(ctx, service.JobMethod, "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, j.ID)
		}
		slices.Sort(all)
		if diff := cmp.Diff([]string{"lock", "lock-again"}, all); diff != "" {
			t.Errorf("jobs (-want +got):\n%s", diff)
		}
	})
}

// outcomes returns what became of each device of a job.
func outcomes(t *testing.T, c *service.Client, job string, s service.JobStatus) map[string]string {
	t.Helper()
	all := map[string]string{}
	for d, err := range c.JobDevices(t.Context(), job, s) {
		if err != nil {
			t.Fatal(err)
		}
		all[d.DeviceID] = string(d.Status)
		if d.Outcome != nil && d.Outcome.Method != nil {
			all[d.DeviceID] += fmt.Sprintf(" %d %s", d.Outcome.Method.Status, d.Outcome.Method.Payload)
		}
	}
	return all
}

func TestJobsThatAreRefusedOrCancelled(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, _ *hub.Hub, c *service.Client) {
		ctx := t.Context()
		update := &service.TwinUpdate{Tags: json.RawMessage(`{"a":1}`)}
		later := &service.JobOptions{Start: time.Now().Add(time.Hour)}
		if _, err := c.ScheduleTwinUpdate(ctx, "j1", "*", update, later); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ScheduleTwinUpdate(ctx, "j1", "*", update, later); !errors.Is(err, hubwire.JobAlreadyExists) {
			t.Errorf("a second time: %v", err)
		}
		_, err := c.ScheduleTwinUpdate(ctx, "j2", "tags.room =", update, later)
		if e := errorOf(t, err); e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.Refused {
			t.Errorf("a bad condition: %v", err)
		}
		if _, err := c.Job(ctx, "j2"); !errors.Is(err, hubwire.JobNotFound) {
			t.Errorf("half a job: %v", err)
		}
		if j, err := c.CancelJob(ctx, "j1"); err != nil || j.ID != "j1" {
			t.Errorf("cancel: %+v, %v", j, err)
		}
		if j, err := c.WaitJob(ctx, "j1", 0); err != nil || j.Status != service.JobCancelled {
			t.Errorf("cancelled: %+v, %v", j, err)
		}
	})
}
