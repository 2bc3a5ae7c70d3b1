package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// service tests what azure-iothub can do over REST with the program's hub.
type service struct {
	*program
}

// TestProgramService lets the service's SDK do all that it does over REST with
// the program itself. What a group makes has names of its own.
func TestProgramService(t *testing.T) {
	wanted(t)
	s := &service{join(t)}
	s.beside(t, "bulk registry", s.bulk)
	s.beside(t, "modules and their etags", s.moduleETags)
	s.beside(t, "twins", s.twins)
	s.beside(t, "tokens that are refused", s.tokens)
	s.beside(t, "queries", s.queries)
	s.beside(t, "jobs", s.scheduled)
	s.beside(t, "configurations", s.configurations)
	s.beside(t, "digital twins", s.digitalTwin)
}

// beside has a group run beside the others.
func (s *service) beside(t *testing.T, name string, group func(*testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		group(t)
	})
}

// bulkResult is what the hub says of a bulk operation.
type bulkResult struct {
	IsSuccessful bool        `json:"isSuccessful"`
	Errors       []bulkError `json:"errors"`
	Warnings     []any       `json:"warnings"`
}

type bulkError struct {
	DeviceID string `json:"deviceId"`
	ModuleID string `json:"moduleId"`
	Code     int    `json:"errorCode"`
}

// all is what a bulk operation says that all of it was done.
const all = `{"isSuccessful":true,"errors":[],"warnings":[]}`

// inPart runs a bulk operation that fails for some. The SDK makes an
// ArgumentError of it, whose text is the hub's answer.
func (s *service) inPart(t *testing.T, action string, args any, want ...bulkError) {
	t.Helper()
	r, err := s.services.call(within(t), s.office.name, action, args)
	e, ok := err.(*sdkError)
	if !ok || e.Name != "ArgumentError" {
		t.Fatalf("%s, %v, want an ArgumentError", r, err)
	}
	var got bulkResult
	if err := json.Unmarshal([]byte(strings.TrimPrefix(e.Message, "Error: ")), &got); err != nil {
		t.Fatalf("%q: %v", e.Message, err)
	}
	if diff := cmp.Diff(bulkResult{Errors: want, Warnings: []any{}}, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", action, diff)
	}
}

func (s *service) statusOf(t *testing.T, id string) string {
	t.Helper()
	return answered[identity](t, s.office, "get", address{DeviceID: id}).Status
}

