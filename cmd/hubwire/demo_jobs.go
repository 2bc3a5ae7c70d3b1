package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

var jobFeatures = []feature{
	{name: "service: job that updates twins", service: byREST, run: jobTwins},
	{name: "service: job that calls a method", service: byREST, run: jobMethod},
	{name: "service: job on a schedule, cancelled", service: byREST, run: jobCancelled},
	{
		name: "service: configuration applied, with metrics", service: byREST,
		needs: "a hub that applies configurations at once", partly: "that it is registered and tested, and its content applied to one device",
		run: configurationApplied,
	},
	{name: "service: export and import of the registry", service: byREST, needs: "a container of blobs", run: exportImport},
}

// jobID is the id of a job, or of a configuration, of this cell.
func (s *stage) jobID(name string) string { return s.run + "-" + name }

const everySoOften = 100 * time.Millisecond

// awaitJob waits for a job's end, and holds what became of its devices against what it should be.
func (s *stage) awaitJob(ctx context.Context, id string, status service.JobStatus, succeeded, failed int) error {
	j, err := s.service.WaitJob(ctx, id, everySoOften)
	if err != nil {
		return err
	}
	return errors.Join(
		same("the status of the job", j.Status, status),
		same("the devices that succeeded", j.Statistics.Succeeded, succeeded),
		same("the devices that failed", j.Statistics.Failed, failed),
	)
}

func jobTwins(ctx context.Context, s *stage) error {
	const size = 10
	ids, err := s.fleet(ctx, size)
	if err != nil {
		return err
	}
	even := s.inFleet() + " AND tags.even = true"
	if err := s.awaitFleet(ctx, even, size/2); err != nil {
		return err
	}
	id, start := s.jobID("twins"), time.Now().Add(time.Second)
	update := &service.TwinUpdate{Tags: json.RawMessage(`{"moved":true}`), Desired: json.RawMessage(`{"building":43,"floor":3}`)}
	j, err := s.service.ScheduleTwinUpdate(ctx, id, even, update, &service.JobOptions{Start: start})
	if err != nil {
		return err
	}
	if j.Status.Done() && time.Now().Before(start) {
		return fmt.Errorf("a job of the future is %s already", j.Status)
	}
	if err := s.awaitJob(ctx, id, service.JobCompleted, size/2, 0); err != nil {
		return err
	}
	if early := time.Until(start); early > 0 {
		return fmt.Errorf("the job is done %v before its start", early)
	}
	if err := s.awaitFleet(ctx, s.inFleet()+" AND properties.desired.building = 43 AND tags.moved = true", size/2); err != nil {
		return err
	}
	untouched, err := s.service.Twin(ctx, hubwire.Identity{DeviceID: ids[1]})
	if err != nil {
		return err
	}
	return sameJSON("desired of a device that the condition leaves out", untouched.Desired.JSON, `{}`)
}

// jobMethod calls a method of two devices, of which one is away, and later of that one alone.
func jobMethod(ctx context.Context, s *stage) error {
	ids, err := s.fleet(ctx, 2)
	if err != nil {
		return err
	}
	if err := s.awaitFleet(ctx, s.inFleet(), 2); err != nil {
		return err
	}
	locks, err := s.lockable(ctx, ids[0])
	if err != nil {
		return err
	}
	lock := hubwire.MethodRequest{Name: "lockDoor", Payload: json.RawMessage(`{"lockTime":"10m"}`)}
	first, second := s.jobID("lock"), s.jobID("lock-again")
	if _, err := s.service.ScheduleMethod(ctx, first, s.inFleet(), lock, nil); err != nil {
		return err
	}
	j, err := s.service.WaitJob(ctx, first, everySoOften)
	if err != nil {
		return err
	}
	if err := errors.Join(
		same("the devices that succeeded", j.Statistics.Succeeded, 1),
		same("the devices that failed", j.Statistics.Failed, 1),
		same("the call", <-locks, lock),
	); err != nil {
		return err
	}
	var failed []string
	for d, err := range s.service.JobDevices(ctx, first, "") {
		switch {
		case err != nil:
			return err
		case d.Status.Is(service.JobFailed):
			failed = append(failed, d.DeviceID)
		case d.Outcome == nil || d.Outcome.Method == nil || d.Outcome.Method.Status != 200:
			return fmt.Errorf("what became of %s is %s", d.DeviceID, brief(d))
		}
	}
	if err := same("the devices that failed", failed, ids[1:]); err != nil {
		return err
	}
	if locks, err = s.lockable(ctx, ids[1]); err != nil {
		return err
	}
	if _, err := s.service.ScheduleMethod(ctx, second, service.DeviceIn(failed...), lock, nil); err != nil {
		return err
	}
	if err := s.awaitJob(ctx, second, service.JobCompleted, 1, 0); err != nil {
		return err
	}
	return same("the second call", <-locks, lock)
}

