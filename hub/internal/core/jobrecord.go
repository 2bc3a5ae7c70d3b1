package core

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// jobRecord is a job as the store keeps it. What became of its devices are records of their own.
type jobRecord struct {
	ID         string        `json:"id"`
	Type       JobType       `json:"type"`
	Condition  string        `json:"condition"`
	Created    time.Time     `json:"created"`
	Start      time.Time     `json:"start"`
	Began      time.Time     `json:"began,omitzero"`
	End        time.Time     `json:"end,omitzero"`
	Max        time.Duration `json:"max"`
	Status     JobStatus     `json:"status"`
	Reason     string        `json:"reason,omitempty"`
	Method     *methodRecord `json:"method,omitempty"`
	Twin       *TwinUpdate   `json:"twin,omitempty"`
	TwinETag   string        `json:"twinETag,omitempty"`
	Statistics JobStatistics `json:"statistics,omitzero"` // of one that is over
}

// methodRecord is an [Invocation], or with Status an answer, as the store keeps it.
type methodRecord struct {
	Name     string          `json:"name,omitempty"`
	Status   int             `json:"status,omitempty"`
	Payload  json.RawMessage `json:"payload,omitempty"`
	Connect  time.Duration   `json:"connect,omitempty"`
	Response time.Duration   `json:"response,omitempty"`
}

func (r *methodRecord) invocation() *Invocation {
	if r == nil {
		return nil
	}
	return &Invocation{
		MethodRequest:  hubwire.MethodRequest{Name: r.Name, Payload: r.Payload},
		ConnectTimeout: r.Connect, ResponseTimeout: r.Response,
	}
}

// encode returns the record. The caller holds the lock, or is the only one that has the job.
func (j *job) encode() []byte {
	i := &j.info
	r := jobRecord{
		ID: i.ID, Type: i.Type, Condition: i.Condition, Created: i.Created, Start: i.Start, Began: j.began, End: i.End,
		Max: i.MaxExecution, Status: i.Status, Reason: i.FailureReason, Twin: i.Twin, TwinETag: i.TwinETag,
	}
	if m := i.Method; m != nil {
		r.Method = &methodRecord{Name: m.Name, Payload: m.Payload, Connect: m.ConnectTimeout, Response: m.ResponseTimeout}
	}
	if i.Status.Over() {
		r.Statistics = j.count
	}
	b, _ := marshal(r) // its JSON was checked: cannot fail
	return b
}

// save stores the job. A store that fails costs the job its durability, and is
// logged: what the job does goes on. The caller holds the lock.
func (j *job) save() {
	v, err := j.core.store.Put(context.Background(), j.key(), j.encode(), j.version)
	if err != nil {
		j.core.cfg.Log.Error("jobs: a job was not stored", "job", j.info.ID, "error", err)
		return
	}
	j.version = v
}

// deviceJobRecord is a [DeviceJob] as the store keeps it.
type deviceJobRecord struct {
	Status   string          `json:"status"`
	Created  time.Time       `json:"created"`
	Updated  time.Time       `json:"updated"`
	Started  time.Time       `json:"started,omitzero"`
	Ended    time.Time       `json:"ended,omitzero"`
	Response *methodRecord   `json:"response,omitempty"`
	Error    *DeviceJobError `json:"error,omitempty"`
}

// saveRow is save for one row.
func (j *job) saveRow(r *deviceJob) {
	rec := deviceJobRecord{
		Status: r.Status, Created: r.Created, Updated: r.Updated, Started: r.Started, Ended: r.Ended, Error: r.Error,
	}
	if r.Response != nil {
		rec.Response = &methodRecord{Status: r.Response.Status, Payload: r.Response.Payload}
	}
	b, _ := marshal(rec) // as in encode
	v, err := j.core.store.Put(context.Background(), j.rowKey(r.ID), b, r.version)
	if err != nil {
		j.core.cfg.Log.Error("jobs: what became of a device was not stored", "job", j.info.ID, "device", r.ID, "error", err)
		return
	}
	r.version = v
}

func (c *Core) loadJob(r store.Record) error {
	var rec jobRecord
	if err := json.Unmarshal(r.Value, &rec); err != nil {
		return err
	}
	j, err := c.newJob("load job", &Job{
		ID: rec.ID, Type: rec.Type, Condition: rec.Condition, Start: rec.Start, MaxExecution: rec.Max,
		Method: rec.Method.invocation(), Twin: rec.Twin, TwinETag: rec.TwinETag,
	})
	if err != nil {
		return err
	}
	j.seq, j.version, j.began, j.count = r.Key.Seq, r.Version, rec.Began, rec.Statistics
	i := &j.info
	i.Created, i.Start, i.End, i.Status, i.FailureReason = rec.Created, rec.Start, rec.End, rec.Status, rec.Reason
	c.jobs.list = append(c.jobs.list, j)
	c.jobs.byID[i.ID] = j
	c.jobs.seq = j.seq
	return nil
}

// loadDeviceJob takes in a row. Those of a job that is gone were on their way out.
func (c *Core) loadDeviceJob(r store.Record) error {
	var rec deviceJobRecord
	if err := json.Unmarshal(r.Value, &rec); err != nil {
		return err
	}
	i := c.jobs.from(r.Key.Seq)
	if i == len(c.jobs.list) || c.jobs.list[i].seq != r.Key.Seq {
		return c.store.Delete(context.Background(), r.Key)
	}
	j := c.jobs.list[i]
	row := &deviceJob{version: r.Version, DeviceJob: DeviceJob{
		ID: r.Key.ID, JobID: j.info.ID, Type: string(j.info.Type), Status: rec.Status,
		Created: rec.Created, Updated: rec.Updated, Started: rec.Started, Ended: rec.Ended, Error: rec.Error,
	}}
	if rec.Response != nil {
		row.Response = &hubwire.MethodResponse{Status: rec.Response.Status, Payload: rec.Response.Payload}
		j.payloads += len(rec.Response.Payload)
	}
	j.rows = append(j.rows, row)
	return nil
}

// resumeJobs has the jobs go on that a hub before this one left.
func (c *Core) resumeJobs() {
	c.jobs.mu.Lock()
	defer c.jobs.mu.Unlock()
	c.sweepJobs(time.Now())
	for _, j := range c.jobs.list {
		if !j.info.Status.Over() {
			j.recount()
			c.schedule(j)
		}
	}
}

// recount counts the rows that the store had, after it was found out that a method which was under
// way has failed.
func (j *job) recount() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count.Devices = len(j.rows)
	for _, r := range j.rows {
		switch r.Status {
		case deviceJobPending:
			j.count.Pending++
		case deviceJobCompleted:
			j.count.Succeeded++
		case deviceJobRunning:
			j.count.Running++
			j.end(r, nil, refuse("job", hubwire.GenericTimeout, "the hub ended while the method was under way"), time.Now().UTC())
			j.saveRow(r)
		default:
			j.count.Failed++
		}
	}
}
