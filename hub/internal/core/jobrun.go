package core

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
)

// How many devices of one job are tried at a time.
const (
	twinWorkers   = 8
	methodWorkers = 256
)

// schedule lets a job start in its time. The caller holds the lock of c.jobs.
func (c *Core) schedule(j *job) {
	j.ctx, j.stop = context.WithCancelCause(c.life)
	if j.info.Status == JobEnqueued || j.info.Status == JobRunning {
		c.jobDue(j)
		return
	}
	j.due = c.timers.after(time.Until(j.info.Start), func() {
		c.jobs.mu.Lock()
		defer c.jobs.mu.Unlock()
		c.jobDue(j)
	})
}

func (c *Core) jobLimit() int {
	if n := c.cfg.Throttle.ActiveJobs; n > 0 {
		return n
	}
	return maxRunningJobs
}

// jobDue runs a job, or has it wait for its turn. The caller holds the lock of c.jobs.
func (c *Core) jobDue(j *job) {
	if j.over() {
		return
	}
	if c.jobs.running >= c.jobLimit() {
		j.become(JobQueued)
		c.jobs.queue = append(c.jobs.queue, j)
		return
	}
	if c.timers.run(func() { c.runJob(j) }) {
		c.jobs.running++
	}
}

// runJob runs a job to its end, and then has the next one start.
func (c *Core) runJob(j *job) {
	j.run()
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	c.jobs.running--
	for len(c.jobs.queue) > 0 && c.jobs.running < c.jobLimit() {
		next := c.jobs.queue[0]
		c.jobs.queue = c.jobs.queue[1:]
		c.jobDue(next)
	}
}

// run finds the targets and tries them all. When the hub ends meanwhile it leaves the job
// as it is, for the next hub.
func (j *job) run() {
	if !j.begin() {
		return
	}
	ctx, done := context.WithDeadlineCause(j.ctx, j.began.Add(j.info.MaxExecution), errJobTime)
	defer done()
	ids, all := j.core.matching(ctx, j.target)
	j.try(ctx, j.addRows(ids))
	switch {
	case j.core.life.Err() != nil:
	case all && j.left() == 0:
		j.finish(nil)
	default:
		j.finish(context.Cause(ctx))
	}
}

// left is how many devices the job is not done with.
func (j *job) left() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count.Pending + j.count.Running
}

// begin marks the job as running, unless it was cancelled before.
func (j *job) begin() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.info.Status.Over() {
		return false
	}
	j.info.Status = JobRunning
	if j.began.IsZero() {
		j.began = time.Now().UTC()
	}
	j.save()
	return true
}

func (j *job) become(s JobStatus) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.info.Status.Over() {
		j.info.Status = s
		j.save()
	}
}

// finish ends the job, unless it is over, because of why; nil means that all was tried.
// Workers that are on their way change nothing any more.
func (j *job) finish(why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.info.Status.Over() {
		return
	}
	switch {
	case errors.Is(why, errJobCancelled):
		j.info.Status = JobCancelled
	case why != nil:
		j.info.Status, j.info.FailureReason = JobFailed, why.Error()
	default:
		j.info.Status = JobCompleted
	}
	j.info.End = time.Now().UTC()
	for _, r := range j.rows {
		if !r.over() {
			j.end(r, nil, unfinished(why), j.info.End)
			j.saveRow(r)
		}
	}
	j.save()
	j.stop(why)
}

// unfinished is the error of a device that the job has not come to the end of.
func unfinished(why error) error {
	if errors.Is(why, errJobCancelled) {
		return refuse("job", hubwire.JobCancelled, "%v", why)
	}
	return refuse("job", hubwire.RequestTimedOut, "%v", why)
}

// matching returns the registered identities that a condition picks, in their order, and
// whether all were looked at before the context ended.
func (c *Core) matching(ctx context.Context, cond *query.Condition) (ids []hubwire.Identity, all bool) {
	var row twinRow
	for e := range c.candidates(cond, hubwire.Identity{}) {
		if ctx.Err() != nil {
			return ids, false
		}
		e.mu.Lock()
		if row.point(e); !e.deleted && cond.Match(&row) {
			ids = append(ids, e.id)
		}
		e.unlock()
	}
	return ids, true
}

// addRows makes the rows of the job, besides those that there are already because it
// was begun by a hub before this one, and returns them all.
func (j *job) addRows(ids []hubwire.Identity) []*deviceJob {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.info.Status.Over() { // cancelled meanwhile
		return nil
	}
	now := time.Now().UTC()
	had := j.rows
	for _, id := range ids {
		if _, found := slices.BinarySearchFunc(had, id, compareRow); !found {
			j.rows = append(j.rows, &deviceJob{DeviceJob: DeviceJob{
				ID: id, JobID: j.info.ID, Type: string(j.info.Type), Status: deviceJobPending, Created: now, Updated: now,
			}})
			j.count.Pending++
		}
	}
	slices.SortFunc(j.rows, func(a, b *deviceJob) int { return compareIdentities(a.ID, b.ID) })
	j.count.Devices = len(j.rows)
	return j.rows
}