// lockable connects a device that has a door.
func (s *stage) lockable(ctx context.Context, deviceID string) (<-chan hubwire.MethodRequest, error) {
	id := hubwire.Identity{DeviceID: deviceID}
	cs, err := registered(ctx, s.service, id)
	if err != nil {
		return nil, err
	}
	c, err := s.connect(ctx, &actor{id, cs})
	if err != nil {
		return nil, err
	}
	calls := make(chan hubwire.MethodRequest, 10)
	return calls, c.HandleMethod(ctx, "lockDoor", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		calls <- r
		return hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(`{"Response":"lockDoor called successfully"}`)}, nil
	})
}

// jobCancelled has a job that does not begin before it is cancelled, which may take a machine that is busy a while.
func jobCancelled(ctx context.Context, s *stage) error {
	for in := 4 * time.Second; ; in *= 2 {
		if err := s.cancelsJob(ctx, in); !errors.Is(err, errBegun) {
			return err
		}
	}
}

// errBegun is why a job was not cancelled before it began.
var errBegun = errors.New("the job has begun")

// cancelsJob is jobCancelled with a job that begins so much later.
func (s *stage) cancelsJob(ctx context.Context, in time.Duration) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	id := s.jobID("cancelled-" + in.String())
	update := &service.TwinUpdate{Desired: json.RawMessage(`{"never":true}`)}
	start := time.Now().Add(in)
	if _, err := s.service.ScheduleTwinUpdate(ctx, id, service.DeviceIn(a.id.DeviceID), update, &service.JobOptions{Start: start}); err != nil {
		return err
	}
	listed := false
	for j, err := range s.service.Jobs(ctx, service.JobUpdateTwin, "") {
		if err != nil {
			return err
		}
		listed = listed || j.ID == id
	}
	if err := same("the job is listed", listed, true); err != nil {
		return err
	}
	_, err = s.service.CancelJob(ctx, id)
	if !time.Now().Before(start) {
		return errBegun
	}
	if err != nil {
		return err
	}
	j, err := s.service.WaitJob(ctx, id, everySoOften)
	if err != nil {
		return err
	}
	if err := errors.Join(same("the status", j.Status, service.JobCancelled), pause(ctx, time.Until(start)+200*time.Millisecond)); err != nil {
		return err
	}
	tw, err := s.service.Twin(ctx, a.id)
	if err != nil {
		return err
	}
	return sameJSON("desired, after the start of what was cancelled", tw.Desired.JSON, `{}`)
}

func configurationApplied(ctx context.Context, s *stage) error {
	ids, err := s.fleet(ctx, 4)
	if err != nil {
		return err
	}
	target := s.inFleet() + " AND tags.even = true"
	metric := "SELECT deviceId FROM devices WHERE " + s.inFleet() + " AND properties.desired.led = 'green'"
	wrong, err := s.service.TestConfigurationQueries(ctx, &service.ConfigurationQueries{
		TargetCondition: target, MetricQueries: map[string]string{"green": metric, "bad": "SELECT"},
	})
	if err != nil {
		return err
	}
	if err := errors.Join(
		same("what is wrong with the condition", wrong.TargetCondition, ""),
		same("that something is wrong with half a query", wrong.MetricQueries["bad"] != "", true),
		same("what is wrong with the metric", wrong.MetricQueries["green"], ""),
	); err != nil {
		return err
	}
	content := service.ConfigurationContent{Device: map[string]json.RawMessage{"properties.desired.led": json.RawMessage(`"green"`)}}
	cfg, err := s.service.CreateConfiguration(ctx, &service.Configuration{
		ID: s.jobID("green"), TargetCondition: target, Priority: 10, Content: content,
		Labels: map[string]string{"made-by": "hubwire-demo"}, Metrics: service.ConfigurationMetrics{Queries: map[string]string{"green": metric}},
	})
	if err != nil {
		return err
	}
	s.later(func(ctx context.Context) error { return s.service.DeleteConfiguration(ctx, cfg.ID, service.Any) })
	if s.embedded != nil {
		if err := s.awaitMetric(ctx, cfg.ID, 2); err != nil {
			return err
		}
	}
	if err := s.service.ApplyConfiguration(ctx, ids[1], &content); err != nil {
		return err
	}
	tw, err := s.service.Twin(ctx, hubwire.Identity{DeviceID: ids[1]})
	if err != nil {
		return err
	}
	if err := sameJSON("desired of whom it was applied to by hand", tw.Desired.JSON, `{"led":"green"}`); err != nil || s.embedded == nil {
		return err
	}
	return s.awaitMetric(ctx, cfg.ID, 3)
}