// bulk has a hundred devices, and what happens to a few of them.
func (s *service) bulk(t *testing.T) {
	b := s.id("bulk")
	var many []address
	for i := range 100 {
		many = append(many, address{DeviceID: fmt.Sprintf("%s-%d", b, i)})
	}
	type device map[string]any
	t.Run("a hundred devices at once", func(t *testing.T) {
		s.office.gives(t, all, "addDevices", many)
		if n := s.statistics(t); n.Total < 100 || n.Enabled < 100 || n.Total != n.Enabled+n.Disabled {
			t.Errorf("statistics %+v", n)
		}
		made := answered[identity](t, s.office, "get", many[99])
		if k := made.Authentication.SymmetricKey; made.Authentication.Type != "sas" || len(k.Primary) != 44 || k.Primary == k.Secondary {
			t.Errorf("created %+v", redacted(made))
		}
	})
	t.Run("one that is there already", func(t *testing.T) {
		s.inPart(t, "addDevices", []address{{DeviceID: b + "-1"}, {DeviceID: b + "-new"}}, bulkError{DeviceID: b + "-1", Code: 409001})
		if got := s.statusOf(t, b+"-new"); got != "enabled" {
			t.Errorf("the other one is %q", got)
		}
	})
	t.Run("a module, and one of a device that is not there", func(t *testing.T) {
		s.inPart(t, "addDevices", []device{{"deviceId": b + "-1", "moduleId": "m"}, {"deviceId": b + "-none", "moduleId": "m"}},
			bulkError{DeviceID: b + "-none", ModuleID: "m", Code: 404001})
		if m := answered[identity](t, s.office, "getModule", address{DeviceID: b + "-1", ModuleID: "m"}); m.ModuleID != "m" {
			t.Errorf("the module is %+v", redacted(m))
		}
	})
	t.Run("with tags and desired properties", func(t *testing.T) {
		s.office.gives(t, all, "addDevices", []device{{"deviceId": b + "-twin", "status": "disabled", "statusReason": "ü",
			"tags": device{"a": "ü"}, "properties": device{"desired": device{"b": 1}}}})
		tw := answered[twinOfService](t, s.office, "twin", address{DeviceID: b + "-twin"})
		sameValue(t, "tags", `{"a":"ü"}`, tw.Tags)
		if tw.Properties.Desired["b"] != 1.0 || s.statusOf(t, b+"-twin") != "disabled" {
			t.Errorf("desired %v", tw.Properties.Desired)
		}
	})
	t.Run("update whatever the etag", func(t *testing.T) {
		s.inPart(t, "updateDevices", device{"force": true, "devices": []device{{"deviceId": b + "-2", "status": "disabled"}, {"deviceId": b + "-none"}}},
			bulkError{DeviceID: b + "-none", Code: 404001})
		if got := s.statusOf(t, b+"-2"); got != "disabled" {
			t.Errorf("it is %q", got)
		}
	})
	t.Run("update with the etag, and with another", func(t *testing.T) {
		d := answered[identity](t, s.office, "get", many[3])
		d.Status = "disabled"
		stale := answered[identity](t, s.office, "get", many[4])
		stale.ETag = d.ETag + "x"
		s.inPart(t, "updateDevices", device{"force": false, "devices": []identity{d, stale}}, bulkError{DeviceID: b + "-4", Code: 412001})
		if a, b := s.statusOf(t, b+"-3"), s.statusOf(t, b+"-4"); a != "disabled" || b != "enabled" {
			t.Errorf("they are %q and %q", a, b)
		}
	})
	t.Run("one named twice", func(t *testing.T) {
		s.office.fails(t, "ArgumentError", b+"-1", "updateDevices", device{"force": true, "devices": []address{many[1], many[5], many[1]}})
	})
	t.Run("an illegal id among others", func(t *testing.T) {
		s.inPart(t, "addDevices", []address{{DeviceID: b + "/1"}, {DeviceID: b + "-other"}}, bulkError{DeviceID: b + "/1", Code: 400004})
	})
	t.Run("remove with another etag, then whatever it is", func(t *testing.T) {
		s.inPart(t, "removeDevices", device{"force": false, "devices": []device{{"deviceId": b + "-0", "etag": "AAAA"}}}, bulkError{DeviceID: b + "-0", Code: 412001})
		s.office.gives(t, all, "removeDevices", device{"force": true, "devices": many})
		s.office.gives(t, all, "removeDevices", device{"force": true, "devices": []address{{DeviceID: b + "-new"}, {DeviceID: b + "-twin"}, {DeviceID: b + "-other"}}})
		if got := s.listed(t, b); len(got) > 0 {
			t.Errorf("there still: %v", got)
		}
	})
}

// moduleETags has a module updated: of a single device, the SDK has no update with its etag.
func (s *service) moduleETags(t *testing.T) {
	id := address{DeviceID: s.id("etag"), ModuleID: "m"}
	s.office.do(t, "create", address{DeviceID: id.DeviceID})
	m := answered[identity](t, s.office, "addModule", id)
	update := func(m identity, force bool) map[string]any { return map[string]any{"module": m, "force": force} }
	t.Run("update with the etag", func(t *testing.T) {
		m.ManagedBy = "somebody"
		now := answered[identity](t, s.office, "updateModule", update(m, false))
		if now.ManagedBy != "somebody" || now.ETag == m.ETag || now.GenerationID != m.GenerationID {
			t.Errorf("updated to %+v", redacted(now))
		}
	})
	t.Run("update with the old one", func(t *testing.T) {
		s.office.fails(t, "InvalidEtagError", "", "updateModule", update(m, false))
	})
	t.Run("update whatever it is", func(t *testing.T) {
		m.ManagedBy = "another"
		if now := answered[identity](t, s.office, "updateModule", update(m, true)); now.ManagedBy != "another" {
			t.Errorf("updated to %+v", redacted(now))
		}
	})
	t.Run("remove with the old one", func(t *testing.T) { s.office.fails(t, "InvalidEtagError", "", "removeModuleIf", m) })
	t.Run("add it again", func(t *testing.T) { s.office.fails(t, "DeviceAlreadyExistsError", "", "addModule", id) })
	t.Run("another one that is not there", func(t *testing.T) {
		other := address{DeviceID: id.DeviceID, ModuleID: "none"}
		for _, action := range []string{"getModule", "removeModule", "twin"} {
			s.office.fails(t, "Error", "Not found", action, other)
		}
		s.office.fails(t, "Error", "Not found", "updateModule", update(identity{DeviceID: id.DeviceID, ModuleID: "none"}, true))
	})
	t.Run("remove with the new one", func(t *testing.T) {
		s.office.do(t, "removeModuleIf", answered[identity](t, s.office, "getModule", id))
		s.office.gives(t, "[]", "modules", id)
	})
	s.office.do(t, "delete", id)
}

