package service_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// TestWhatIsWrongIsRefusedBeforeItIsSent has what no hub would take, or would misunderstand.
func TestWhatIsWrongIsRefusedBeforeItIsSent(t *testing.T) {
	long := strings.Repeat("x", 129)
	twin := func(id hubwire.Identity, etag string) func(context.Context, *service.Client) error {
		return func(ctx context.Context, c *service.Client) error {
			_, err := c.PatchTwin(ctx, id, &service.TwinUpdate{Tags: json.RawMessage("{}")}, etag)
			return err
		}
	}
	invoke := func(name string, payload int, o *service.InvokeOptions) func(context.Context, *service.Client) error {
		return func(ctx context.Context, c *service.Client) error {
			_, err := c.Invoke(ctx, dev, hubwire.MethodRequest{Name: name, Payload: json.RawMessage(`"` + strings.Repeat("x", payload) + `"`)}, o)
			return err
		}
	}
	for name, tt := range map[string]struct {
		call func(context.Context, *service.Client) error
		code hubwire.Code
	}{
		"no device id":                   {twin(hubwire.Identity{}, service.Any), 0},
		"a slash in the device id":       {twin(hubwire.Identity{DeviceID: "a/b"}, service.Any), 0},
		"a device id of 129":             {twin(hubwire.Identity{DeviceID: long}, service.Any), 0},
		"a space in the module id":       {twin(hubwire.Identity{DeviceID: "d", ModuleID: "a b"}, service.Any), 0},
		"no ETag":                        {twin(dev, ""), 0},
		"an ETag of quotes":              {twin(dev, `""`), 0},
		"an ETag that breaks the header": {twin(dev, "a\r\nX: y"), 0},
		"no update": {func(ctx context.Context, c *service.Client) error {
			_, err := c.ReplaceTwin(ctx, dev, nil, service.Any)
			return err
		}, 0},
		"an update that is no JSON": {func(ctx context.Context, c *service.Client) error {
			_, err := c.PatchTwin(ctx, dev, &service.TwinUpdate{Tags: json.RawMessage("{")}, service.Any)
			return err
		}, 0},
		"no device": {func(ctx context.Context, c *service.Client) error { _, err := c.CreateDevice(ctx, nil); return err }, 0},
		"no module id": {func(ctx context.Context, c *service.Client) error {
			_, err := c.CreateModule(ctx, &service.Module{DeviceID: "d"})
			return err
		}, 0},
		"a status that there is not": {func(ctx context.Context, c *service.Client) error {
			_, err := c.CreateDevice(ctx, &service.Device{DeviceID: "d", Status: "on"})
			return err
		}, 0},
		"a method without a name":        {invoke("", 1, nil), 0},
		"a payload of more than 128 KiB": {invoke("m", hubwire.MaxMethodPayload, nil), hubwire.MessageTooLarge},
		"a payload that is no JSON": {func(ctx context.Context, c *service.Client) error {
			_, err := c.Invoke(ctx, dev, hubwire.MethodRequest{Name: "m", Payload: json.RawMessage("{")}, nil)
			return err
		}, 0},
		"a response time-out of 4 s":  {invoke("m", 1, &service.InvokeOptions{ResponseTimeout: 4 * time.Second}), 0},
		"a connect time-out of 301 s": {invoke("m", 1, &service.InvokeOptions{ConnectTimeout: 301 * time.Second}), 0},
		"a negative connect time-out": {invoke("m", 1, &service.InvokeOptions{ConnectTimeout: -1}), 0},
		"a job without a condition": {func(ctx context.Context, c *service.Client) error {
			_, err := c.ScheduleTwinUpdate(ctx, "j", "", &service.TwinUpdate{}, nil)
			return err
		}, 0},
		"a job without an id": {func(ctx context.Context, c *service.Client) error {
			_, err := c.ScheduleTwinUpdate(ctx, "", "*", &service.TwinUpdate{}, nil)
			return err
		}, 0},
		"a job without an update": {func(ctx context.Context, c *service.Client) error {
			_, err := c.ScheduleTwinUpdate(ctx, "j", "*", nil, nil)
			return err
		}, 0},
		"a bulk of 101": {func(ctx context.Context, c *service.Client) error {
			_, err := c.Bulk(ctx, make([]service.ImportDevice, 101))
			return err
		}, hubwire.TooManyDevices},
		"a bulk of none": {func(ctx context.Context, c *service.Client) error { _, err := c.Bulk(ctx, nil); return err }, 0},
		"a bulk with a device twice": {func(ctx context.Context, c *service.Client) error {
			_, err := c.Bulk(ctx, []service.ImportDevice{{ID: "a"}, {ID: "a"}})
			return err
		}, hubwire.DeviceDefinedMultipleTimes},
		"an export to nowhere": {func(ctx context.Context, c *service.Client) error {
			_, err := c.CreateImportExport(ctx, &service.ImportExportJob{Type: service.JobExport})
			return err
		}, 0},
		"a configuration of no content": {func(ctx context.Context, c *service.Client) error { return c.ApplyConfiguration(ctx, "d", nil) }, hubwire.InvalidConfigurationContent},
		"no configuration": {func(ctx context.Context, c *service.Client) error {
			_, err := c.UpdateConfiguration(ctx, nil, service.Any)
			return err
		}, 0},
		"a patch that goes nowhere": {func(ctx context.Context, c *service.Client) error {
			_, err := c.PatchDigitalTwin(ctx, "d", service.JSONPatch{{Op: "remove"}}, service.Any)
			return err
		}, hubwire.InvalidDigitalTwinPatchPath},
		"a command without a name": {func(ctx context.Context, c *service.Client) error {
			_, err := c.InvokeCommand(ctx, "d", "", hubwire.MethodRequest{}, nil)
			return err
		}, 0},
		"a continuation that breaks lines": {func(ctx context.Context, c *service.Client) error {
			_, err := c.QueryPage(ctx, "q", &service.QueryOptions{Continuation: "a\r\nX: y"})
			return err
		}, 0},
		"keys of a device that has no name": {func(ctx context.Context, c *service.Client) error {
			_, err := c.RegenerateKeys(ctx, service.BothKeys, hubwire.Identity{})
			return err
		}, 0},
		"keys of nobody": {func(ctx context.Context, c *service.Client) error {
			_, err := c.RegenerateKeys(ctx, service.BothKeys)
			return err
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			withFake(t, []http.HandlerFunc{says(200, "{}")}, func(t *testing.T, f *fake) {
				if tt.code == 0 {
					tt.code = hubwire.ArgumentInvalid
				}
				e := errorOf(t, tt.call(t.Context(), f.client(nil)))
				if e.Code != tt.code || e.Outcome != hubwire.NotSent || e.Retryable || e.Op == "" || f.dialled() != 0 {
					t.Errorf("%v after %d dials", e, f.dialled())
				}
			})
		})
	}
}
