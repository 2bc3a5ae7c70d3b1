package service_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

var mod = hubwire.Identity{DeviceID: "dev-1", ModuleID: "mod"}

// exchanged is a call, what it asks the hub for, and what the hub answers.
type exchanged struct {
	call   func(ctx context.Context, c *service.Client) (any, error)
	asks   string // method and URL
	match  string // If-Match
	body   string
	answer http.HandlerFunc
	want   any
}

// TestWhatCallsAskAndWhatTheyMakeOfTheAnswer has each operation once.
func TestWhatCallsAskAndWhatTheyMakeOfTheAnswer(t *testing.T) {
	for _, table := range []map[string]exchanged{registryCalls, twinCalls, jobCalls, configurationCalls} {
		for name, tt := range table {
			t.Run(name, func(t *testing.T) { tt.check(t) })
		}
	}
}

func (tt exchanged) check(t *testing.T) {
	withFake(t, []http.HandlerFunc{tt.answer}, func(t *testing.T, f *fake) {
		got, err := tt.call(t.Context(), f.client(func(o *service.Options) { o.ProductInfo = "plant/1" }))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("result (-want +got):\n%s", diff)
		}
		came := f.came()
		if len(came) != 1 {
			t.Fatalf("%d requests", len(came))
		}
		r := came[0]
		if asks := r.Method + " " + r.URL.String(); asks != tt.asks {
			t.Errorf("asks %s\nwant %s", asks, tt.asks)
		}
		if r.body != tt.body {
			t.Errorf("body %s\nwant %s", r.body, tt.body)
		}
		h := r.Header
		if h.Get("If-Match") != tt.match || h.Get("User-Agent") != "hubwire plant/1" || h.Get("Request-Id") == "" || r.Host != hubName ||
			(h.Get("Content-Type") == "application/json; charset=utf-8") != (tt.body != "") || h.Get("Accept") != "application/json" || r.ContentLength != int64(len(tt.body)) {
			t.Errorf("headers %v", h)
		}
		token, err := sas.ParseToken(h.Get("Authorization"))
		key, _ := sas.NewKey(sas.NewSecret(policyKey))
		if err != nil || token.CheckResource(hubName) != nil || token.Policy != "service" || time.Until(token.Expires) != time.Hour {
			t.Errorf("token %v: %v", token, err)
		}
		if _, err := token.SignedBy(key, nil); err != nil {
			t.Error(err)
		}
	})
}

const aDevice = `{"deviceId":"dev-1","etag":"MA==","status":"enabled","authentication":{"type":"sas","symmetricKey":{"primaryKey":"AAAA","secondaryKey":null}}}`

