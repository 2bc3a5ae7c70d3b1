package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

func newServiceJob(f *serviceFlags) *cobra.Command {
	return group(&cobra.Command{
		Use:   "job",
		Short: "Jobs on many devices: twin, method, get, list, wait, devices, cancel; export and import",
	}, newJobTwin(f), newJobMethod(f), newJobGet(f), newJobList(f), newJobWait(f), newJobDevices(f), newJobCancel(f), newJobExport(f), newJobImport(f))
}

// jobFlags are the flags of what schedules a job.
type jobFlags struct {
	condition string
	start     string
	maxTime   time.Duration
	wait      bool
	dryRun    bool
	o         service.JobOptions
}

func (j *jobFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&j.condition, "condition", "", `which devices: what follows WHERE in a query, or "*" for all`)
	fs.StringVar(&j.start, "start", "", "when: a time such as 2026-01-31T08:00:00Z, or in how long, such as 10m; now when empty")
	fs.DurationVar(&j.maxTime, "max-time", time.Hour, "when the job is to give up, in whole seconds from its start")
	fs.BoolVar(&j.wait, "wait", false, "wait until it is done, and print what became of each device")
	fs.BoolVar(&j.dryRun, "dry-run", false, "only print the devices that the condition holds for now")
	_ = c.MarkFlagRequired("condition") // fails for a flag that is not there
}

// options reads the flags.
func (j *jobFlags) options() (*service.JobOptions, error) {
	j.o.MaxExecutionTime = j.maxTime
	if j.maxTime < time.Second {
		return nil, fmt.Errorf("--max-time is %v, the least is 1s", j.maxTime)
	}
	if j.start == "" {
		return &j.o, nil
	}
	start, err := momentOf("start", j.start)
	j.o.Start = start
	return &j.o, err
}

// momentOf is the time that a flag says, or the one in so long from now.
func momentOf(flag, text string) (time.Time, error) {
	return moment(flag, text, 1)
}

// momentBefore is the time that a flag says, or the one so long ago.
func momentBefore(flag, text string) (time.Time, error) {
	return moment(flag, text, -1)
}

func moment(flag, text string, sign time.Duration) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(sign * d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("--%s %q is neither a time, such as 2026-01-31T08:00:00Z, nor a duration, such as 10m", flag, text)
	}
	return t, nil
}

// run schedules a job, or looks whom it would be for.
func (j *jobFlags) run(ctx context.Context, s *session, id string, schedule func(*service.JobOptions) (*service.Job, error)) error {
	o, err := j.options()
	if err != nil {
		return err
	}
	if j.dryRun {
		query := "SELECT deviceId FROM devices"
		if j.condition != "*" {
			query += " WHERE " + j.condition
		}
		return s.printRows(s.Query(ctx, query, nil), 0)
	}
	job, err := schedule(o)
	if err != nil {
		return err
	}
	if j.wait {
		return s.waitJob(ctx, id, time.Second)
	}
	return s.printJob(job)
}

func newJobTwin(f *serviceFlags) *cobra.Command {
	var j jobFlags
	var t twinFlags
	c := f.does(&cobra.Command{
		Use:     "twin JOB",
		Short:   "Schedule a job that patches twins",
		Example: `  hubwire service job twin move-in --condition "tags.room = 'cellar'" --desired '{"building":43}' --start 10m`,
		Args:    arguments("JOB"),
	}, func(ctx context.Context, s *session, args []string) error {
		u, err := t.update(s)
		if err != nil {
			return err
		}
		return j.run(ctx, s, args[0], func(o *service.JobOptions) (*service.Job, error) {
			return s.ScheduleTwinUpdate(ctx, args[0], j.condition, u, o)
		})
	})
	t.add(c)
	j.add(c)
	return c
}

func newJobMethod(f *serviceFlags) *cobra.Command {
	var j jobFlags
	c := f.does(&cobra.Command{
		Use:     "method JOB METHOD [PAYLOAD]",
		Short:   "Schedule a job that calls a direct method",
		Example: `  hubwire service job method lock-all lockDoor '{"lockTime":"10m"}' --condition "tags.room = 'cellar'" --wait`,
		Args:    arguments("JOB", "METHOD", "[PAYLOAD]"),
	}, func(ctx context.Context, s *session, args []string) error {
		call, err := methodCall(args[1:])
		if err != nil {
			return err
		}
		return j.run(ctx, s, args[0], func(o *service.JobOptions) (*service.Job, error) {
			return s.ScheduleMethod(ctx, args[0], j.condition, call, o)
		})
	})
	j.add(c)
	invokeFlags(c, &j.o.InvokeOptions)
	return c
}

func newJobGet(f *serviceFlags) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "get JOB",
		Short: "Print a job, and how many of its devices are how far",
		Args:  arguments("JOB"),
	}, func(ctx context.Context, s *session, args []string) error {
		j, err := s.Job(ctx, args[0])
		if err != nil {
			return err
		}
		return s.printJob(j)
	})
}

