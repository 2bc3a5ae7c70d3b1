package httpsx_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/internal/testkit"
)

// allOperations are the constants.
func allOperations(t *testing.T) (ops []httpsx.Operation) {
	t.Helper()
	for op := range httpsx.DeleteModuleOnBehalfOf + 1 {
		if op.Method() != "" {
			ops = append(ops, op)
		}
	}
	if len(ops) < 54 {
		t.Fatalf("there are %d operations", len(ops))
	}
	return ops
}

// targets are what op can be asked of, with ids of every kind of byte.
func targets(op httpsx.Operation, id string) (ts []httpsx.Target) {
	for _, t := range []httpsx.Target{
		{},
		{Name: id},
		{Identity: hubwire.Identity{DeviceID: id}},
		{Identity: hubwire.Identity{DeviceID: id}, Name: id},
		{Identity: hubwire.Identity{DeviceID: id, ModuleID: id}},
		{Identity: hubwire.Identity{DeviceID: id, ModuleID: id}, Name: id},
		{Identity: hubwire.Identity{DeviceID: id}, Name: id, Component: id},
	} {
		if op.Check(t) == nil {
			ts = append(ts, t)
		}
	}
	return ts
}

func newRequest(method, path string) *http.Request {
	return httptest.NewRequest(method, "https://hub"+path, nil)
}

const oddID = "-:.+%_#*?!(),=@;$'%2Fa%20"

func TestOperationsAreFoundByTheRequestsTheyMake(t *testing.T) {
	names := map[string]httpsx.Operation{}
	for _, op := range allOperations(t) {
		if other, ok := names[op.String()]; ok {
			t.Errorf("%d and %d are both %q", op, other, op)
		}
		names[op.String()] = op
		ts := targets(op, oddID)
		if len(ts) == 0 {
			t.Errorf("%v can be asked of nothing", op)
		}
		for _, target := range ts {
			r := httpsx.Request{Op: op, Target: target}
			req, err := r.NewHTTP(t.Context(), "hub")
			if err != nil {
				t.Fatal(err)
			}
			got, on, err := httpsx.Match(req)
			if err != nil || got != op || on != target {
				t.Errorf("%s %s is %v on %+v, %v; want %v on %+v", req.Method, req.URL, got, on, err, op, target)
			}
		}
	}
}

func TestSpellingsOfAPath(t *testing.T) {
	device := httpsx.Target{Identity: hubwire.Identity{DeviceID: "d'v*1#"}}
	module := httpsx.Target{Identity: hubwire.Identity{DeviceID: "d", ModuleID: "$edgeHub"}}
	for _, tt := range []struct {
		name, method, path string
		op                 httpsx.Operation
		on                 httpsx.Target
	}{
		{"lower-case hex", "GET", "/devices/d%27v%2a1%23", httpsx.GetDevice, device},
		{"upper-case hex, and what needs none encoded too", "GET", "/%64evices/%64'v%2A1%23", httpsx.GetDevice, device},
		{"fixed words in any case", "GET", "/DEVICES/d'v*1%23/Messages/DEVICEBOUND", httpsx.ReceiveC2D, device},
		{"a slash at the end of a collection", "POST", "/devices/?api-version=2021-04-12", httpsx.BulkDevices, httpsx.Target{}},
		{"a slash at the end of an upload", "POST", "/devices/d'v*1%23/files/notifications/", httpsx.NotifyUpload, device},
		{"a slash in front", "GET", "//devices/d'v*1%23", httpsx.GetDevice, device},
		{"a plus is a plus", "GET", "/devices/a+b%2Bc", httpsx.GetDevice, httpsx.Target{Identity: hubwire.Identity{DeviceID: "a+b+c"}}},
		{"an encoded percent sign is decoded once", "GET", "/devices/a%2520", httpsx.GetDevice, httpsx.Target{Identity: hubwire.Identity{DeviceID: "a%20"}}},
		{"a dollar sign in a word, encoded", "GET", "/devices/d/modules/%24edgeHub/devicesAndModulesInDeviceScope", httpsx.ListScope, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}}},
		{"a module by that name", "GET", "/devices/d/modules/%24edgeHub", httpsx.GetModule, module},
		{"a device by the name of a collection", "GET", "/devices/query", httpsx.GetDevice, httpsx.Target{Identity: hubwire.Identity{DeviceID: "query"}}},
		{"a collection by the name of a device", "POST", "/devices/query", httpsx.Query, httpsx.Target{}},
		{"a fixed word before a name", "GET", "/jobs/v2/query", httpsx.ListJobs, httpsx.Target{}},
		{"a job of either kind", "GET", "/jobs/v2/j", httpsx.GetJob, httpsx.Target{Name: "j"}},
		{"a job of the other kind", "GET", "/jobs/v2", httpsx.GetImportExport, httpsx.Target{Name: "v2"}},
		{"a correlation id with a slash", "POST", "/devices/d/files/notifications/a%2Fb%3D", httpsx.NotifyUpload, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "a/b="}},
		{"a root command", "POST", "/digitalTwins/d/commands/c", httpsx.InvokeCommand, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "c"}},
		{"a component's command", "POST", "/digitaltwins/d/components/x/commands/c", httpsx.InvokeCommand, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "c", Component: "x"}},
		{"a completion", "DELETE", "/devices/d/messages/deviceBound/t?api-version=2021-04-12", httpsx.CompleteC2D, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "t"}},
		{"a rejection as C writes it", "DELETE", "/devices/d/messages/deviceBound/t?api-version=2021-04-12&reject", httpsx.RejectC2D, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "t"}},
		{"a rejection as the az CLI writes it", "DELETE", "/devices/d/messages/deviceBound/t?reject=&api-version=2021-04-12", httpsx.RejectC2D, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "t"}},
		{"a rejection as Java writes it", "DELETE", "/devices/d/messages/deviceBound/t?api-version=2021-04-12&%3Freject=true", httpsx.RejectC2D, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "t"}},
		{"not a rejection", "DELETE", "/devices/d/messages/deviceBound/t?rejected=true&x=reject", httpsx.CompleteC2D, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "t"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			op, on, err := httpsx.Match(newRequest(tt.method, tt.path))
			if err != nil || op != tt.op || on != tt.on {
				t.Errorf("%v on %+v, %v; want %v on %+v", op, on, err, tt.op, tt.on)
			}
		})
	}
}