// twins has the SDK's Twin, which keeps its etag.
func (s *service) twins(t *testing.T) {
	id := address{DeviceID: s.id("twin")}
	s.office.do(t, "create", id)
	s.office.do(t, "keepTwin", id)
	version := func(t *testing.T, action string, args any) float64 {
		t.Helper()
		return answered[twinOfService](t, s.office, action, args).Properties.Desired["$version"].(float64)
	}
	t.Run("update", func(t *testing.T) {
		if v := version(t, "updateKept", json.RawMessage(`{"tags":{"a":{"b":1,"c":2}},"properties":{"desired":{"n":1,"o":{"p":1}}}}`)); v != 2 {
			t.Errorf("desired version %v", v)
		}
	})
	t.Run("update with null, which removes", func(t *testing.T) {
		tw := answered[twinOfService](t, s.office, "updateKept", json.RawMessage(`{"tags":{"a":{"b":null}},"properties":{"desired":{"o":null}}}`))
		sameValue(t, "tags", `{"a":{"c":2}}`, tw.Tags)
		if _, there := tw.Properties.Desired["o"]; there || tw.Properties.Desired["n"] != 1.0 {
			t.Errorf("desired %v", tw.Properties.Desired)
		}
	})
	t.Run("update when somebody else did", func(t *testing.T) {
		s.office.do(t, "updateTwin", address{DeviceID: id.DeviceID, Patch: json.RawMessage(`{"tags":{"x":1}}`), ETag: "*"})
		s.office.fails(t, "InvalidEtagError", "", "updateKept", json.RawMessage(`{"tags":{"x":2}}`))
	})
	t.Run("get, then update", func(t *testing.T) {
		tw := answered[twinOfService](t, s.office, "refreshKept", nil)
		sameValue(t, "tags", `{"a":{"c":2},"x":1}`, tw.Tags)
		if v := version(t, "updateKept", json.RawMessage(`{"properties":{"desired":{"n":2}}}`)); v != 4 {
			t.Errorf("desired version %v", v)
		}
	})
	t.Run("what is refused", func(t *testing.T) {
		for name, patch := range map[string]any{
			"a name with a dollar sign": json.RawMessage(`{"tags":{"$a":1}}`),
			"an array for tags":         json.RawMessage(`{"tags":[1]}`),
			"a string over 4 KB":        json.RawMessage(`{"tags":{"a":"` + strings.Repeat("x", 4097) + `"}}`),
			"over 32 KB":                map[string]any{"properties": map[string]any{"desired": many(9, strings.Repeat("y", 4000))}},
			"twelve levels":             json.RawMessage(`{"properties":{"desired":` + strings.Repeat(`{"a":`, 12) + "1" + strings.Repeat("}", 12) + `}}`),
		} {
			t.Run(name, func(t *testing.T) {
				s.office.fails(t, "ArgumentError", "", "updateTwin", address{DeviceID: id.DeviceID, Patch: patch, ETag: "*"})
			})
		}
	})
	t.Run("of nobody", func(t *testing.T) {
		s.office.fails(t, "DeviceNotFoundError", "", "twin", address{DeviceID: "nobody"})
		s.office.fails(t, "DeviceNotFoundError", "", "updateTwin", address{DeviceID: "nobody", Patch: json.RawMessage(`{"tags":{}}`), ETag: "*"})
	})
	s.office.do(t, "delete", id)
}

// tokens are those that the SDK is given, instead of the key that it makes its own with.
func (s *service) tokens(t *testing.T) {
	cs := s.env["HUBWIRE_CONNECTION_STRING"]
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	s.services.add(t, "new office", setup{Token: token(t, cs, "localhost", "iothubowner", soon)}).do(t, "statistics", nil)
	for name, token := range map[string]string{
		"expired an hour ago":  token(t, cs, "localhost", "iothubowner", past),
		"of an unknown policy": token(t, cs, "localhost", "nobody", soon),
	} {
		t.Run(name, func(t *testing.T) {
			o := s.services.add(t, "new office", setup{Token: token})
			for action, args := range map[string]any{
				"list": nil, "create": address{DeviceID: "refused"}, "twin": address{DeviceID: "refused"}, "page": sql{SQL: "SELECT * FROM devices"},
				"job": job{JobID: "refused"}, "configurations": nil, "invoke": address{DeviceID: "refused"}.call("x", nil), "transfers": nil,
			} {
				o.fails(t, "UnauthorizedError", "", action, args)
			}
		})
	}
}
