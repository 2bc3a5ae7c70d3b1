package core

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
)

// DeviceJob is a row of devices.jobs: what a job does on one device or module. It
// imitates the rows that the developer guide's "Schedule jobs on multiple devices"
// queries. The zero times are those that have not come.
type DeviceJob struct {
	JobID  string
	ID     hubwire.Identity
	Type   string // scheduleDeviceMethod or scheduleUpdateTwin
	Status string // pending, scheduled, running, completed, failed or canceled

	Created, Updated time.Time
	Started, Ended   time.Time

	Response *hubwire.MethodResponse // nil for no answer of a method
	Error    *DeviceJobError         // nil for none
}

// DeviceJobError is why a job failed on a device.
type DeviceJobError struct {
	Code        string // a name, such as DeviceNotOnline
	Description string
}

// Member implements [query.Row].
func (j *DeviceJob) Member(name string) query.Value {
	switch name {
	case "jobId":
		return query.String(j.JobID)
	case "deviceId":
		return query.String(j.ID.DeviceID)
	case "moduleId":
		return optionalString(j.ID.ModuleID)
	case "jobType":
		return query.String(j.Type)
	case "status":
		return query.String(j.Status)
	case "startTimeUtc":
		return optionalTime(j.Started)
	case "endTimeUtc":
		return optionalTime(j.Ended)
	case "createdDateTimeUtc", "createdTimeUtc":
		return optionalTime(j.Created)
	case "lastUpdatedDateTimeUtc":
		return optionalTime(j.Updated)
	case "outcome":
		return j.outcome()
	case "error":
		if j.Error == nil {
			break
		}
		return query.ObjectOf(query.Fields{
			{Name: "code", Value: query.String(j.Error.Code)},
			{Name: "description", Value: query.String(j.Error.Description)},
		})
	}
	return query.Value{}
}

func (j *DeviceJob) outcome() query.Value {
	if j.Response == nil {
		return query.Null
	}
	return query.ObjectOf(query.Fields{{Name: "deviceMethodResponse", Value: query.ObjectOf(query.Fields{
		{Name: "status", Value: query.Number(float64(j.Response.Status))},
		{Name: "payload", Value: payload(j.Response.Payload)},
	})}})
}

func payload(p json.RawMessage) query.Value {
	if len(p) == 0 {
		return query.Null
	}
	return query.JSON(string(bytes.TrimSpace(p)))
}

// optionalTime is null for the zero time.
func optionalTime(t time.Time) query.Value {
	if t.IsZero() {
		return query.Null
	}
	return timeValue(t)
}
