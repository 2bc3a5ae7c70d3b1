// Command t8-module-twin is the tutorial "Get started with module identity and module twin", both sides: the back
// end registers a module and sets a desired property of its twin; the module sees the change, and reports what it
// has made of it.
//
//	go run ./examples/t8-module-twin
//
// It prints the desired properties before and after, as the back end and the module see them, and what the module
// reports. Beside the tutorial, a change under an ETag that has been overtaken is refused.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

var module = hubwire.Identity{DeviceID: "t8-heater", ModuleID: "thermometer"}

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	if _, err := s.Device(ctx, module.DeviceID); err != nil {
		return err
	}
	defer s.Remove(ctx, module.DeviceID, &err)
	connectionString, err := s.Module(ctx, module)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "service: registered the module %v\n", module)

	before, err := s.Service.Twin(ctx, module)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "service: desired properties before: %s\n", before.Desired.JSON)

	// The module's side runs beside ours, and says when it is ready.
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- beModule(ctx, out, s, connectionString, ready) }()
	select {
	case <-ready:
	case err := <-done:
		return err
	}

	update := &service.TwinUpdate{Desired: json.RawMessage(`{"telemetryInterval":122}`)}
	after, err := s.Service.PatchTwin(ctx, module, update, before.ETag)
	if err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	fmt.Fprintf(out, "service: desired properties after: %s\n", after.Desired.JSON)

	// Somebody who still has the first twin in hand cannot overwrite what came since.
	_, err = s.Service.PatchTwin(ctx, module, update, before.ETag)
	if !errors.Is(err, hubwire.PreconditionFailed) {
		return fmt.Errorf("a patch under a stale ETag ended with %v", err)
	}
	fmt.Fprintln(out, "service: a patch under the old ETag is refused")

	now, err := s.Service.Twin(ctx, module)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "service: the module reports %s\n", now.Reported.JSON)
	return nil
}

// beModule prints the desired properties as they come, and reports what it does with them.
func beModule(ctx context.Context, out io.Writer, s *site.Site, connectionString string, ready chan<- struct{}) error {
	c, err := device.Dial(ctx, connectionString, device.MQTT(nil), s.Options())
	if err != nil {
		return err
	}
	defer c.Close()
	for change, err := range c.Desired(ctx) {
		if err != nil {
			return err
		}
		if change.Full { // the first
			fmt.Fprintf(out, "module: desired properties are %s\n", change.JSON)
			close(ready)
			continue
		}
		fmt.Fprintf(out, "module: desired properties change: %s\n", change.JSON)
		if _, err := c.Report(ctx, change.JSON); err != nil {
			return err
		}
		break
	}
	return nil
}
