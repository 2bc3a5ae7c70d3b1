package hub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// bulkErrors are the codes of the elements that a bulk request failed for, by their ids.
func bulkErrors(t *testing.T, body string) map[string]int {
	t.Helper()
	var res struct {
		IsSuccessful *bool
		Errors       []struct {
			DeviceID, ModuleID string
			ErrorCode          int
			ErrorStatus        string
		}
		Warnings []any
	}
	if err := json.Unmarshal([]byte(body), &res); err != nil || res.IsSuccessful == nil || res.Errors == nil || res.Warnings == nil {
		t.Fatalf("%s: %v", body, err)
	}
	codes := map[string]int{}
	for _, e := range res.Errors {
		codes[hubwire.Identity{DeviceID: e.DeviceID, ModuleID: e.ModuleID}.String()] = e.ErrorCode
		if e.ErrorStatus == "" {
			t.Errorf("%s has no errorStatus", e.DeviceID)
		}
	}
	if *res.IsSuccessful != (len(codes) == 0) {
		t.Errorf("isSuccessful %v with %v", *res.IsSuccessful, codes)
	}
	return codes
}

func TestRESTBulk(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, other, mod)
	r := newREST(t, h, "registryReadWrite")
	before, err := h.Device(dev)
	if err != nil {
		t.Fatal(err)
	}
	res, body := r.do("POST", "/devices/"+version, `[
		{"id":"new","importMode":"create","status":"Disabled","statusReason":"why","tags":{"a":1},"properties":{"desired":{"b":2}}},
		{"id":"new","moduleId":"m","importMode":"Create","authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"`+strings.Repeat("ab", 20)+`"}}},
		{"id":"dev-1","importMode":"create"},
		{"id":"dev-1","moduleId":"mod","importMode":"DELETE"},
		{"id":"dev-2","importMode":"UpdateIfMatchETag","eTag":"MA==","status":"disabled"},
		{"id":"none","importMode":"updateTwin","tags":{}},
		{"id":"odd","importMode":"forget"},
		{"id":"a b","importMode":"create"},
		{"id":"asleep","importMode":"create","status":"asleep"}
	]`)
	if res.StatusCode != 400 || res.Header.Get("iothub-errorcode") != "BulkRegistryOperationFailure" || res.Header.Get("IotHubErrorCode") != "BulkRegistryOperationFailure" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	want := map[string]int{"dev-1": 409001, "dev-2": 412001, "none": 404001, "odd": 400004, "a b": 400004, "asleep": 400004}
	if diff := cmp.Diff(want, bulkErrors(t, body)); diff != "" {
		t.Errorf("errors (-want +got)\n%s", diff)
	}
	d, err := h.Device(hubwire.Identity{DeviceID: "new"})
	if err != nil || !d.Disabled || d.StatusReason != "why" {
		t.Errorf("the new device: %+v, %v", d, err)
	}
	twin, err := h.Twin(t.Context(), hubwire.Identity{DeviceID: "new"})
	if err != nil || string(twin.Tags) != `{"a":1}` || string(twin.Desired.JSON) != `{"b":2}` {
		t.Errorf("its twin: %+v, %v", twin, err)
	}
	m, err := h.Device(hubwire.Identity{DeviceID: "new", ModuleID: "m"})
	if err != nil || m.Auth != hub.AuthSelfSigned {
		t.Errorf("the new module: %+v, %v", m, err)
	}
	if _, err := h.Device(mod); err == nil {
		t.Error("the module was not deleted")
	}
	if d, _ := h.Device(other); d.Disabled {
		t.Error("an update with another etag was done")
	}
	if d, _ := h.Device(dev); d.PrimaryKey.Reveal() != before.PrimaryKey.Reveal() || d.ETag != before.ETag {
		t.Error("a device that is there was created anew")
	}
}

func TestRESTBulkRefusals(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	r := newREST(t, h, "iothubowner")
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id":"d%d","importMode":"create"}`, i)
	}
	for _, tt := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"nothing", ``, 400, "IotHubFormatError"},
		{"no list", `{"id":"d1","importMode":"create"}`, 400, "IotHubFormatError"},
		{"an empty list", `[]`, 400, "ArgumentInvalid"},
		{"one twice", `[{"id":"d1","importMode":"create"},{"id":"d1","importMode":"create"}]`, 400, "DeviceDefinedMultipleTimes"},
		{"one too many", "[" + strings.Join(many, ",") + "]", 413, "TooManyDevices"},
		{"a member of another type", `[{"id":"d1","importMode":7}]`, 400, "IotHubFormatError"},
		{"eight MiB", `[{"id":"d1","importMode":"create","tags":{"a":"` + strings.Repeat("x", 8<<20) + `"}}]`, 413, "MessageTooLarge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := r.do("POST", "/devices"+version, tt.body)
			refusedAs(t, res, body, tt.status, tt.code)
		})
	}
	if n := len(h.Devices(100)); n != 0 {
		t.Errorf("there are %d devices", n)
	}
	res, body := r.do("POST", "/devices"+version, "["+strings.Join(many[:100], ",")+"]")
	if res.StatusCode != 200 || len(bulkErrors(t, body)) != 0 || len(h.Devices(1000)) != 100 {
		t.Errorf("a hundred: %s %s", res.Status, body)
	}
}

func TestRESTRegeneratesKeys(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod)
	if _, err := h.Create(t.Context(), &hub.Device{Identity: other, Auth: hub.AuthCA}); err != nil {
		t.Fatal(err)
	}
	r := newREST(t, h, "registryReadWrite")
	const path = "/devices/keys/regenerate?api-version=2024-03-31"
	before, _ := h.Device(dev)
	old := as(t, h, dev)
	res, body := r.do("POST", path, `{"policyKey":"primaryKey","devices":[{"id":"dev-1"},{"id":"dev-1","moduleId":"mod"}]}`)
	after, _ := h.Device(dev)
	var got struct {
		PolicyKey   string
		RotatedKeys []struct{ ID, ModuleID, PrimaryKey, SecondaryKey string }
		Errors      []any
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || res.StatusCode != 200 || got.PolicyKey != "primaryKey" || len(got.RotatedKeys) != 2 || got.Errors == nil {
		t.Fatalf("%s %s, %v", res.Status, body, err)
	}
	if k := got.RotatedKeys[0]; k.PrimaryKey != after.PrimaryKey.Reveal() || k.PrimaryKey == before.PrimaryKey.Reveal() || k.SecondaryKey != before.SecondaryKey.Reveal() {
		t.Error("the keys are not what was asked for")
	}
	res, body = r.do("POST", eventsOfDev, "", old...)
	refusedAs(t, res, body, 401, "IotHubUnauthorized")
	if res, body := r.do("POST", path, `{"policyKey":"both","devices":[{"id":"dev-1"},{"id":"dev-2"}]}`); res.StatusCode != 207 || !strings.Contains(body, `"errorCode":400003`) {
		t.Errorf("one of two: %s %s", res.Status, body)
	}
	res, body = r.do("POST", path, `{"policyKey":"both","devices":[{"id":"x"}]}`)
	if res.StatusCode != 400 || res.Header.Get("iothub-errorcode") != "BulkRegenerateDeviceKeyOperationFailure" || !strings.Contains(body, `"errorCode":404001`) {
		t.Errorf("none: %s %s", res.Status, body)
	}
	res, body = r.do("POST", path, `{"policyKey":"all","devices":[{"id":"dev-1"}]}`)
	refusedAs(t, res, body, 400, "InvalidPolicyKey")
}