var registryCalls = map[string]exchanged{
	"create a device": {
		func(ctx context.Context, c *service.Client) (any, error) {
			d, err := c.CreateDevice(ctx, &service.Device{DeviceID: "dev-1", Status: service.Enabled})
			return d.Authentication.SymmetricKey.Primary.Reveal(), err
		},
		"PUT /devices/dev-1?api-version=2021-04-12", "", `{"deviceId":"dev-1","status":"enabled"}`, says(200, aDevice), "AAAA",
	},
	"update a device": {
		func(ctx context.Context, c *service.Client) (any, error) {
			d, err := c.UpdateDevice(ctx, &service.Device{DeviceID: "dev-1", Status: service.Disabled, ETag: "MQ=="}, "MQ==")
			return d.ETag, err
		},
		"PUT /devices/dev-1?api-version=2021-04-12", `"MQ=="`, `{"deviceId":"dev-1","etag":"MQ==","status":"disabled"}`, says(200, aDevice), "MA==",
	},
	"get a device whose id needs escapes": {
		func(ctx context.Context, c *service.Client) (any, error) {
			d, err := c.Device(ctx, "a%b#c?d+e@f")
			return d.DeviceID, err
		},
		"GET /devices/a%25b%23c%3Fd%2Be%40f?api-version=2021-04-12", "", "", says(200, aDevice), "dev-1",
	},
	"list devices": {
		func(ctx context.Context, c *service.Client) (any, error) {
			ds, err := c.Devices(ctx, 7)
			return len(ds), err
		},
		"GET /devices?api-version=2021-04-12&top=7", "", "", says(200, "["+aDevice+","+aDevice+"]"), 2,
	},
	"delete a device": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return nil, c.DeleteDevice(ctx, "dev-1", service.Any)
		},
		"DELETE /devices/dev-1?api-version=2021-04-12", `"*"`, "", says(204, ""), nil,
	},
	"create a module": {
		func(ctx context.Context, c *service.Client) (any, error) {
			m, err := c.CreateModule(ctx, &service.Module{DeviceID: "dev-1", ModuleID: "mod"})
			return m.ModuleID, err
		},
		"PUT /devices/dev-1/modules/mod?api-version=2021-04-12", "", `{"moduleId":"mod","deviceId":"dev-1"}`, says(200, `{"deviceId":"dev-1","moduleId":"mod"}`), "mod",
	},
	"update a module": {
		func(ctx context.Context, c *service.Client) (any, error) {
			m, err := c.UpdateModule(ctx, &service.Module{DeviceID: "dev-1", ModuleID: "mod", ManagedBy: "me"}, service.Any)
			return m.ManagedBy, err
		},
		"PUT /devices/dev-1/modules/mod?api-version=2021-04-12", `"*"`, `{"moduleId":"mod","managedBy":"me","deviceId":"dev-1"}`, says(200, `{"deviceId":"dev-1","moduleId":"mod","managedBy":"me"}`), "me",
	},
	"get a module": {
		func(ctx context.Context, c *service.Client) (any, error) {
			m, err := c.Module(ctx, mod)
			return m.ETag, err
		},
		"GET /devices/dev-1/modules/mod?api-version=2021-04-12", "", "", says(200, `{"deviceId":"dev-1","moduleId":"mod","etag":"MA=="}`), "MA==",
	},
	"list modules": {
		func(ctx context.Context, c *service.Client) (any, error) {
			ms, err := c.Modules(ctx, "dev-1")
			return len(ms), err
		},
		"GET /devices/dev-1/modules?api-version=2021-04-12", "", "", says(200, `[{"moduleId":"mod"}]`), 1,
	},
	"delete a module": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return nil, c.DeleteModule(ctx, mod, `"MA=="`)
		},
		"DELETE /devices/dev-1/modules/mod?api-version=2021-04-12", `"MA=="`, "", says(204, ""), nil,
	},
	"count devices": {
		func(ctx context.Context, c *service.Client) (any, error) { return c.DeviceStatistics(ctx) },
		"GET /statistics/devices?api-version=2021-04-12", "", "", says(200, `{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}`),
		&service.DeviceStatistics{Total: 3, Enabled: 2, Disabled: 1},
	},
	"count connections": {
		func(ctx context.Context, c *service.Client) (any, error) { return c.ServiceStatistics(ctx) },
		"GET /statistics/service?api-version=2021-04-12", "", "", says(200, `{"connectedDeviceCount":4}`), &service.ServiceStatistics{Connected: 4},
	},
	"purge a queue": {
		func(ctx context.Context, c *service.Client) (any, error) { return c.PurgeQueue(ctx, "dev-1") },
		"DELETE /devices/dev-1/commands?api-version=2021-04-12", "", "", says(200, `{"totalMessagesPurged":5,"deviceId":"dev-1","moduleId":null}`), 5,
	},
	"bulk, of which an element fails": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return c.Bulk(ctx, []service.ImportDevice{{ID: "a", ImportMode: service.ImportCreate}, {ID: "b", ImportMode: service.ImportDeleteIfMatch, ETag: "MA=="}})
		},
		"POST /devices?api-version=2021-04-12", "", `[{"id":"a","importMode":"create"},{"id":"b","eTag":"MA==","importMode":"deleteIfMatchETag"}]`,
		says(400, `{"isSuccessful":false,"errors":[{"deviceId":"a","errorCode":409001,"errorStatus":"it is there"}],"warnings":[]}`, "iothub-errorcode", "BulkRegistryOperationFailure"),
		&service.BulkResult{Errors: []service.BulkError{{DeviceID: "a", Code: 409001, Status: "it is there"}}, Warnings: []service.BulkWarning{}},
	},
	"new keys": {
		func(ctx context.Context, c *service.Client) (any, error) {
			r, err := c.RegenerateKeys(ctx, service.BothKeys, dev, mod)
			if err != nil {
				return nil, err
			}
			return []string{r.Rotated[0].Primary.Reveal(), r.Errors[0].ModuleID}, nil
		},
		"POST /devices/keys/regenerate?api-version=2024-03-31", "", `{"policyKey":"both","devices":[{"id":"dev-1"},{"id":"dev-1","moduleId":"mod"}]}`,
		says(207, `{"policyKey":"both","rotatedKeys":[{"id":"dev-1","primaryKey":"AAAA","secondaryKey":"BBBB"}],"errors":[{"id":"dev-1","moduleId":"mod","errorCode":404010}]}`), []string{"AAAA", "mod"},
	},
}