func TestRequestsThatNothingMatches(t *testing.T) {
	long := strings.Repeat("d", 128)
	for name, tt := range map[string]struct {
		method, path string
		code         hubwire.Code
		says         string
	}{
		"no path":                          {"GET", "/", hubwire.NotFound, ""},
		"a path of other things":           {"GET", "/subscriptions/1", hubwire.NotFound, ""},
		"a word that is cut":               {"GET", "/device", hubwire.NotFound, ""},
		"an empty id in the middle":        {"GET", "/devices//modules/m", hubwire.NotFound, ""},
		"a path that is too long":          {"GET", "/devices/d/modules/m/messages/deviceBound/t/abandon/x", hubwire.NotFound, ""},
		"a word in letters beyond ASCII":   {"GET", "/devices/d/messages/deviceBound/t/" + "\u212A", hubwire.NotFound, ""}, // folds to k
		"another method":                   {"PUT", "/devices", hubwire.MethodNotAllowed, `"PUT"`},
		"a method that is none":            {"BREW", "/twins/d", hubwire.MethodNotAllowed, `"BREW"`},
		"a method in lower case":           {"get", "/devices/d", hubwire.MethodNotAllowed, `"get"`},
		"an id of 129 bytes":               {"GET", "/devices/" + long + "d", hubwire.ArgumentInvalid, "device id has 129 bytes, the limit is 128"},
		"an id with a slash":               {"GET", "/devices/a%2Fb", hubwire.ArgumentInvalid, "device id has the byte '/' at offset 1"},
		"an id with a blank":               {"GET", "/devices/a%20b", hubwire.ArgumentInvalid, "device id has the byte ' ' at offset 1"},
		"an id that is not ASCII":          {"GET", "/twins/%C3%A4", hubwire.ArgumentInvalid, "device id has the byte"},
		"a module id with a forbidden one": {"GET", "/devices/d/modules/%26", hubwire.ArgumentInvalid, "module id has the byte '&' at offset 0"},
		"a job id with a line feed":        {"GET", "/jobs/v2/a%0Ab", hubwire.ArgumentInvalid, "{name} is not text"},
		"a job id that is not UTF-8":       {"GET", "/jobs/v2/%FF", hubwire.ArgumentInvalid, "{name} is not text"},
		"a job id of 1025 bytes":           {"GET", "/jobs/v2/" + strings.Repeat("j", 1025), hubwire.ArgumentInvalid, "{name} has 1025 bytes, the limit is 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			op, _, err := httpsx.Match(newRequest(tt.method, tt.path))
			var e *hubwire.Error
			if !errors.As(err, &e) || e.Code != tt.code || e.Outcome != hubwire.Refused || !strings.Contains(e.Message, tt.says) {
				t.Errorf("%v, %v; want %v and %q", op, err, tt.code, tt.says)
			}
		})
	}
	bad := newRequest("GET", "/")
	bad.URL = &url.URL{Opaque: "x", RawPath: "/devices/%zz", Path: "/devices/%zz"}
	if op, on, err := httpsx.Match(bad); err != nil || on.Identity.DeviceID != "%zz" {
		t.Errorf("%v on %v, %v", op, on, err) // net/url encodes a raw path that is none
	}
}

