package core

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Jobs imitate the guide's "Schedule jobs on multiple devices". Whom a job is for
// is found out when it starts. Where the guide is silent:
//
//   - The timeouts of a job's direct method are those of a single call, so a device that is
//     not there within the connect timeout, which is none by default, has failed with
//     DeviceNotOnline. Devices that are there do not wait for those that are not.
//   - A job is completed when all devices were tried, however many failed, and failed
//     when its maximum execution time ended before; what was not done then has
//     failed with RequestTimedOut.
//   - A job that is due while as many run as may waits as queued. Only with
//     Throttle.ActiveJobs one that would start now is refused instead.
//   - A job that ran when the hub ended goes on with the next one that has the store. A method
//     that was under way then has failed, for it may have been carried out.
//
// Left out: lifecycle events of jobs, and that jobs of devices use up quota.

// Bounds of jobs. Those that are this hub's own are marked.
const (
	MaxJobID       = 64                  // letters, digits and dashes
	JobHistory     = 30 * 24 * time.Hour // how long a job that is over is kept
	MaxJobTime     = JobHistory          // own
	defaultJobTime = time.Hour           // own
	maxRunningJobs = 10                  // as tier S3
	maxJobs        = 1000                // own: the oldest that is over makes room
	maxDeviceJobs  = 250_000             // own: rows of jobs that are over; the oldest job's go first
	maxJobPayloads = 32 << 20            // own: bytes of answers that a job keeps
	maxPayloads    = 256 << 20           // own: bytes of answers of jobs that are over; the oldest job's go first, with its rows
)

// JobType is a kind of job, as the service spells it.
type JobType string

// The types of jobs.
const (
	JobDeviceMethod JobType = "scheduleDeviceMethod"
	JobUpdateTwin   JobType = "scheduleUpdateTwin"
)

// JobStatus is the state of a job, as the service spells it.
type JobStatus string

// The states of a job. Import and export jobs have the first five.
const (
	JobEnqueued  JobStatus = "enqueued" // about to start
	JobRunning   JobStatus = "running"
	JobCompleted JobStatus = "completed"
	JobFailed    JobStatus = "failed"
	JobCancelled JobStatus = "cancelled"
	JobScheduled JobStatus = "scheduled" // for a time to come
	JobQueued    JobStatus = "queued"    // due, and waiting for its turn
)

// Over reports whether nothing more will happen.
func (s JobStatus) Over() bool {
	return s == JobCompleted || s == JobFailed || s == JobCancelled
}

// Job is a job as a service schedules and sees it.
type Job struct {
	ID           string
	Type         JobType
	Condition    string        // as [query.ParseCondition] takes it
	Start        time.Time     // what is past, and the zero time, is now
	MaxExecution time.Duration // from the start; 0 means one hour
	Method       *Invocation   // of JobDeviceMethod
	Twin         *TwinUpdate   // of JobUpdateTwin: a merge patch
	TwinETag     string        // only "*" or ""

	// Set by the hub.
	Created, End  time.Time // zero while it is not over
	Status        JobStatus
	FailureReason string
	Statistics    JobStatistics
}

// JobStatistics counts devices by what became of them.
type JobStatistics struct {
	Devices   int `json:"devices"`
	Failed    int `json:"failed"` // those that were canceled included
	Succeeded int `json:"succeeded"`
	Running   int `json:"running"`
	Pending   int `json:"pending"`
}

// JobFilter picks jobs; what is empty picks all.
type JobFilter struct {
	Type   JobType
	Status JobStatus
}

// jobs are all that the Core knows, in the order of their creation.
type jobs struct {
	mu      sync.Mutex // a leaf but for a job's
	list    []*job
	byID    map[string]*job
	seq     uint64
	running int
	queue   []*job // waiting for their turn
}

// CreateJob schedules a job and keeps nothing of want. Codes: JobAlreadyExists,
// ArgumentInvalid, also for a condition that does not parse, FormatError,
// MessageTooLarge, TooManyActiveJobs with Throttle.ActiveJobs, and JobQuotaExceeded
// when there are too many that are not over.
func (c *Core) CreateJob(ctx context.Context, want *Job) (*Job, error) {
	const op = "create job"
	j, err := c.newJob(op, want)
	if err != nil {
		return nil, err
	}
	if err := c.Open(op); err != nil {
		return nil, err
	}
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	if err := c.admitJob(op, j); err != nil {
		return nil, err
	}
	j.seq = c.jobs.seq + 1
	if j.version, err = c.store.Put(ctx, j.key(), j.encode(), 0); err != nil {
		return nil, broken(op, err)
	}
	c.jobs.seq = j.seq
	c.jobs.list = append(c.jobs.list, j)
	c.jobs.byID[j.info.ID] = j
	c.schedule(j)
	return j.snapshot(), nil
}

// admitJob makes room for one more. The caller holds the lock.
func (c *Core) admitJob(op string, j *job) error {
	c.sweepJobs(time.Now())
	id := j.info.ID
	if c.jobs.byID[id] != nil {
		return refuse(op, hubwire.JobAlreadyExists, "job %q exists", id)
	}
	now := j.info.Status == JobEnqueued
	if limit := c.cfg.Throttle.ActiveJobs; limit > 0 && now && c.jobs.active() >= limit {
		return refuse(op, hubwire.TooManyActiveJobs, "%d jobs are active, which is the limit", limit)
	}
	if len(c.jobs.list) < maxJobs {
		return nil
	}
	oldest := slices.IndexFunc(c.jobs.list, (*job).over)
	if oldest < 0 {
		return refuse(op, hubwire.JobQuotaExceeded, "%d jobs are not over, which is the limit", maxJobs)
	}
	c.forgetJob(oldest)
	return nil
}

