package httpsx

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
)

// JobType is what a job does. Compare with [JobType.Is]: clients write it in different case.
type JobType string

// The types of jobs: those of [PutJob], and those of [CreateImportExport].
const (
	JobUpdateTwin JobType = "scheduleUpdateTwin"
	JobMethod     JobType = "scheduleDeviceMethod"
	JobImport     JobType = "import"
	JobExport     JobType = "export"
)

// Is compares without case.
func (t JobType) Is(u JobType) bool { return strings.EqualFold(string(t), string(u)) }

// JobStatus is how far a job is. Compare with [JobStatus.Is]: clients write it in different case.
type JobStatus string

// The statuses. A job is "cancelled", and one device's part of it "canceled".
const (
	JobUnknown        JobStatus = "unknown"
	JobEnqueued       JobStatus = "enqueued"
	JobQueued         JobStatus = "queued"
	JobScheduled      JobStatus = "scheduled"
	JobPending        JobStatus = "pending" // of one device's part
	JobRunning        JobStatus = "running"
	JobCompleted      JobStatus = "completed"
	JobFailed         JobStatus = "failed"
	JobCancelled      JobStatus = "cancelled"
	DeviceJobCanceled JobStatus = "canceled"
)

// Is compares without case; "finished", which old clients write, is "completed".
func (s JobStatus) Is(u JobStatus) bool { return strings.EqualFold(s.now(), u.now()) }

func (s JobStatus) now() string {
	if strings.EqualFold(string(s), "finished") {
		return string(JobCompleted)
	}
	return string(s)
}

// Done reports whether nothing more will happen to the job.
func (s JobStatus) Done() bool {
	return s.Is(JobCompleted) || s.Is(JobFailed) || s.Is(JobCancelled) || s.Is(DeviceJobCanceled)
}

// Job is a scheduled job: the body of [PutJob], and the answer of all that is done with jobs. What
// the hub sets (Created, End, Status, FailureReason, StatusMessage, Statistics) is ignored in a
// request.
// Source: REST, "Jobs - Create Scheduled Job" and "Get Scheduled Job"; IoT Hub developer guide,
// "Schedule jobs".
type Job struct {
	ID   string  // the caller's choice: letters, digits and dashes
	Type JobType // JobUpdateTwin or JobMethod

	Method     *MethodCall // of a JobMethod
	UpdateTwin *TwinUpdate // of a JobUpdateTwin; its ETag is "*" or empty

	Condition        string        // which devices: what follows WHERE in a query, or "*"
	Start            Time          // zero or past: now
	MaxExecutionTime time.Duration // in whole seconds

	Created, End  Time          // set by the hub, as what follows is
	Status        JobStatus     // how far it is
	FailureReason string        // empty when there is none
	StatusMessage string        // for people
	Statistics    JobStatistics // how far its devices are
}

// JobStatistics count the devices of a job by how far each is.
type JobStatistics struct {
	Devices   int `json:"deviceCount"`    // all of them
	Failed    int `json:"failedCount"`    // with an error
	Succeeded int `json:"succeededCount"` // without one
	Running   int `json:"runningCount"`   // under way
	Pending   int `json:"pendingCount"`   // not begun
}

