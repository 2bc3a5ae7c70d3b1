package httpfront

import (
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Scheduled jobs imitate the REST API's "Jobs - Create, Get, Query, Cancel Scheduled Job".

// Jobs of a page, when the request does not say, and at most.
const (
	defaultJobPage = 100
	maxJobPage     = 1000
)

func (s *Server) putJob(r *request) (*httpsx.Answer, error) {
	var v httpsx.Job
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if err := v.Check(r.Target.Name); err != nil {
		return nil, err
	}
	return r.withJob(s.core.CreateJob(r.http.Context(), fromJob(r.Target.Name, &v)))
}

func (s *Server) getJob(r *request) (*httpsx.Answer, error) {
	return r.withJob(s.core.Job(r.Target.Name))
}

func (s *Server) cancelJob(r *request) (*httpsx.Answer, error) {
	return r.withJob(s.core.CancelJob(r.Target.Name))
}

func (s *Server) listJobs(r *request) (*httpsx.Answer, error) {
	n := r.MaxItems
	if n < 1 {
		n = defaultJobPage
	}
	jobs, next, err := s.core.Jobs(jobFilter(r.Request), min(n, maxJobPage), r.Continuation)
	if err != nil {
		return nil, err
	}
	rows, err := marshalAll(jobs, func(j *core.Job) any { return jobDoc(j) })
	if err != nil {
		return nil, err
	}
	a, err := r.with(rows, "")
	if err != nil {
		return nil, err
	}
	a.ItemType, a.Continuation = httpsx.ItemJob, next
	return a, nil
}

func (r *request) withJob(j *core.Job, err error) (*httpsx.Answer, error) {
	if err != nil {
		return nil, err
	}
	return r.with(jobDoc(j), "")
}

// jobFilter takes types and statuses in any case; of one that there is not there are no jobs.
func jobFilter(r *httpsx.Request) core.JobFilter {
	f := core.JobFilter{Type: core.JobType(r.JobType), Status: core.JobStatus(r.JobStatus)}
	for _, t := range [...]core.JobType{core.JobDeviceMethod, core.JobUpdateTwin} {
		if r.JobType.Is(httpsx.JobType(t)) {
			f.Type = t
		}
	}
	for _, st := range [...]core.JobStatus{
		core.JobEnqueued, core.JobRunning, core.JobCompleted, core.JobFailed, core.JobCancelled, core.JobScheduled, core.JobQueued,
	} {
		if r.JobStatus.Is(httpsx.JobStatus(st)) {
			f.Status = st
		}
	}
	return f
}

// fromJob is a job as the core takes it. The document has passed its Check.
func fromJob(id string, v *httpsx.Job) *core.Job {
	j := &core.Job{ID: id, Type: core.JobUpdateTwin, Condition: v.Condition, Start: v.Start.Time, MaxExecution: v.MaxExecutionTime}
	if v.Type.Is(httpsx.JobMethod) {
		j.Type, j.Method = core.JobDeviceMethod, invocation(v.Method)
		return j
	}
	j.Twin, j.TwinETag = twinUpdate(v.UpdateTwin), httpsx.ParseETag(v.UpdateTwin.ETag)
	return j
}

// jobDoc is a job as the REST API has it.
func jobDoc(j *core.Job) *httpsx.Job {
	doc := &httpsx.Job{
		ID: j.ID, Type: httpsx.JobType(j.Type), Condition: j.Condition,
		Start: httpsx.NewTime(j.Start), MaxExecutionTime: j.MaxExecution,
		Created: httpsx.NewTime(j.Created), End: httpsx.NewTime(j.End),
		Status: httpsx.JobStatus(j.Status), FailureReason: j.FailureReason,
		Statistics: httpsx.JobStatistics{
			Devices: j.Statistics.Devices, Failed: j.Statistics.Failed, Succeeded: j.Statistics.Succeeded,
			Running: j.Statistics.Running, Pending: j.Statistics.Pending,
		},
	}
	if m := j.Method; m != nil {
		doc.Method = &httpsx.MethodCall{Name: m.Name, Payload: m.Payload, ConnectTimeout: m.ConnectTimeout, ResponseTimeout: m.ResponseTimeout}
	}
	if u := j.Twin; u != nil {
		doc.UpdateTwin = &httpsx.TwinUpdate{Tags: u.Tags, Desired: u.Desired, ETag: j.TwinETag}
	}
	return doc
}