func TestPatchIsAPostThatSaysSo(t *testing.T) {
	for override, want := range map[string]hubwire.Code{"PATCH": 0, "patch": 0, "PUT": hubwire.MethodNotAllowed, "": hubwire.MethodNotAllowed} {
		r := newRequest("POST", "/twins/d")
		r.Header.Set("X-HTTP-Method-Override", override)
		op, _, err := httpsx.Match(r)
		if want == 0 && (err != nil || op != httpsx.PatchTwin) || want != 0 && !errors.Is(err, want) {
			t.Errorf("%q: %v, %v", override, op, err)
		}
	}
	r := newRequest("GET", "/twins/d")
	r.Header.Set("X-HTTP-Method-Override", "PATCH")
	if op, _, err := httpsx.Match(r); err != nil || op != httpsx.GetTwin {
		t.Errorf("a GET that says PATCH: %v, %v", op, err)
	}
}

func TestAllowNamesTheMethods(t *testing.T) {
	for path, want := range map[string]string{
		"/devices/d":                       "DELETE, GET, PUT",
		"/twins/d/modules/m":               "GET, PATCH, PUT",
		"/devices/d/messages/devicebound":  "GET, POST",
		"/devices":                         "GET, POST",
		"/configurations/testQueries":      "DELETE, GET, POST, PUT",
		"/nothing":                         "",
		"/devices/d/messages/devicebound/": "GET, POST",
	} {
		if got := httpsx.Allow(newRequest("BREW", path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestTargetsThatAnOperationRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		op   httpsx.Operation
		on   httpsx.Target
		says string
	}{
		"no operation":                        {0, httpsx.Target{}, "0 is not an operation"},
		"one beyond the last":                 {255, httpsx.Target{}, "255 is not an operation"},
		"one in the gap":                      {httpsx.NotifyUpload + 1, httpsx.Target{}, "8 is not an operation"},
		"no device":                           {httpsx.GetDevice, httpsx.Target{}, "device id is empty"},
		"no module":                           {httpsx.GetModule, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}}, "module id is empty"},
		"a module where only a device can be": {httpsx.PurgeC2D, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d", ModuleID: "m"}}, "purge has no {module}"},
		"a name where none can be":            {httpsx.GetTwin, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d"}, Name: "n"}, "twin get has no {name}"},
		"a module without a device":           {httpsx.GetTwin, httpsx.Target{Identity: hubwire.Identity{ModuleID: "m"}}, "device id is empty"},
		"no job":                              {httpsx.GetJob, httpsx.Target{}, "{name} is empty"},
		"a job that breaks off":               {httpsx.GetJob, httpsx.Target{Name: "a\r\nb"}, "{name} is not text"},
		"an id of 129 bytes":                  {httpsx.GetTwin, httpsx.Target{Identity: hubwire.Identity{DeviceID: strings.Repeat("d", 129)}}, "129"},
		"a module id with a tab":              {httpsx.GetTwin, httpsx.Target{Identity: hubwire.Identity{DeviceID: "d", ModuleID: "\t"}}, "module id has the byte"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httpsx.Request{Op: tt.op, Target: tt.on}
			_, err := r.NewHTTP(t.Context(), "hub")
			var e *hubwire.Error
			if !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent || !strings.Contains(e.Message, tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}

func TestMatchingAndWritingAPathDoNotAllocate(t *testing.T) {
	r := newRequest("POST", "/devices/dev-1/modules/m/messages/events?api-version=2021-04-12")
	testkit.NoAllocs(t, "Match", func() {
		if op, _, err := httpsx.Match(r); op != httpsx.SendTelemetry || err != nil {
			t.Fatal(op, err)
		}
	})
	on := httpsx.Target{Identity: hubwire.Identity{DeviceID: "dev 1", ModuleID: "m"}}
	buf := make([]byte, 0, 100)
	testkit.NoAllocs(t, "AppendPath", func() { buf = httpsx.SendTelemetry.AppendPath(buf[:0], on) })
	if got := string(httpsx.SendTelemetry.AppendPath(nil, on)); got != "/devices/dev%201/modules/m/messages/events" {
		t.Error(got)
	}
}

func BenchmarkMatch(b *testing.B) {
	r := newRequest("POST", "/devices/dev-1/messages/events?api-version=2021-04-12")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := httpsx.Match(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewHTTP(b *testing.B) {
	r := httpsx.Request{Op: httpsx.GetTwin, Target: httpsx.Target{Identity: hubwire.Identity{DeviceID: "dev-1"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.NewHTTP(b.Context(), "hub"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadRequest(b *testing.B) {
	r := newRequest("POST", "/devices/dev-1/messages/events?api-version=2021-04-12")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := httpsx.ReadRequest(r); err != nil {
			b.Fatal(err)
		}
	}
}