// awaitMetric waits until a configuration has two targets, and its metric counts so many devices.
func (s *stage) awaitMetric(ctx context.Context, id string, want int64) error {
	for {
		cfg, err := s.service.Configuration(ctx, id)
		if err != nil {
			return err
		}
		targeted, applied, green := cfg.SystemMetrics.Results["targetedCount"], cfg.SystemMetrics.Results["appliedCount"], cfg.Metrics.Results["green"]
		if targeted == 2 && applied == 2 && green == want {
			return nil
		}
		if err := pause(ctx, everySoOften); err != nil {
			return fmt.Errorf("the configuration has %d targets, %d applied, and %d devices in its metric of %d: %w", targeted, applied, green, want, err)
		}
	}
}

// exportImport exports the registry, and imports what has become of the cell's part of it.
func exportImport(ctx context.Context, s *stage) error {
	ids, err := s.fleet(ctx, 3)
	if err != nil {
		return err
	}
	container, err := s.embedded.ContainerURL("demo-"+s.run, time.Hour)
	if err != nil {
		return err
	}
	if err := s.transfer(ctx, &service.ImportExportJob{Type: service.JobExport, OutputContainer: container, OutputBlob: "export.txt"}); err != nil {
		return err
	}
	exported, err := s.readDevices(ctx, container, "export.txt")
	if err != nil {
		return err
	}
	var mine []service.ImportDevice
	for _, d := range exported {
		if slices.Contains(ids, d.ID) {
			d.ImportMode, d.Status = service.ImportUpdate, service.Disabled
			mine = append(mine, d)
		}
	}
	if err := same("the number of exported devices of this cell", len(mine), len(ids)); err != nil {
		return err
	}
	mine = append(mine, service.ImportDevice{ID: s.newID(), ImportMode: service.ImportUpdate}) // which is not there
	if err := s.writeDevices(ctx, container, "import.txt", mine); err != nil {
		return err
	}
	job := &service.ImportExportJob{Type: service.JobImport, InputContainer: container, InputBlob: "import.txt", OutputContainer: container}
	if err := s.transfer(ctx, job); err != nil {
		return err
	}
	for _, id := range ids {
		d, err := s.service.Device(ctx, id)
		if err != nil {
			return err
		}
		if err := same("the status of what was imported", d.Status, service.Disabled); err != nil {
			return err
		}
	}
	log, err := s.readBlob(ctx, container, "importErrors.log")
	if err != nil {
		return err
	}
	var failure service.BulkError
	if err := json.Unmarshal(log, &failure); err != nil {
		return fmt.Errorf("the log of the import is %s: %w", brief(log), err)
	}
	return same("who failed to be imported", failure.DeviceID, mine[len(ids)].ID)
}

// transfer runs an import or export to its end.
func (s *stage) transfer(ctx context.Context, job *service.ImportExportJob) error {
	j, err := s.service.CreateImportExport(ctx, job)
	if err != nil {
		return err
	}
	if j, err = s.service.WaitImportExport(ctx, j.ID, everySoOften); err != nil {
		return err
	}
	return errors.Join(same("the status of the "+string(job.Type), j.Status, service.JobCompleted), same("its progress", j.Progress, 100), same("why it failed", j.FailureReason, ""))
}