// try carries the job out for all devices, a bounded number at a time. Those that are
// not connected come again at the end, when the method has a connect timeout: then
// the others do not wait for them.
func (j *job) try(ctx context.Context, rows []*deviceJob) {
	work, workers := j.updateTwin, twinWorkers
	if j.info.Type == JobDeviceMethod {
		work, workers = j.invoke(0), methodWorkers
	}
	away := j.each(ctx, rows, workers, work)
	if len(away) > 0 {
		j.each(ctx, away, workers, j.invoke(j.info.Method.ConnectTimeout))
	}
}

// each calls work for each row, and returns those for which it is to come again.
func (j *job) each(ctx context.Context, rows []*deviceJob, workers int, work func(context.Context, *deviceJob) (again bool)) (later []*deviceJob) {
	var wg sync.WaitGroup
	var next atomic.Int64
	var mu sync.Mutex
	for range min(workers, len(rows)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(rows) {
					return
				}
				if r := rows[i]; work(ctx, r) {
					mu.Lock()
					later = append(later, r)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return later
}

// updateTwin writes the twin of one device, at the pace of the throttle.
func (j *job) updateTwin(ctx context.Context, r *deviceJob) bool {
	if !j.start(r) {
		return false
	}
	c := j.core
	for {
		err := c.writeTwin(ctx, "job", r.ID, j.write, "", nil)
		var e *hubwire.Error
		if errors.As(err, &e) && e.Code == hubwire.Throttled && c.Wait(ctx, e.RetryAfter) == nil {
			continue
		}
		j.note(ctx, r, nil, err)
		return false
	}
}

// invoke returns what calls the method of one device. Unless there is patience, one that
// is not connected is to come again, if the method says to wait for it.
func (j *job) invoke(patience time.Duration) func(context.Context, *deviceJob) bool {
	return func(ctx context.Context, r *deviceJob) bool {
		v := *j.info.Method
		v.ConnectTimeout = patience
		if !j.start(r) {
			return false
		}
		res, err := j.core.Invoke(ctx, r.ID, &v)
		var e *hubwire.Error
		for errors.As(err, &e) && e.Code == hubwire.Throttled && j.core.Wait(ctx, e.RetryAfter) == nil {
			res, err = j.core.Invoke(ctx, r.ID, &v)
		}
		if patience == 0 && j.info.Method.ConnectTimeout > 0 && errors.Is(err, hubwire.DeviceNotOnline) {
			j.pause(r)
			return true
		}
		j.note(ctx, r, res, err)
		return false
	}
}

// start marks a device as running, unless the job is over for it. The store hears of it
// too: its method must not be called a second time.
func (j *job) start(r *deviceJob) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.over() {
		return false
	}
	r.Status, r.Updated = deviceJobRunning, time.Now().UTC()
	if r.Started.IsZero() {
		r.Started = r.Updated
	}
	j.count.Pending--
	j.count.Running++
	if j.info.Type == JobDeviceMethod {
		j.saveRow(r)
	}
	return true
}

// pause takes start back.
func (j *job) pause(r *deviceJob) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.over() {
		return
	}
	r.Status, r.Updated = deviceJobPending, time.Now().UTC()
	j.count.Running--
	j.count.Pending++
	j.saveRow(r)
}

// note ends a row with what became of it. What was cut off by the end of the job or of
// the hub is left to finish, or to the next hub.
func (j *job) note(ctx context.Context, r *deviceJob, res *hubwire.MethodResponse, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.over() || err != nil && ctx.Err() != nil {
		return
	}
	j.end(r, res, err, time.Now().UTC())
	j.saveRow(r)
}

// end ends a row. The caller holds the lock.
func (j *job) end(r *deviceJob, res *hubwire.MethodResponse, err error, now time.Time) {
	if r.Status == deviceJobRunning {
		j.count.Running--
	} else {
		j.count.Pending--
	}
	r.Ended, r.Updated = now, now
	if err == nil {
		r.Status = deviceJobCompleted
		j.count.Succeeded++
		r.Response = j.keep(res)
		return
	}
	e := asError("job", err)
	r.Error = &DeviceJobError{Code: e.Code.Name(), Description: e.Message}
	r.Status = deviceJobFailed
	if e.Code == hubwire.JobCancelled {
		r.Status = deviceJobCanceled
	}
	j.count.Failed++
}

// keep returns an answer, without its payload when the job has kept enough of those.
func (j *job) keep(res *hubwire.MethodResponse) *hubwire.MethodResponse {
	if res == nil {
		return nil
	}
	if j.payloads+len(res.Payload) > maxJobPayloads {
		return &hubwire.MethodResponse{Status: res.Status}
	}
	j.payloads += len(res.Payload)
	return res
}
