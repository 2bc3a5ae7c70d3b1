// Command t7-firmware-update is the device management pattern "firmware update", both sides: the back end calls a
// direct method that does no more than begin the update, and then polls the twin, where the device reports how
// far it is.
//
//	go run ./examples/t7-firmware-update
//
// It prints the answer, which comes at once, each state of the update as the back end finds it in the twin, and that
// a second update is refused while the first one runs. A phase of the update takes two seconds here; -phase makes
// it longer.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() {
	takes := flag.Duration("phase", 2*time.Second, "how long a phase of the update takes")
	site.Main(func(ctx context.Context, out io.Writer, s *site.Site) error {
		return play(ctx, out, s, func(ctx context.Context, _ string) error {
			select {
			case <-time.After(*takes):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
}

var id = hubwire.Identity{DeviceID: "t7-device"}

// play is both sides. work is what the device does in a phase.
func play(ctx context.Context, out io.Writer, s *site.Site, work func(ctx context.Context, phase string) error) (err error) {
	connectionString, err := s.Device(ctx, id.DeviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, id.DeviceID, &err)
	c, err := device.Dial(ctx, connectionString, device.MQTT(nil), s.Options())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	u := &updater{device: c, work: work, done: make(chan error, 1)}
	if err := c.HandleMethod(ctx, "firmwareUpdate", u.firmwareUpdate); err != nil {
		return err
	}
	for range 2 { // the second time it is busy
		if err := call(ctx, out, s.Service); err != nil {
			return err
		}
	}
	err = watch(ctx, out, s.Service)
	select {
	case failed := <-u.done:
		return errors.Join(err, failed)
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// updater is the device's part.
type updater struct {
	device *device.Client
	work   func(ctx context.Context, phase string) error
	busy   atomic.Bool
	done   chan error // how an update ended
}

// firmwareUpdate answers the method. What it begins goes on without it, until the Client ends.
func (u *updater) firmwareUpdate(ctx context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
	var update struct {
		URI string `json:"fwPackageUri"`
	}
	if err := json.Unmarshal(r.Payload, &update); err != nil || update.URI == "" {
		return hubwire.MethodResponse{Status: 400, Payload: json.RawMessage(`{"result":"fwPackageUri is missing"}`)}, nil
	}
	if !u.busy.CompareAndSwap(false, true) {
		return hubwire.MethodResponse{Status: 409, Payload: json.RawMessage(`{"result":"an update is under way"}`)}, nil
	}
	go func() {
		defer u.busy.Store(false)
		u.done <- u.update(ctx, update.URI)
	}()
	return hubwire.MethodResponse{Status: 202, Payload: json.RawMessage(`{"result":"started"}`)}, nil
}

// update goes through the phases, and reports each as it begins.
func (u *updater) update(ctx context.Context, uri string) error {
	for _, phase := range []string{"downloading", "applying", "rebooting"} {
		if err := u.report(ctx, phase, uri); err != nil {
			return err
		}
		if err := u.work(ctx, phase); err != nil {
			return errors.Join(err, u.report(context.WithoutCancel(ctx), "failed", uri))
		}
	}
	return u.report(ctx, complete, uri)
}

func (u *updater) report(ctx context.Context, status, uri string) error {
	_, err := u.device.Report(ctx, reported{&firmware{status, uri}})
	return err
}

// reported are the reported properties of the twin, as both sides know them.
type reported struct {
	Firmware *firmware `json:"firmwareUpdate"`
}

type firmware struct {
	Status string `json:"status"`
	URI    string `json:"fwPackageUri"`
}

const complete = "complete"

// call is the back end, which has the device begin.
func call(ctx context.Context, out io.Writer, c *service.Client) error {
	answer, err := c.Invoke(ctx, id, hubwire.MethodRequest{
		Name: "firmwareUpdate", Payload: json.RawMessage(`{"fwPackageUri":"https://example.com/firmware.bin"}`),
	}, nil)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "service: firmwareUpdate was answered with status %d, %s\n", answer.Status, answer.Payload)
	return nil
}

// watch is the back end, which polls the twin and prints what has changed, until the update is over.
func watch(ctx context.Context, out io.Writer, c *service.Client) error {
	var last int64
	return site.Await(ctx, func() (bool, error) {
		twin, err := c.Twin(ctx, id)
		if err != nil || twin.Reported.Version == last {
			return false, err
		}
		last = twin.Reported.Version
		var r reported
		if err := twin.Reported.Decode(&r); err != nil || r.Firmware == nil {
			return false, err // it has reported nothing yet
		}
		fmt.Fprintf(out, "service: the twin has %s\n", twin.Reported.JSON)
		if r.Firmware.Status == "failed" {
			return false, errors.New("the update has failed")
		}
		return r.Firmware.Status == complete, nil
	})
}
