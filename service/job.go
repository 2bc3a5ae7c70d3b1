package service

import (
	"cmp"
	"context"
	"iter"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// JobOptions adjust a job. The zero value, and nil, mean the defaults.
type JobOptions struct {
	Start            time.Time     // zero or past: now
	MaxExecutionTime time.Duration // in whole seconds; 0 means an hour

	InvokeOptions // of the method, for each device
}

// ScheduleTwinUpdate starts a job, now or later, that patches the twins of all devices that
// condition holds for: what follows WHERE in a query, or "*". [Client.Query] with the same
// condition shows them beforehand. The ID is the caller's choice, of letters, digits and dashes.
// Codes: JobAlreadyExists, ArgumentInvalid, TooManyActiveJobs, JobQuotaExceeded.
func (c *Client) ScheduleTwinUpdate(ctx context.Context, jobID, condition string, u *TwinUpdate, o *JobOptions) (*Job, error) {
	if u == nil {
		return nil, invalid(httpsx.PutJob.String(), "there is no update")
	}
	own := *u
	own.ETag = Any
	return c.schedule(ctx, &Job{ID: jobID, Type: JobUpdateTwin, Condition: condition, UpdateTwin: &own}, o)
}

// ScheduleMethod starts a job that invokes a direct method. Otherwise it is
// [Client.ScheduleTwinUpdate].
func (c *Client) ScheduleMethod(ctx context.Context, jobID, condition string, m hubwire.MethodRequest, o *JobOptions) (*Job, error) {
	var timeouts *InvokeOptions
	if o != nil {
		timeouts = &o.InvokeOptions
	}
	return c.schedule(ctx, &Job{ID: jobID, Type: JobMethod, Condition: condition, Method: methodCall(m, timeouts)}, o)
}

func (c *Client) schedule(ctx context.Context, j *Job, o *JobOptions) (*Job, error) {
	if o != nil {
		j.Start, j.MaxExecutionTime = httpsx.NewTime(o.Start), o.MaxExecutionTime
	}
	j.MaxExecutionTime = cmp.Or(j.MaxExecutionTime, time.Hour)
	if err := j.Check(j.ID); err != nil {
		return nil, unsent(err)
	}
	return ask[Job](ctx, c, named(httpsx.PutJob, j.ID).with(j))
}

// Job returns a job, with how many of its devices are how far. Code: JobNotFound.
func (c *Client) Job(ctx context.Context, jobID string) (*Job, error) {
	return ask[Job](ctx, c, named(httpsx.GetJob, jobID))
}

// Jobs gives the jobs of this type and status, each empty for all, and gets them page by page. It
// ends after an error.
func (c *Client) Jobs(ctx context.Context, t JobType, s JobStatus) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		r := named(httpsx.ListJobs, "")
		r.JobType, r.JobStatus = t, s
		rowsOf(ctx, c, r, yield)
	}
}

// CancelJob ends a job; what it has begun with a device goes on. Code: JobNotFound.
func (c *Client) CancelJob(ctx context.Context, jobID string) (*Job, error) {
	return ask[Job](ctx, c, named(httpsx.CancelJob, jobID))
}

// JobDevices gives what became of each device of a job, or only those with this
// status when it is not empty. It ends after an error. The failed ones can have another
// job, on the condition of [DeviceIn].
func (c *Client) JobDevices(ctx context.Context, jobID string, s JobStatus) iter.Seq2[*DeviceJob, error] {
	query := "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = " + Quote(jobID)
	if s != "" {
		query += " AND devices.jobs.status = " + Quote(string(s))
	}
	return QueryAs[*DeviceJob](ctx, c, query, nil)
}

// WaitJob returns a job once it is done, whether it completed, failed or was cancelled. It
// asks for it every so often, 0 meaning 5 s, until ctx ends or asking fails.
func (c *Client) WaitJob(ctx context.Context, jobID string, every time.Duration) (*Job, error) {
	return wait(ctx, c, named(httpsx.GetJob, jobID), every, func(j *Job) bool { return j.Status.Done() })
}

// defaultPoll is how often wait asks.
const defaultPoll = 5 * time.Second

// wait asks again and again until the answer is done.
func wait[T any](ctx context.Context, c *Client, r *request, every time.Duration, done func(*T) bool) (*T, error) {
	if every <= 0 {
		every = defaultPoll
	}
	for {
		doc, err := ask[T](ctx, c, r)
		if err != nil || done(doc) {
			return doc, err
		}
		if !c.pause(ctx, every) {
			why := c.ended(ctx)
			return nil, &hubwire.Error{
				Op: r.Op.String(), Outcome: hubwire.NotSent, Retryable: why != errClosed,
				Message: "the job is not done", Err: why,
			}
		}
	}
}