var twinCalls = map[string]exchanged{
	"get a twin": {
		func(ctx context.Context, c *service.Client) (any, error) {
			tw, err := c.Twin(ctx, dev)
			return []any{tw.ETag, tw.Version, tw.Desired.Version, string(tw.Desired.JSON)}, err
		},
		"GET /twins/dev-1?api-version=2021-04-12", "", "", says(200, aTwin), []any{"AAAAAAAAAAE=", int64(2), int64(1), "{}"},
	},
	"patch a twin": {
		func(ctx context.Context, c *service.Client) (any, error) {
			_, err := c.PatchTwin(ctx, dev, &service.TwinUpdate{Tags: json.RawMessage(`{"room":"<1>"}`), Desired: json.RawMessage(`{"rate":5,"old":null}`)}, "AAAAAAAAAAE=")
			return nil, err
		},
		"PATCH /twins/dev-1?api-version=2021-04-12", `"AAAAAAAAAAE="`, `{"tags":{"room":"<1>"},"properties":{"desired":{"rate":5,"old":null}}}`, says(200, aTwin), nil,
	},
	"replace the twin of a module": {
		func(ctx context.Context, c *service.Client) (any, error) {
			_, err := c.ReplaceTwin(ctx, mod, &service.TwinUpdate{Desired: json.RawMessage(`{}`)}, service.Any)
			return nil, err
		},
		"PUT /twins/dev-1/modules/mod?api-version=2021-04-12", `"*"`, `{"properties":{"desired":{}}}`, says(200, aTwin), nil,
	},
	"invoke a method": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return c.Invoke(ctx, dev, hubwire.MethodRequest{Name: "reboot", Payload: json.RawMessage(`{"in":5}`)}, &service.InvokeOptions{ConnectTimeout: 10 * time.Second, ResponseTimeout: 20 * time.Second})
		},
		"POST /twins/dev-1/methods?api-version=2021-04-12", "", `{"methodName":"reboot","payload":{"in":5},"responseTimeoutInSeconds":20,"connectTimeoutInSeconds":10}`,
		says(200, `{"status":501,"payload":{"ok":false}}`), &hubwire.MethodResponse{Status: 501, Payload: json.RawMessage(`{"ok":false}`)},
	},
	"invoke a method of a module, which says nothing": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return c.Invoke(ctx, mod, hubwire.MethodRequest{Name: "reboot"}, nil)
		},
		"POST /twins/dev-1/modules/mod/methods?api-version=2021-04-12", "", `{"methodName":"reboot","payload":null}`,
		says(200, `{"status":200,"payload":null}`), &hubwire.MethodResponse{Status: 200},
	},
	"get a digital twin": {
		func(ctx context.Context, c *service.Client) (any, error) {
			d, err := c.DigitalTwin(ctx, "dev-1")
			if err != nil {
				return nil, err
			}
			var v struct {
				Metadata struct {
					Model string `json:"$model"`
				} `json:"$metadata"`
			}
			return []string{d.ETag, v.Metadata.Model}, d.Decode(&v)
		},
		"GET /digitaltwins/dev-1?api-version=2021-04-12", "", "", says(200, `{"$dtId":"dev-1","$metadata":{"$model":""}}`, "ETag", `"AAE="`), []string{"AAE=", ""},
	},
	"patch a digital twin": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return c.PatchDigitalTwin(ctx, "dev-1", service.JSONPatch{{Op: "add", Path: "/t1/target", Value: json.RawMessage("21")}, {Op: "remove", Path: "/old"}}, "AAE=")
		},
		"PATCH /digitaltwins/dev-1?api-version=2021-04-12", `"AAE="`, `[{"op":"add","path":"/t1/target","value":21},{"op":"remove","path":"/old"}]`,
		says(202, "", "ETag", `"AAI="`, "Location", "/x"), "AAI=",
	},
	"invoke a command of a component": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return c.InvokeCommand(ctx, "dev-1", "thermostat1", hubwire.MethodRequest{Name: "getReport", Payload: json.RawMessage(`"now"`)}, &service.InvokeOptions{ConnectTimeout: 3 * time.Second})
		},
		"POST /digitaltwins/dev-1/components/thermostat1/commands/getReport?api-version=2021-04-12&connectTimeoutInSeconds=3", "", `"now"`,
		says(200, `{"max":21}`, "x-ms-command-statuscode", "203"), &hubwire.MethodResponse{Status: 203, Payload: json.RawMessage(`{"max":21}`)},
	},
	"invoke a command without a payload": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return c.InvokeCommand(ctx, "dev-1", "", hubwire.MethodRequest{Name: "reboot"}, nil)
		},
		"POST /digitaltwins/dev-1/commands/reboot?api-version=2021-04-12", "", `null`, says(200, `null`, "x-ms-command-statuscode", "200"), &hubwire.MethodResponse{Status: 200},
	},
}
