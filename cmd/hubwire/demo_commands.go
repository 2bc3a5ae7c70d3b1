package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/service"
)

var commandFeatures = []feature{
	{name: "service: method of a device, with time-outs", service: byREST, run: commandMethod},
	{name: "service: method of a module", service: byREST, run: moduleMethod},
	{name: "service: digital twin and command", service: byREST, run: commandDigitalTwin},
	{name: "service: purge of a queue", service: byREST, run: commandPurge},
}

// commandMethod calls a device that is away, one that comes while the call waits, and one that does not answer.
func commandMethod(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	call := hubwire.MethodRequest{Name: "m"}
	start := time.Now()
	_, err = s.service.Invoke(ctx, a.id, call, &service.InvokeOptions{ConnectTimeout: time.Second})
	if err := refusedWith(err, "a call to a device that does not come", hubwire.DeviceNotOnline); err != nil {
		return err
	}
	if took := time.Since(start); took < time.Second {
		return fmt.Errorf("the hub waited for %v, not for a second", took)
	}
	if err := methodWaits(ctx, s); err != nil {
		return err
	}
	return methodTimeout(ctx, s)
}

// commandDigitalTwin has a device with a model, whose property and command the service uses.
func commandDigitalTwin(ctx context.Context, s *stage) error {
	const model = "dtmi:com:example:Thermostat;1"
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	c, err := s.connectWith(ctx, a, device.MQTTOptions{}, device.Options{ModelID: model})
	if err != nil {
		return err
	}
	err = c.HandleMethod(ctx, "", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		answer, err := json.Marshal(map[string]any{"called": r.Name, "with": r.Payload})
		return hubwire.MethodResponse{Status: 203, Payload: answer}, err
	})
	if err != nil {
		return err
	}
	twin, err := s.service.DigitalTwin(ctx, a.id.DeviceID)
	if err != nil {
		return err
	}
	var doc struct {
		ID       string `json:"$dtId"`
		Metadata struct {
			Model string `json:"$model"`
		} `json:"$metadata"`
	}
	if err := twin.Decode(&doc); err != nil {
		return err
	}
	if err := errors.Join(same("the id", doc.ID, a.id.DeviceID), same("the model", doc.Metadata.Model, model)); err != nil {
		return err
	}
	patch := service.JSONPatch{{Op: "add", Path: "/targetTemperature", Value: json.RawMessage(`21.5`)}}
	if _, err := s.service.PatchDigitalTwin(ctx, a.id.DeviceID, patch, twin.ETag); err != nil {
		return err
	}
	own, err := c.Twin(ctx)
	if err != nil {
		return err
	}
	_, err = s.service.PatchDigitalTwin(ctx, a.id.DeviceID, patch, twin.ETag)
	if err := errors.Join(
		sameJSON("desired at the device", own.Desired.JSON, `{"targetTemperature":21.5}`),
		refusedWith(err, "a patch under a stale ETag", hubwire.PreconditionFailed),
	); err != nil {
		return err
	}
	for component, name := range map[string]string{"": "getReport", "outside": "outside*getReport"} {
		got, err := s.service.InvokeCommand(ctx, a.id.DeviceID, component, hubwire.MethodRequest{Name: "getReport", Payload: json.RawMessage(`5`)}, nil)
		if err != nil {
			return err
		}
		if err := errors.Join(same("the status", got.Status, 203), sameJSON("the answer", got.Payload, `{"called":"`+name+`","with":5}`)); err != nil {
			return err
		}
	}
	return nil
}

func commandPurge(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	if err := s.sendC2D(ctx, a.id, numbered(3)...); err != nil {
		return err
	}
	n, err := s.service.PurgeQueue(ctx, a.id.DeviceID)
	if err != nil {
		return err
	}
	d, err := s.service.Device(ctx, a.id.DeviceID)
	if err != nil {
		return err
	}
	return errors.Join(
		same("the messages that were purged", n, 3), same("those that wait", d.C2DCount, 0),
		s.heard(ctx, a.id, "1 Purged", "2 Purged", "3 Purged"),
	)
}
