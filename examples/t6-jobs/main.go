// Command t6-jobs is the tutorial "Schedule and broadcast jobs", both sides: the back end schedules a direct method
// and a change of desired properties for all devices of a building; two devices carry them out, one of them only
// when it is back.
//
//	go run ./examples/t6-jobs
//
// It prints whom the jobs are for, the outcome of each job for each device, and the twins afterwards.
//
// The tutorial in Python had no jobs, and imitated them by threads that slept. These are the hub's: they have a
// condition, a start, an outcome for each device, and can be cancelled.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

// doors are the devices. The second is away at first.
var doors = []string{"t6-front-door", "t6-back-door"}

const (
	condition = "tags.t6building = 43"
	until     = 2 * time.Second // the first job begins
)

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	connectionStrings := make([]string, len(doors))
	for i, id := range doors {
		if connectionStrings[i], err = s.Device(ctx, id); err != nil {
			return err
		}
		defer s.Remove(ctx, id, &err)
		tags := &service.TwinUpdate{Tags: json.RawMessage(`{"t6building":43}`)}
		if _, err := s.Service.PatchTwin(ctx, hubwire.Identity{DeviceID: id}, tags, service.Any); err != nil {
			return err
		}
	}
	if err := dryRun(ctx, out, s.Service); err != nil {
		return err
	}
	front, err := beDoor(ctx, out, s, connectionStrings[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, front.Close()) }()

	run := fmt.Sprintf("t6-%x", time.Now().UnixMilli()) // ids of jobs are used once
	failed, err := lockDoors(ctx, out, s.Service, run+"-lock")
	if err != nil {
		return err
	}
	back, err := beDoor(ctx, out, s, connectionStrings[1])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, back.Close()) }()
	if err := lockAgain(ctx, out, s.Service, run+"-again", failed); err != nil {
		return err
	}
	if err := changeTwins(ctx, out, s, run+"-twins"); err != nil {
		return err
	}
	return cancelled(ctx, out, s.Service, run+"-never")
}

// dryRun asks who the jobs would be for.
func dryRun(ctx context.Context, out io.Writer, c *service.Client) error {
	var ids []string
	err := site.Await(ctx, func() (bool, error) {
		ids = ids[:0]
		for twin, err := range service.QueryAs[service.Twin](ctx, c, "SELECT * FROM devices WHERE "+condition, nil) {
			if err != nil {
				return false, err
			}
			ids = append(ids, twin.Identity.DeviceID)
		}
		return len(ids) == len(doors), nil
	})
	slices.Sort(ids)
	fmt.Fprintf(out, "service: the jobs are for %v\n", ids)
	return err
}

// beDoor connects a device that can be locked.
func beDoor(ctx context.Context, out io.Writer, s *site.Site, connectionString string) (*device.Client, error) {
	c, err := device.Dial(ctx, connectionString, device.MQTT(nil), s.Options())
	if err != nil {
		return nil, err
	}
	return c, c.HandleMethod(ctx, "lockDoor", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		fmt.Fprintf(out, "%s: lockDoor called with %s\n", c.Identity().DeviceID, r.Payload)
		return hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(`{"Response":"lockDoor called successfully"}`)}, nil
	})
}

var lockDoor = hubwire.MethodRequest{Name: "lockDoor", Payload: json.RawMessage(`{"lockTime":"10m"}`)}

// lockDoors schedules a method, waits, and returns the devices that it failed for.
func lockDoors(ctx context.Context, out io.Writer, c *service.Client, id string) (failed []string, err error) {
	fmt.Fprintf(out, "service: schedules lockDoor, in %v\n", until)
	if _, err := c.ScheduleMethod(ctx, id, condition, lockDoor, &service.JobOptions{Start: time.Now().Add(until), MaxExecutionTime: time.Minute}); err != nil {
		return nil, err
	}
	if err := wait(ctx, out, c, id); err != nil {
		return nil, err
	}
	var lines []string
	for d, err := range c.JobDevices(ctx, id, "") {
		switch {
		case err != nil:
			return nil, err
		case d.Outcome != nil && d.Outcome.Method != nil:
			lines = append(lines, fmt.Sprintf("service: %s %s with status %d, %s\n", d.DeviceID, d.Status, d.Outcome.Method.Status, d.Outcome.Method.Payload))
		default:
			lines = append(lines, fmt.Sprintf("service: %s %s: %s\n", d.DeviceID, d.Status, d.Error.Code))
			failed = append(failed, d.DeviceID)
		}
	}
	slices.Sort(lines) // the order of the rows is the hub's
	for _, line := range slices.Backward(lines) {
		io.WriteString(out, line)
	}
	return failed, nil
}

// wait prints how a job ends.
func wait(ctx context.Context, out io.Writer, c *service.Client, id string) error {
	job, err := c.WaitJob(ctx, id, 100*time.Millisecond)
	if err != nil {
		return err
	}
	n := job.Statistics
	fmt.Fprintf(out, "service: the job is done: %d devices, %d succeeded, %d failed\n", n.Devices, n.Succeeded, n.Failed)
	return nil
}

// lockAgain has another job for those alone that the first one failed for.
func lockAgain(ctx context.Context, out io.Writer, c *service.Client, id string, failed []string) error {
	fmt.Fprintf(out, "service: once more, for %v\n", failed)
	if _, err := c.ScheduleMethod(ctx, id, service.DeviceIn(failed...), lockDoor, nil); err != nil {
		return err
	}
	return wait(ctx, out, c, id)
}

// changeTwins schedules a change of desired properties, and looks at what the hub then has.
func changeTwins(ctx context.Context, out io.Writer, s *site.Site, id string) error {
	update := &service.TwinUpdate{Desired: json.RawMessage(`{"building":43,"floor":3}`)}
	if _, err := s.Service.ScheduleTwinUpdate(ctx, id, condition, update, nil); err != nil {
		return err
	}
	fmt.Fprintln(out, "service: scheduled a change of desired properties")
	if err := wait(ctx, out, s.Service, id); err != nil {
		return err
	}
	for _, id := range doors {
		twin, err := s.Service.Twin(ctx, hubwire.Identity{DeviceID: id})
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "service: %s: desired properties %s\n", id, twin.Desired.JSON)
	}
	return nil
}

// cancelled schedules a job, and thinks better of it.
func cancelled(ctx context.Context, out io.Writer, c *service.Client, id string) error {
	update := &service.TwinUpdate{Desired: json.RawMessage(`{"demolish":true}`)}
	if _, err := c.ScheduleTwinUpdate(ctx, id, condition, update, &service.JobOptions{Start: time.Now().Add(time.Hour)}); err != nil {
		return err
	}
	if _, err := c.CancelJob(ctx, id); err != nil {
		return err
	}
	job, err := c.WaitJob(ctx, id, 100*time.Millisecond)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "service: a job in an hour is %s\n", job.Status)
	return nil
}
