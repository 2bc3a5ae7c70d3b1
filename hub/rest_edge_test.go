package hub_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// edgeHome is a hub with an edge device top, whose children are the edge device low and the leaf
// a with a module m; the leaf b is low's.
func edgeHome(t *testing.T) *hub.Hub {
	t.Helper()
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	register := func(d *hub.Device) string {
		t.Helper()
		d, err := h.Create(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return d.Scope
	}
	id := func(s ...string) hubwire.Identity {
		return hubwire.Identity{DeviceID: s[0], ModuleID: strings.Join(s[1:], "")}
	}
	top := register(&hub.Device{Identity: id("top"), Edge: true})
	low := register(&hub.Device{Identity: id("low"), Edge: true, ParentScopes: []string{top}})
	register(&hub.Device{Identity: id("a"), Scope: top})
	register(&hub.Device{Identity: id("a", "m")})
	register(&hub.Device{Identity: id("b"), Scope: low})
	for _, name := range []string{"top", "low"} {
		if _, err := h.Update(t.Context(), &hub.Device{Identity: id(name, "$edgeHub")}, ""); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// inScope are the ids that a scope's answer has.
func inScope(t *testing.T, body string) (ids []string, next string) {
	t.Helper()
	var v struct {
		Devices          []struct{ DeviceID string }
		Modules          []struct{ DeviceID, ModuleID string }
		ContinuationLink *string
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil || v.Devices == nil || v.Modules == nil || !strings.Contains(body, `"continuationLink":`) {
		t.Fatalf("%s: %v", body, err)
	}
	for _, d := range v.Devices {
		ids = append(ids, d.DeviceID)
	}
	for _, m := range v.Modules {
		ids = append(ids, m.DeviceID+"/"+m.ModuleID)
	}
	if v.ContinuationLink != nil {
		next = *v.ContinuationLink
	}
	return ids, next
}

func TestRESTScopeOfAnEdgeDevice(t *testing.T) {
	h := edgeHome(t)
	r := newREST(t, h, "")
	top := as(t, h, hubwire.Identity{DeviceID: "top", ModuleID: "$edgeHub"})
	const at = "/devices/top/modules/$edgeHub/"
	var pages [][]string
	for path := at + "devicesAndModulesInDeviceScope?deviceCount=2&continuationToken=&api-version=2018-08-30-preview"; path != ""; {
		res, body := r.do("GET", path, "", top...)
		if res.StatusCode != 200 {
			t.Fatalf("%s: %s %s", path, res.Status, body)
		}
		var ids []string
		ids, path = inScope(t, body)
		pages = append(pages, ids)
	}
	want := [][]string{{"a", "low", "a/m", "low/$edgeAgent", "low/$edgeHub"}, {"top", "top/$edgeAgent", "top/$edgeHub"}}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("pages (-want +got)\n%s", diff)
	}
	for _, tt := range []struct {
		name, method, path, body string
		want                     []string // nil for a refusal
	}{
		{"a child", "GET", "deviceAndModuleInDeviceScope?targetDeviceId=a&targetModuleId=&", "", []string{"a"}},
		{"a child's module", "GET", "deviceAndModuleInDeviceScope?targetDeviceId=a&targetModuleId=m&", "", []string{"a", "a/m"}},
		{"a grandchild", "GET", "deviceAndModuleInDeviceScope?targetDeviceId=b&", "", nil},
		{"nobody", "GET", "deviceAndModuleInDeviceScope?targetDeviceId=&", "", nil},
		{"the scope of the edge device below", "POST", "devicesAndModulesInTargetDeviceScope?", `{"pageSize":10,"authChain":"low/$edgeHub;low;top"}`, []string{"b", "low", "low/$edgeAgent", "low/$edgeHub"}},
		{"the scope of somebody else's", "POST", "devicesAndModulesInTargetDeviceScope?", `{"pageSize":10,"authChain":"low"}`, nil},
		{"a grandchild, by a chain", "POST", "getDeviceAndModuleOnBehalfOf?", `{"targetDeviceId":"b","authChain":"b;low;top"}`, []string{"b"}},
		{"a grandchild, by no chain", "POST", "getDeviceAndModuleOnBehalfOf?", `{"targetDeviceId":"b","authChain":""}`, nil},
		{"a grandchild, by a chain of somebody else", "POST", "getDeviceAndModuleOnBehalfOf?", `{"targetDeviceId":"b","authChain":"a;top"}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, body := r.do(tt.method, at+tt.path+"api-version=2020-06-30-preview", tt.body, top...)
			if tt.want == nil {
				if res.StatusCode != 401 && res.StatusCode != 400 {
					t.Errorf("%s %s", res.Status, body)
				}
				return
			}
			if res.StatusCode != 200 {
				t.Fatalf("%s %s", res.Status, body)
			}
			got, _ := inScope(t, body)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRESTModulesOnBehalfOf(t *testing.T) {
	h := edgeHome(t)
	r := newREST(t, h, "")
	top := as(t, h, hubwire.Identity{DeviceID: "top", ModuleID: "$edgeHub"})
	ask := func(method, name, body string) (int, string) {
		t.Helper()
		res, got := r.do(method, "/devices/top/modules/$edgeHub/"+name+"?api-version=2020-06-30-preview", body, top...)
		return res.StatusCode, got
	}
	n := hubwire.Identity{DeviceID: "low", ModuleID: "n"}
	if status, body := ask("PUT", "putModuleOnBehalfOf", `{"authChain":"low;top","module":{"moduleId":"n","deviceId":"low","managedBy":"IotEdge"}}`); status != 200 || parseIdentity(t, body).ModuleID != "n" {
		t.Errorf("put: %d %s", status, body)
	}
	if d, err := h.Device(n); err != nil || d.ManagedBy != "IotEdge" {
		t.Errorf("the module: %+v, %v", d, err)
	}
	if status, body := ask("POST", "getModuleOnBehalfOf", `{"authChain":"low;top","targetModuleId":"n"}`); status != 200 || parseIdentity(t, body).ModuleID != "n" {
		t.Errorf("get: %d %s", status, body)
	}
	if status, body := ask("POST", "getModulesOnTargetDevice", `{"authChain":"low;top"}`); status != 200 || strings.Count(body, `"moduleId"`) != 3 {
		t.Errorf("list: %d %s", status, body)
	}
	for name, body := range map[string]string{
		"of a device that is not below":       `{"authChain":"b;top","module":{"moduleId":"n"}}`,
		"of an edge device that is not there": `{"authChain":"x;top","module":{"moduleId":"n"}}`,
		"of nothing":                          `{"authChain":"low;top"}`,
		"with an id that is none":             `{"authChain":"low;top","module":{"moduleId":"a b"}}`,
		"for another device":                  `{"authChain":"low;top","module":{"moduleId":"k","deviceId":"top"}}`,
	} {
		if status, got := ask("PUT", "putModuleOnBehalfOf", body); status != 400 && status != 401 {
			t.Errorf("put %s: %d %s", name, status, got)
		}
	}
	if status, body := ask("POST", "deleteModuleOnBehalfOf", `{"authChain":"low;top","moduleId":"n"}`); status != 204 {
		t.Errorf("delete: %d %s", status, body)
	}
	if _, err := h.Device(n); err == nil {
		t.Error("the module is still there")
	}
	if status, body := ask("POST", "getModuleOnBehalfOf", `{"authChain":"low;top","targetModuleId":"n"}`); status != 404 {
		t.Errorf("get afterwards: %d %s", status, body)
	}
}

// TestRESTIdentityService has a device look after its own modules, as IoT Edge's identity service does.
func TestRESTIdentityService(t *testing.T) {
	h := edgeHome(t)
	r := newREST(t, h, "")
	top := as(t, h, hubwire.Identity{DeviceID: "top"})
	const preview = "?api-version=2017-11-08-preview"
	if res, body := r.do("PUT", "/devices/top/modules/%24edgeAgent"+preview, `{"moduleId":"$edgeAgent","deviceId":"top","managedBy":"IotEdge","authentication":{"type":"sas","symmetricKey":{"primaryKey":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=","secondaryKey":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}}}`,
		append(top, "If-Match", "*")...); res.StatusCode != 200 || parseIdentity(t, body).Authentication.Type != "sas" {
		t.Errorf("update: %s %s", res.Status, body)
	}
	if res, body := r.do("PUT", "/devices/top/modules/own"+preview, `{"moduleId":"own"}`, top...); res.StatusCode != 200 {
		t.Errorf("create: %s %s", res.Status, body)
	}
	if res, body := r.do("GET", "/devices/top/modules"+preview, "", top...); res.StatusCode != 200 || strings.Count(body, `"moduleId"`) != 3 {
		t.Errorf("list: %s %s", res.Status, body)
	}
	if res, body := r.do("DELETE", "/devices/top/modules/own"+preview, "", top...); res.StatusCode != 204 {
		t.Errorf("delete: %s %s", res.Status, body)
	}
	res, body := r.do("GET", "/devices/low/modules"+preview, "", top...)
	refusedAs(t, res, body, 401, "IotHubUnauthorized")
}

// TestRESTMethodByAModule has a module call others: those of its device, and of an edge
// device's children.
func TestRESTMethodByAModule(t *testing.T) {
	h := edgeHome(t)
	for _, tt := range []struct {
		caller, target string
		status         int
	}{
		{"top/$edgeHub", "top/modules/$edgeAgent", 404}, // it may, and the other is not online
		{"top/$edgeHub", "top", 404},
		{"top/$edgeHub", "a", 404},
		{"top/$edgeHub", "a/modules/m", 404},
		{"top/$edgeHub", "b", 401},
		{"a/m", "a", 404},
		{"a/m", "top", 401},
	} {
		device, module, _ := strings.Cut(tt.caller, "/")
		caller := hubwire.Identity{DeviceID: device, ModuleID: module}
		res, body := newREST(t, h, "").do("POST", "/twins/"+tt.target+"/methods"+version, `{"methodName":"m"}`, as(t, h, caller, "x-ms-edge-moduleId", tt.caller)...)
		if res.StatusCode != tt.status {
			t.Errorf("%s to %s: %s %s", tt.caller, tt.target, res.Status, body)
		}
	}
}
