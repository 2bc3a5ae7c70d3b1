// Command t9g-configurations is the sample "iothub_configuration_sample": a back end that adds an edge deployment, with
// a target condition, priority 10 and labels, reads it, changes whom it is for, lists all, and deletes it.
//
//	go run ./examples/t9g-configurations
//
// It prints the deployment after each step. Beside the sample there is a device that it is for: its modules
// come into being, with the desired properties of the deployment, and the metrics count it. A hub in Azure may
// take minutes for that.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

const (
	configurationID = "t9g-deployment"
	deviceID        = "t9g-edge"
	nobody          = "tags.t9g = 'nobody'"
	testDevices     = "tags.t9g = 'test'"
)

// content is what the modules of an edge device are to have. $edgeAgent says which there are.
var content = service.ConfigurationContent{Modules: map[string]map[string]json.RawMessage{
	"$edgeAgent": {"properties.desired": json.RawMessage(`{
		"schemaVersion": "1.1",
		"runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
		"systemModules": {
			"edgeAgent": {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.5"}},
			"edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "mcr.microsoft.com/azureiotedge-hub:1.5"}}
		},
		"modules": {
			"sunny": {"version": "1.0", "type": "docker", "status": "running", "restartPolicy": "on-failure", "settings": {"image": "example.com/sunny"}}
		}
	}`)},
	"$edgeHub": {"properties.desired": json.RawMessage(`{
		"schemaVersion": "1.1",
		"routes": {"up": "FROM /messages/* INTO $upstream"},
		"storeAndForwardConfiguration": {"timeToLiveSecs": 20}
	}`)},
	"sunny": {"properties.desired": json.RawMessage(`{"temperature":69,"humidity":30}`)},
}}

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	c := s.Service
	edge := &service.Device{DeviceID: deviceID, Capabilities: service.Capabilities{IotEdge: true}}
	if _, err := c.CreateDevice(ctx, edge); err != nil {
		return err
	}
	defer s.Remove(ctx, deviceID, &err)
	tags := &service.TwinUpdate{Tags: json.RawMessage(`{"t9g":"test"}`)}
	if _, err := c.PatchTwin(ctx, hubwire.Identity{DeviceID: deviceID}, tags, service.Any); err != nil {
		return err
	}

	added, err := c.CreateConfiguration(ctx, &service.Configuration{
		ID: configurationID, Content: content, TargetCondition: nobody, Priority: 10,
		Labels: map[string]string{"label1": "value1", "label2": "value2"},
	})
	if err != nil {
		return err
	}
	defer func() {
		e := c.DeleteConfiguration(context.WithoutCancel(ctx), configurationID, service.Any)
		if !errors.Is(e, hubwire.ConfigurationNotFound) { // play has deleted it
			err = errors.Join(err, e)
		}
	}()
	show(out, "added", added)

	got, err := c.Configuration(ctx, configurationID)
	if err != nil {
		return err
	}
	show(out, "got", got)
	got.TargetCondition = testDevices
	updated, err := c.UpdateConfiguration(ctx, got, got.ETag)
	if err != nil {
		return err
	}
	show(out, "updated", updated)
	if err := applied(ctx, out, c); err != nil {
		return err
	}

	all, err := c.Configurations(ctx, 20)
	if err != nil {
		return err
	}
	for _, cfg := range all {
		if cfg.ID == configurationID {
			show(out, "listed", &cfg)
		}
	}
	if err := c.DeleteConfiguration(ctx, configurationID, service.Any); err != nil {
		return err
	}
	fmt.Fprintln(out, "deleted")
	return nil
}

func show(out io.Writer, step string, c *service.Configuration) {
	var modules []string
	for id := range c.Content.Modules {
		modules = append(modules, id)
	}
	slices.Sort(modules)
	fmt.Fprintf(out, "%s: %s for %s, priority %d, %v, with %s\n", step, c.ID, c.TargetCondition, c.Priority, c.Labels, strings.Join(modules, " "))
}

// applied waits until the deployment has got to the device.
func applied(ctx context.Context, out io.Writer, c *service.Client) error {
	sunny := hubwire.Identity{DeviceID: deviceID, ModuleID: "sunny"}
	err := site.Await(ctx, func() (bool, error) {
		twin, err := c.Twin(ctx, sunny)
		if errors.Is(err, hubwire.ModuleNotFound) {
			return false, nil
		}
		if err != nil || string(twin.Desired.JSON) == "{}" {
			return false, err
		}
		fmt.Fprintf(out, "%v is there, and is to have %s\n", sunny, twin.Desired.JSON)
		return true, nil
	})
	if err != nil {
		return err
	}
	return site.Await(ctx, func() (bool, error) {
		cfg, err := c.Configuration(ctx, configurationID)
		if err != nil || cfg.SystemMetrics.Results["appliedCount"] == 0 {
			return false, err
		}
		n := cfg.SystemMetrics.Results
		fmt.Fprintf(out, "devices: %d targeted, %d applied\n", n["targetedCount"], n["appliedCount"])
		return true, nil
	})
}
