package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hubwire/hubwire"
)

var moduleFeatures = []feature{
	{name: "module output and input", needs: "a route into a module, which is IoT Edge's", partly: "the output", lacks: notHTTPS, run: moduleRouting},
	{name: "module twin", lacks: notHTTPS, run: moduleTwin},
	{name: "module method", lacks: notHTTPS, run: moduleMethod},
}

func (s *stage) connectedModule(ctx context.Context) (*party, error) {
	a, err := s.module(ctx)
	if err != nil {
		return nil, err
	}
	return s.connect(ctx, a)
}

// moduleRouting sends by an output, and on from the hub into an input, as a route would.
func moduleRouting(ctx context.Context, s *stage) error {
	c, err := s.connectedModule(ctx)
	if err != nil {
		return err
	}
	m := hubwire.Message{
		Body: []byte(`{"t":1}`), ID: "m1", Output: "out 1/é",
		Properties: []hubwire.Property{{Name: "k", Value: "a&b=c %"}},
	}
	before := time.Now()
	if err := c.Send(ctx, &m); err != nil {
		return err
	}
	ev, err := s.events(c.id).next(ctx)
	if err != nil {
		return err
	}
	if err := arrived(ev, c.id, m, before); err != nil || s.embedded == nil {
		return err
	}
	routed := ev.Message
	routed.Output = ""
	if err := s.embedded.SendInput(ctx, c.id, "in", &routed); err != nil {
		return err
	}
	got, err := c.takes(ctx, routed)
	if err != nil {
		return err
	}
	return errors.Join(same("the input", got.Input, "in"), got.Complete(ctx))
}

func moduleTwin(ctx context.Context, s *stage) error {
	c, err := s.connectedModule(ctx)
	if err != nil {
		return err
	}
	if err := s.setDesired(ctx, c.id, `{"telemetryInterval":122}`); err != nil {
		return err
	}
	if _, err := c.Report(ctx, json.RawMessage(`{"running":true}`)); err != nil {
		return err
	}
	own, err := c.Twin(ctx)
	if err != nil {
		return err
	}
	at, err := s.service.Twin(ctx, c.id)
	if err != nil {
		return err
	}
	device, err := s.service.Twin(ctx, hubwire.Identity{DeviceID: c.id.DeviceID})
	if err != nil {
		return err
	}
	return errors.Join(
		sameJSON("desired at the module", own.Desired.JSON, `{"telemetryInterval":122}`),
		sameJSON("reported at the hub", at.Reported.JSON, `{"running":true}`),
		sameJSON("reported of the device, which is another twin", device.Reported.JSON, `{}`),
	)
}

func moduleMethod(ctx context.Context, s *stage) error {
	c, err := s.connectedModule(ctx)
	if err != nil {
		return err
	}
	return s.callMethod(ctx, c)
}