type jobMembers struct {
	ID               string        `json:"jobId"`
	Type             JobType       `json:"type"`
	Method           *MethodCall   `json:"cloudToDeviceMethod"`
	UpdateTwin       *TwinUpdate   `json:"updateTwin"`
	Condition        string        `json:"queryCondition"`
	Start            Time          `json:"startTime"`
	MaxExecutionTime int64         `json:"maxExecutionTimeInSeconds"`
	Created          Time          `json:"createdTime"`
	End              Time          `json:"endTime"`
	Status           JobStatus     `json:"status"`
	FailureReason    string        `json:"failureReason"`
	StatusMessage    string        `json:"statusMessage"`
	Statistics       JobStatistics `json:"deviceJobStatistics"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (j *Job) UnmarshalJSON(b []byte) error {
	var m jobMembers
	if err := json.Unmarshal(b, &m); err != nil || j == nil {
		return err
	}
	*j = Job{
		ID: m.ID, Type: m.Type, Method: m.Method, UpdateTwin: m.UpdateTwin, Condition: m.Condition,
		Start: m.Start, MaxExecutionTime: fromSeconds(m.MaxExecutionTime), Created: m.Created, End: m.End,
		Status: m.Status, FailureReason: m.FailureReason, StatusMessage: m.StatusMessage, Statistics: m.Statistics,
	}
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (j Job) MarshalJSON() ([]byte, error) { return j.append(nil, true), nil }

func (j *Job) append(dst []byte, full bool) []byte {
	o := open(dst, full)
	o.str("jobId", j.ID)
	o.str("queryCondition", j.Condition)
	o.time("createdTime", j.Created)
	o.time("startTime", j.Start)
	if !j.End.IsZero() {
		o.time("endTime", j.End)
	}
	o.int("maxExecutionTimeInSeconds", toSeconds(j.MaxExecutionTime))
	o.str("type", string(j.Type))
	if j.Method != nil {
		o.doc("cloudToDeviceMethod", j.Method)
	}
	if j.UpdateTwin != nil {
		o.doc("updateTwin", j.UpdateTwin)
	}
	o.str("status", string(j.Status))
	if j.FailureReason != "" {
		o.str("failureReason", j.FailureReason)
	}
	if j.StatusMessage != "" {
		o.str("statusMessage", j.StatusMessage)
	}
	if full || j.Statistics != (JobStatistics{}) {
		o.any("deviceJobStatistics", j.Statistics)
	}
	return o.close()
}

// Check reports whether j can be what [PutJob] registers as id, the one of the path. The error is
// an [*hubwire.Error] with code [hubwire.ArgumentInvalid] that names the member; that of the
// method is its own. The condition is for the hub to judge.
func (j *Job) Check(id string) error {
	refuse := func(format string, args ...any) error {
		return refused(PutJob, hubwire.ArgumentInvalid, format, args...)
	}
	switch {
	case j == nil:
		return refuse("there is no job")
	case j.ID != "" && j.ID != id:
		return refuse("jobId %.140q is not the %.140q of the path", j.ID, id)
	case j.Start.unread != "":
		return refuse("startTime is %.40q, not a time such as 2026-01-02T03:04:05Z", j.Start.unread)
	case j.MaxExecutionTime < 0:
		return refuse("maxExecutionTimeInSeconds is negative")
	case j.Condition == "":
		return refuse("queryCondition is empty")
	case j.Type.Is(JobMethod):
		if j.Method == nil {
			return refuse("cloudToDeviceMethod is not there")
		}
		return j.Method.Check()
	case !j.Type.Is(JobUpdateTwin):
		return refuse("type %.40q is neither %s nor %s", string(j.Type), JobUpdateTwin, JobMethod)
	case j.UpdateTwin == nil:
		return refuse("updateTwin is not there")
	case j.UpdateTwin.ETag != "" && ParseETag(j.UpdateTwin.ETag) != "*":
		return refuse("updateTwin.etag is %.40q; a job takes only *", j.UpdateTwin.ETag)
	}
	return nil
}

// DeviceJob is one device's part of a job, a row of "SELECT * FROM devices.jobs".
type DeviceJob struct {
	DeviceID string            `json:"deviceId"`               // the device
	ModuleID string            `json:"moduleId,omitempty"`     // empty for the device itself
	JobID    string            `json:"jobId"`                  // of the [Job]
	JobType  JobType           `json:"jobType"`                // as in the [Job]
	Status   JobStatus         `json:"status"`                 // pending, scheduled, running, completed, failed, canceled
	Start    Time              `json:"startTimeUtc"`           // when it was begun with
	End      Time              `json:"endTimeUtc"`             // when it was done with
	Created  Time              `json:"createdDateTimeUtc"`     // when it was scheduled
	Updated  Time              `json:"lastUpdatedDateTimeUtc"` // when this last changed
	Outcome  *DeviceJobOutcome `json:"outcome"`                // nil when there is none (yet)
	Error    *DeviceJobError   `json:"error,omitempty"`        // nil when there is none
}

// DeviceJobOutcome is what came of a method.
type DeviceJobOutcome struct {
	Method *MethodResult `json:"deviceMethodResponse"` // nil for a job that is no JobMethod
}

// DeviceJobError says why a device's part failed.
type DeviceJobError struct {
	Code        string `json:"code"`        // a number, as text
	Description string `json:"description"` // for people
}
