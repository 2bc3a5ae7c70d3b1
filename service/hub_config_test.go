package service_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

// TestAConfiguration is scenario T9g: it is applied to the devices of its condition, and its
// metrics count them.
func TestAConfiguration(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, _ *hub.Hub, c *service.Client) {
		ctx := t.Context()
		fleet(t, c, 6)
		made, err := c.CreateConfiguration(ctx, &service.Configuration{
			ID: "led", Priority: 10, TargetCondition: "tags.n < 2", Labels: map[string]string{"who": "me"},
			Content: service.ConfigurationContent{Device: map[string]json.RawMessage{"properties.desired.led": json.RawMessage(`{"on":true}`)}},
			Metrics: service.ConfigurationMetrics{Queries: map[string]string{"room1": "SELECT deviceId FROM devices WHERE tags.room = " + service.Quote("it's 1")}},
		})
		if err != nil || made.ETag == "" {
			t.Fatalf("%+v, %v", made, err)
		}
		time.Sleep(10 * time.Minute) // the hub applies it by and by
		got, err := c.Configuration(ctx, "led")
		if err != nil || got.SystemMetrics.Results["targetedCount"] != 2 || got.SystemMetrics.Results["appliedCount"] != 2 || got.Metrics.Results["room1"] != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		for id, want := range map[string]string{"d001": `{"led":{"on":true}}`, "d002": `{}`} {
			if tw, err := c.Twin(ctx, hubwire.Identity{DeviceID: id}); err != nil || string(tw.Desired.JSON) != want {
				t.Errorf("%s: %+v, %v", id, tw, err)
			}
		}
		if _, err := c.CreateConfiguration(ctx, got); !errors.Is(err, hubwire.ConfigurationAlreadyExists) {
			t.Errorf("a second time: %v", err)
		}
		got.Priority = 20
		updated, err := c.UpdateConfiguration(ctx, got, got.ETag)
		if err != nil || updated.Priority != 20 || updated.ETag == made.ETag {
			t.Errorf("%+v, %v", updated, err)
		}
		if _, err := c.UpdateConfiguration(ctx, got, made.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
			t.Errorf("with a stale ETag: %v", err)
		}
		if all, err := c.Configurations(ctx, 0); err != nil || len(all) != 1 {
			t.Errorf("%d configurations, %v", len(all), err)
		}
		if err := c.DeleteConfiguration(ctx, "led", updated.ETag); err != nil {
			t.Error(err)
		}
		if _, err := c.Configuration(ctx, "led"); !errors.Is(err, hubwire.ConfigurationNotFound) {
			t.Errorf("after all: %v", err)
		}
	})
}

func TestConfigurationsAreTestedAndAppliedAtOnce(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, _ *hub.Hub, c *service.Client) {
		ctx := t.Context()
		fleet(t, c, 1)
		wrong, err := c.TestConfigurationQueries(ctx, &service.ConfigurationQueries{TargetCondition: "tags.n <", MetricQueries: map[string]string{
			"good": "SELECT deviceId FROM devices", "bad": "SELECT",
		}})
		if err != nil || wrong.TargetCondition == "" || len(wrong.MetricQueries) != 1 || wrong.MetricQueries["bad"] == "" {
			t.Errorf("%+v, %v", wrong, err)
		}
		if _, err := c.CreateConfiguration(ctx, &service.Configuration{
			ID: "bad", TargetCondition: "tags.n <",
			Content: service.ConfigurationContent{Device: map[string]json.RawMessage{"properties.desired.a": json.RawMessage("1")}},
		}); !errors.Is(err, hubwire.InvalidConfigurationCondition) {
			t.Errorf("a bad condition: %v", err)
		}
		content := &service.ConfigurationContent{Device: map[string]json.RawMessage{"properties.desired.a": json.RawMessage("1")}}
		if err := c.ApplyConfiguration(ctx, "d000", content); err != nil {
			t.Error(err)
		}
		if tw, err := c.Twin(ctx, hubwire.Identity{DeviceID: "d000"}); err != nil || string(tw.Desired.JSON) != `{"a":1}` {
			t.Errorf("%+v, %v", tw, err)
		}
		if err := c.ApplyConfiguration(ctx, "x", content); !errors.Is(err, hubwire.DeviceNotFound) {
			t.Errorf("to nobody: %v", err)
		}
	})
}

// TestADeployment is scenario T9g for edge devices, whose modules get the content.
func TestADeployment(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, _ *hub.Hub, c *service.Client) {
		ctx := t.Context()
		if _, err := c.CreateDevice(ctx, &service.Device{DeviceID: "edge", Capabilities: service.Capabilities{IotEdge: true}}); err != nil {
			t.Fatal(err)
		}
		tags := &service.TwinUpdate{Tags: json.RawMessage(`{"environment":"test"}`)}
		if _, err := c.PatchTwin(ctx, hubwire.Identity{DeviceID: "edge"}, tags, service.Any); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateConfiguration(ctx, &service.Configuration{
			ID: "deployment", Priority: 10, TargetCondition: "tags.environment='test'",
			Content: service.ConfigurationContent{Modules: map[string]map[string]json.RawMessage{
				"$edgeAgent": {"properties.desired": json.RawMessage(`{"schemaVersion":"1.1"}`)},
			}},
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		got, err := c.Configuration(ctx, "deployment")
		if err != nil || got.SystemMetrics.Results["targetedCount"] != 1 || got.SystemMetrics.Results["appliedCount"] != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		agent := hubwire.Identity{DeviceID: "edge", ModuleID: "$edgeAgent"}
		if tw, err := c.Twin(ctx, agent); err != nil || string(tw.Desired.JSON) != `{"schemaVersion":"1.1"}` {
			t.Errorf("%+v, %v", tw, err)
		}
	})
}