// Job returns a job as it is now. The code is JobNotFound when there is none.
func (c *Core) Job(id string) (*Job, error) {
	j, err := c.job("get job", id)
	if err != nil {
		return nil, err
	}
	return j.snapshot(), nil
}

func (c *Core) job(op, id string) (*job, error) {
	if err := c.Open(op); err != nil {
		return nil, err
	}
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	c.sweepJobs(time.Now())
	if j := c.jobs.byID[id]; j != nil {
		return j, nil
	}
	return nil, refuse(op, hubwire.JobNotFound, "there is no job %q", id)
}

// Jobs returns up to limit jobs that f picks, in the order of their creation, and
// the token with which to go on, which is empty at the end. The code of a token that is
// none is ArgumentInvalid.
func (c *Core) Jobs(f JobFilter, limit int, token string) ([]*Job, string, error) {
	const op = "list jobs"
	var after uint64
	if token != "" {
		var err error
		if after, err = strconv.ParseUint(token, 10, 64); err != nil {
			return nil, "", refuse(op, hubwire.ArgumentInvalid, "the continuation token is not one of this query")
		}
	}
	if err := c.Open(op); err != nil {
		return nil, "", err
	}
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	c.sweepJobs(time.Now())
	var page []*Job
	for _, j := range c.jobs.list[c.jobs.from(after+1):] {
		s := j.snapshot()
		if f.Type != "" && f.Type != s.Type || f.Status != "" && f.Status != s.Status {
			continue
		}
		if len(page) == max(1, limit) {
			return page, strconv.FormatUint(after, 10), nil
		}
		page, after = append(page, s), j.seq
	}
	return page, "", nil
}

// CancelJob ends a job: what was not tried is canceled, and so is a method that is under way,
// though the device may carry it out. A job that is over stays as it is. The code is
// JobNotFound when there is none.
func (c *Core) CancelJob(id string) (*Job, error) {
	j, err := c.job("cancel job", id)
	if err != nil {
		return nil, err
	}
	if !j.over() {
		j.due.stop()
		j.finish(errJobCancelled)
		c.jobs.mu.Lock()
		c.jobs.queue = slices.DeleteFunc(c.jobs.queue, func(queued *job) bool { return queued == j })
		c.jobs.mu.Unlock()
	}
	return j.snapshot(), nil
}

// active counts the jobs that run or wait for their turn, by what they say of themselves: who hears that
// a job is over may start another, though the first has still to leave. The caller holds the lock.
func (js *jobs) active() (n int) {
	for _, j := range js.list {
		switch j.status() {
		case JobEnqueued, JobQueued, JobRunning:
			n++
		}
	}
	return n
}

// from returns the place in the list of the first job whose number is seq or more. The
// caller holds the lock.
func (js *jobs) from(seq uint64) int {
	i, _ := slices.BinarySearchFunc(js.list, seq, func(j *job, seq uint64) int { return cmp.Compare(j.seq, seq) })
	return i
}

// sweepJobs forgets the jobs that were over too long ago, and the rows of the oldest when there are
// too many. The caller holds the lock.
func (c *Core) sweepJobs(now time.Time) {
	rows, bytes := 0, 0
	for i := len(c.jobs.list) - 1; i >= 0; i-- {
		j := c.jobs.list[i]
		n, size, end := j.kept()
		switch {
		case end.IsZero():
		case now.Sub(end) >= JobHistory:
			c.forgetJob(i)
		case rows+n > maxDeviceJobs || bytes+size > maxPayloads:
			c.forgetRows(j)
		default:
			rows, bytes = rows+n, bytes+size
		}
	}
}

// forgetJob drops the i-th job, which is over. The caller holds the lock.
func (c *Core) forgetJob(i int) {
	j := c.jobs.list[i]
	c.jobs.list = slices.Delete(c.jobs.list, i, i+1)
	delete(c.jobs.byID, j.info.ID)
	if err := c.store.Delete(context.Background(), j.key()); err != nil {
		c.cfg.Log.Error("jobs: a job was not deleted", "error", err)
	}
	c.forgetRows(j)
}

// forgetRows drops the rows of a job that is over.
func (c *Core) forgetRows(j *job) {
	rows := j.dropRows()
	if len(rows) == 0 {
		return
	}
	c.timers.run(func() {
		for _, r := range rows {
			if err := c.store.Delete(context.Background(), j.rowKey(r.ID)); err != nil {
				c.cfg.Log.Error("jobs: what became of a device was not deleted", "error", err)
				return
			}
		}
	})
}

func (j *job) key() store.Key { return store.Key{Kind: store.Jobs, Seq: j.seq} }

func (j *job) rowKey(id hubwire.Identity) store.Key {
	return store.Key{Kind: store.DeviceJobs, ID: id, Seq: j.seq}
}

// stopJobs stops the timers of jobs, when the Core is closed.
func (c *Core) stopJobs() {
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	for _, j := range c.jobs.list {
		j.due.stop()
	}
}