// jobTypes are the values of --type.
var jobTypes = map[string]service.JobType{"": "", "twin": service.JobUpdateTwin, "method": service.JobMethod}

func newJobList(f *serviceFlags) *cobra.Command {
	var kind, status string
	c := f.does(&cobra.Command{
		Use:   "list",
		Short: "Print jobs, a line each",
		Args:  noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		t, ok := jobTypes[kind]
		if !ok {
			return fmt.Errorf("--type %q is neither twin nor method", kind)
		}
		all, err := collect(s.Jobs(ctx, t, service.JobStatus(status)))
		if err != nil {
			return err
		}
		return s.print(all, false, func(w io.Writer) {
			var rows [][]string
			for _, j := range all {
				rows = append(rows, []string{j.ID, string(j.Type), string(j.Status), timeText(j.Start.Time), j.Condition})
			}
			columns(w, []string{"job", "type", "status", "start", "condition"}, rows)
		})
	})
	c.Flags().StringVar(&kind, "type", "", "only these: twin or method")
	c.Flags().StringVar(&status, "status", "", "only these: enqueued, scheduled, running, completed, failed, cancelled")
	return c
}

func newJobWait(f *serviceFlags) *cobra.Command {
	var every time.Duration
	c := f.does(&cobra.Command{
		Use:   "wait JOB",
		Short: "Wait until a job is done, and print what became of each device",
		Args:  arguments("JOB"),
	}, func(ctx context.Context, s *session, args []string) error {
		if every <= 0 {
			return fmt.Errorf("--every is %v, it has to be more than 0", every)
		}
		return s.waitJob(ctx, args[0], every)
	})
	c.Flags().DurationVar(&every, "every", 5*time.Second, "how often to ask")
	return c
}

// waitJob waits for the end of a job, which is an error where not all went well.
func (s *session) waitJob(ctx context.Context, id string, every time.Duration) error {
	j, err := s.WaitJob(ctx, id, every)
	if err != nil {
		return err
	}
	err = s.printJob(j)
	if !s.f.json {
		err = errors.Join(err, s.printDevices(ctx, id, ""))
	}
	switch n := j.Statistics.Failed; {
	case n > 0:
		err = errors.Join(err, fmt.Errorf("the job is %s, and %s failed", j.Status, plural(n, "device")))
	case !j.Status.Is(service.JobCompleted):
		err = errors.Join(err, fmt.Errorf("the job is %s %s", j.Status, printable(j.FailureReason)))
	}
	return err
}

func newJobDevices(f *serviceFlags) *cobra.Command {
	var status string
	c := f.does(&cobra.Command{
		Use:   "devices JOB",
		Short: "Print what became of each device of a job",
		Args:  arguments("JOB"),
	}, func(ctx context.Context, s *session, args []string) error {
		return s.printDevices(ctx, args[0], service.JobStatus(status))
	})
	c.Flags().StringVar(&status, "status", "", "only these: pending, scheduled, running, completed, failed, canceled")
	return c
}

func (s *session) printDevices(ctx context.Context, id string, status service.JobStatus) error {
	all, err := collect(s.JobDevices(ctx, id, status))
	if err != nil {
		return err
	}
	return s.print(all, false, func(w io.Writer) {
		var rows [][]string
		for _, d := range all {
			what := ""
			switch {
			case d.Error != nil:
				what = d.Error.Code + " " + d.Error.Description
			case d.Outcome != nil && d.Outcome.Method != nil:
				what = fmt.Sprintf("%d %s", d.Outcome.Method.Status, d.Outcome.Method.Payload)
			}
			rows = append(rows, []string{hubwire.Identity{DeviceID: d.DeviceID, ModuleID: d.ModuleID}.String(), string(d.Status), what})
		}
		columns(w, []string{"device", "status", "outcome"}, rows)
	})
}

func newJobCancel(f *serviceFlags) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "cancel JOB",
		Short: "Cancel a job; what it has begun with a device goes on",
		Args:  arguments("JOB"),
	}, func(ctx context.Context, s *session, args []string) error {
		j, err := s.CancelJob(ctx, args[0])
		if err != nil {
			return err
		}
		return s.printJob(j)
	})
}

func (s *session) printJob(j *service.Job) error {
	return s.print(j, false, func(w io.Writer) {
		n := j.Statistics
		sheet(w, "job", j.ID, "type", string(j.Type), "status", string(j.Status), "condition", j.Condition,
			"start", timeText(j.Start.Time), "end", timeText(j.End.Time), "why", j.FailureReason,
			"devices", fmt.Sprintf("%d: %d succeeded, %d failed, %d running, %d pending", n.Devices, n.Succeeded, n.Failed, n.Running, n.Pending))
	})
}
