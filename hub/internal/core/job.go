package core

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
)

// The states of a job for one device, as the service spells them. Its scheduled does not
// occur: whom a job is for is not known before it starts.
const (
	deviceJobPending   = "pending"
	deviceJobRunning   = "running"
	deviceJobCompleted = "completed"
	deviceJobFailed    = "failed"
	deviceJobCanceled  = "canceled" // with one l, unlike the job's
)

// deviceJob is a [DeviceJob] at work.
type deviceJob struct {
	DeviceJob
	version uint64 // of its record
}

// over reports whether nothing more will happen.
func (r *deviceJob) over() bool { return r.Status != deviceJobPending && r.Status != deviceJobRunning }

// job is a job at work.
type job struct {
	core   *Core
	seq    uint64
	target *query.Condition
	write  twinWrite       // of JobUpdateTwin
	ctx    context.Context // ends with the job
	stop   context.CancelCauseFunc
	due    *timer

	mu       sync.Mutex // a leaf
	info     Job        // without Statistics, until it is over
	version  uint64     // of its record
	began    time.Time
	count    JobStatistics
	rows     []*deviceJob // in the order of their identities
	payloads int          // bytes of answers
}

// Why a job's context ends.
var (
	errJobCancelled = errors.New("the job was cancelled")
	errJobTime      = errors.New("the job's maximum execution time is over")
)

// newJob checks what is wanted of a job.
func (c *Core) newJob(op string, want *Job) (*job, error) {
	if want == nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the job is nil")
	}
	j := &job{core: c, info: *want}
	i := &j.info
	switch {
	case i.ID == "" || len(i.ID) > MaxJobID || strings.ContainsFunc(i.ID, notOfJobID):
		return nil, refuse(op, hubwire.ArgumentInvalid, "the job id is not 1 to %d letters, digits and dashes", MaxJobID)
	case i.ID == "query":
		return nil, refuse(op, hubwire.ArgumentInvalid, "the job id \"query\" is the path of the list of jobs")
	case i.MaxExecution < 0 || i.MaxExecution > MaxJobTime:
		return nil, refuse(op, hubwire.ArgumentInvalid, "the maximum execution time is not 0 to %v", MaxJobTime)
	case i.MaxExecution == 0:
		i.MaxExecution = defaultJobTime
	}
	var err error
	if j.target, err = query.ParseCondition(i.Condition); err != nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the query condition: %v", err)
	}
	now := time.Now().UTC()
	i.Created, i.End, i.FailureReason, i.Statistics = now, time.Time{}, "", JobStatistics{}
	i.Status = JobScheduled
	if !i.Start.After(now) {
		i.Start, i.Status = now, JobEnqueued
	}
	i.Start = i.Start.UTC()
	return j, j.readWork(op)
}

func notOfJobID(r rune) bool {
	return !(r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
}

// readWork checks what the job does, and makes it the job's own.
func (j *job) readWork(op string) (err error) {
	i := &j.info
	switch i.Type {
	case JobDeviceMethod:
		if i.Method == nil {
			return refuse(op, hubwire.ArgumentInvalid, "the job has no cloudToDeviceMethod")
		}
		m := *i.Method
		m.Payload = slices.Clone(m.Payload)
		i.Method, i.Twin, i.TwinETag = &m, nil, ""
		return m.check(op)
	case JobUpdateTwin:
		if i.TwinETag != "" && i.TwinETag != "*" {
			return refuse(op, hubwire.ArgumentInvalid, "missing or invalid etag for job type ScheduleUpdateTwin: it is \"*\"")
		}
		if i.Twin == nil || i.Twin.Tags == nil && i.Twin.Desired == nil {
			return refuse(op, hubwire.ArgumentInvalid, "the job's updateTwin has neither tags nor desired properties")
		}
		i.Method, i.Twin = nil, &TwinUpdate{Tags: slices.Clone(i.Twin.Tags), Desired: slices.Clone(i.Twin.Desired)}
		j.write, err = i.Twin.read(op, false)
		return err
	}
	return refuse(op, hubwire.ArgumentInvalid, "the job type %q is unknown", i.Type)
}

// snapshot returns the job as it is now. What it points to must not be changed.
func (j *job) snapshot() *Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.info
	s.Statistics = j.count
	return &s
}

func (j *job) status() JobStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.info.Status
}

func (j *job) over() bool { return j.status().Over() }

// kept returns how many rows the job has, the size of the answers in them, and when it was over.
func (j *job) kept() (rows, bytes int, end time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.rows), j.payloads, j.info.End
}

func (j *job) dropRows() []*deviceJob {
	j.mu.Lock()
	defer j.mu.Unlock()
	rows := j.rows
	j.rows, j.payloads = nil, 0
	return rows
}

// deviceJobs returns up to n rows of devices.jobs, ordered by the job's id and then the
// identity, that follow the one of a job and an identity, which need not be there.
// They are the caller's, but not what they point to. No entity is locked.
func (c *Core) deviceJobs(jobID string, id hubwire.Identity, n int) (out []*DeviceJob) {
	c.jobs.mu.Lock()
	c.sweepJobs(time.Now())
	var list []*job
	for jid, j := range c.jobs.byID {
		if jid >= jobID {
			list = append(list, j)
		}
	}
	c.jobs.mu.Unlock()
	slices.SortFunc(list, func(a, b *job) int { return cmp.Compare(a.info.ID, b.info.ID) })
	for _, j := range list {
		if len(out) >= n {
			break
		}
		after := hubwire.Identity{}
		if j.info.ID == jobID {
			after = id
		}
		out = j.appendRows(out, after, n)
	}
	return out
}

// appendRows appends copies of the rows that follow an identity, up to n in all.
func (j *job) appendRows(out []*DeviceJob, after hubwire.Identity, n int) []*DeviceJob {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, found := slices.BinarySearchFunc(j.rows, after, compareRow)
	if found {
		i++
	}
	for ; i < len(j.rows) && len(out) < n; i++ {
		r := j.rows[i].DeviceJob
		out = append(out, &r)
	}
	return out
}

func compareRow(r *deviceJob, id hubwire.Identity) int { return compareIdentities(r.ID, id) }
