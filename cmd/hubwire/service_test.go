package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// serve runs hubwire service with args and returns what it printed; it has to succeed.
func serve(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, "", append([]string{"service"}, args...)...)
	if err != nil {
		t.Fatalf("service %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// refusedBy runs hubwire service with args, which has to end with an error that is want.
func refusedBy(t *testing.T, want error, args ...string) {
	t.Helper()
	if out, err := command(t, "", append([]string{"service"}, args...)...); !errors.Is(err, want) {
		t.Errorf("service %s: %v, want %v\n%s", strings.Join(args, " "), err, want, out)
	}
}

func TestServiceDevices(t *testing.T) {
	h := localHub(t)
	serve(t, "device", "create", "dev-1", "--status", "disabled", "--status-reason", "new", "--edge")
	d, err := h.Device(dev)
	if err != nil || !d.Disabled || d.StatusReason != "new" {
		t.Fatalf("it is registered as %+v, %v", d, err)
	}
	refusedBy(t, hubwire.DeviceAlreadyExists, "device", "create", "dev-1")
	out := serve(t, "device", "update", "dev-1", "--status", "enabled")
	if d, err = h.Device(dev); err != nil || d.Disabled || d.StatusReason != "new" {
		t.Errorf("it is updated to %+v, %v", d, err)
	}
	for _, want := range []string{"device              dev-1\n", "status              enabled\n", "edge                yes\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("update did not print %q but\n%s", want, out)
		}
	}
	refusedBy(t, hubwire.PreconditionFailed, "device", "update", "dev-1", "--status-reason", "x", "--etag", "stale")
	refusedBy(t, hubwire.PreconditionFailed, "device", "delete", "dev-1", "--etag", "stale")

	cs, err := h.ConnectionString(dev)
	if err != nil {
		t.Fatal(err)
	}
	if out := serve(t, "device", "get", "dev-1", "--show-keys"); !strings.Contains(out, "connection string   "+cs+"\n") {
		t.Errorf("the connection string is not in\n%s", out)
	}
	serve(t, "device", "keys", "dev-1")
	if again, err := h.ConnectionString(dev); err != nil || again == cs {
		t.Errorf("the key is still the old one (%v)", err)
	}
	refusedBy(t, nil, "device", "keys", "dev-1", "--which", "both")
	if err := h.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
		t.Fatal(err)
	}
	if got := serve(t, "device", "purge", "dev-1"); got != "purged 1 message\n" {
		t.Errorf("purge printed %q", got)
	}
	if got := serve(t, "device", "statistics"); got != "devices             1\nenabled             1\ndisabled            0\nconnected           0\n" {
		t.Errorf("statistics printed %q", got)
	}
	serve(t, "device", "delete", "dev-1")
	refusedBy(t, hubwire.DeviceNotFound, "device", "get", "dev-1")
}

func TestServiceModules(t *testing.T) {
	h := localHub(t)
	hubtest.Device(t, h, "dev-1")
	serve(t, "module", "create", "dev-1", "meter", "--managed-by", "me")
	out := serve(t, "module", "list", "dev-1")
	if want := "module  connection    auth  managed by  last activity\nmeter   Disconnected  sas   me\n"; out != want {
		t.Errorf("list printed\n%s\nwant\n%s", out, want)
	}
	if out := serve(t, "module", "update", "dev-1", "meter", "--managed-by", "you", "--auth", "ca"); !strings.Contains(out, "managed by          you\n") || !strings.Contains(out, "certificateAuthority\n") {
		t.Errorf("update printed\n%s", out)
	}
	refusedBy(t, hubwire.PreconditionFailed, "module", "delete", "dev-1", "meter", "--etag", "stale")
	serve(t, "module", "delete", "dev-1", "meter")
	refusedBy(t, hubwire.ModuleNotFound, "module", "get", "dev-1", "meter")
}

func TestServiceShowsNoKeyUnasked(t *testing.T) {
	h := localHub(t)
	hubtest.Module(t, h, hubtestDevice(t, h), "meter")
	for _, args := range [][]string{
		{"device", "get", "dev-1"}, {"device", "list"}, {"device", "keys", "dev-1", "--which", "both"}, {"device", "update", "dev-1"},
		{"device", "create", "dev-2"}, {"module", "get", "dev-1", "meter"}, {"module", "list", "dev-1"}, {"module", "update", "dev-1", "meter"},
	} {
		for _, more := range [][]string{{}, {"--json"}, {"--trace"}} {
			if args[1] == "create" {
				args[2] += "x"
			}
			j := start(t, "", append(append([]string{"service"}, args...), more...)...)
			<-j.done
			out := j.stdout.String() + j.stderr.String()
			if j.err != nil {
				t.Errorf("%v: %v", args, j.err)
			}
			modules, err := h.Modules("dev-1")
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range append(h.Devices(1000), modules...) {
				for _, key := range []hub.Secret{d.PrimaryKey, d.SecondaryKey} {
					if strings.Contains(out, key.Reveal()) {
						t.Errorf("%v prints a key:\n%s", args, out)
					}
				}
			}
			if strings.Contains(out, "SharedAccess") {
				t.Errorf("%v prints a secret:\n%s", args, out)
			}
		}
	}
}

func hubtestDevice(t *testing.T, h *hub.Hub) string {
	t.Helper()
	hubtest.Device(t, h, "dev-1")
	return "dev-1"
}

func TestServiceBulk(t *testing.T) {
	h := localHub(t)
	lines := `{"id":"dev-1","importMode":"create","tags":{"n":1}}` + "\n" + `{"id":"dev-2","importMode":"create"}`
	out, err := command(t, lines, "service", "device", "bulk", "-")
	if err != nil || out != "2 done, 0 failed\n" {
		t.Fatalf("it printed %q, %v", out, err)
	}
	if tw, err := h.Twin(t.Context(), dev); err != nil || string(tw.Tags) != `{"n":1}` {
		t.Errorf("the twin is %+v, %v", tw, err)
	}
	file := filepath.Join(t.TempDir(), "array.json")
	if err := os.WriteFile(file, []byte(`[{"id":"dev-1","importMode":"create"},{"id":"dev-2","importMode":"delete"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = command(t, "", "service", "device", "bulk", file)
	if err == nil || err.Error() != "1 of 2 failed" || out != "dev-1: DeviceAlreadyExists device \"dev-1\" exists\n1 done, 1 failed\n" {
		t.Errorf("it printed %q, %v", out, err)
	}
	if left := h.Devices(10); len(left) != 1 {
		t.Errorf("%d devices are left", len(left))
	}
}

func TestServiceTwinsAndQueries(t *testing.T) {
	h := localHub(t)
	hubtest.Module(t, h, hubtestDevice(t, h), "meter")
	out := serve(t, "twin", "patch", "dev-1", "--desired", `{"a":1,"b":{"c":2}}`, "--tags", `{"room":"it's"}`)
	tw, err := h.Twin(t.Context(), dev)
	if err != nil || string(tw.Desired.JSON) != `{"a":1,"b":{"c":2}}` || string(tw.Tags) != `{"room":"it's"}` {
		t.Fatalf("the twin is %+v, %v", tw, err)
	}
	if want := "written; version 2 of the desired properties, etag " + tw.ETag + "\n"; out != want {
		t.Errorf("patch printed %q, want %q", out, want)
	}
	serve(t, "twin", "replace", "dev-1", "--desired", `{"only":true}`, "--etag", tw.ETag)
	if tw, err := h.Twin(t.Context(), dev); err != nil || string(tw.Desired.JSON) != `{"only":true}` || len(tw.Tags) > len("{}") {
		t.Errorf("the twin is %+v, %v", tw, err)
	}
	refusedBy(t, hubwire.PreconditionFailed, "twin", "patch", "dev-1", "--desired", "{}", "--etag", tw.ETag)
	serve(t, "twin", "patch", "dev-1", "--module-id", "meter", "--desired", `{"interval":122}`)
	var doc struct {
		ModuleID   string
		Properties struct{ Desired map[string]any }
	}
	if err := json.Unmarshal([]byte(serve(t, "twin", "get", "dev-1", "--module-id", "meter")), &doc); err != nil || doc.ModuleID != "meter" || doc.Properties.Desired["interval"] != 122.0 {
		t.Errorf("the module's twin is %+v, %v", doc, err)
	}

	hubtest.Device(t, h, "dev-2")
	const all = "SELECT deviceId FROM devices"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{all}, "{\"deviceId\":\"dev-1\"}\n{\"deviceId\":\"dev-2\"}\n"},
		{[]string{all, "--page-size", "1", "--json"}, "[\n{\"deviceId\":\"dev-1\"},\n{\"deviceId\":\"dev-2\"}\n]\n"},
		{[]string{all, "--top", "1"}, "{\"deviceId\":\"dev-1\"}\n"},
		{[]string{all + " WHERE tags.x = 1"}, ""},
		{[]string{all + " WHERE tags.x = 1", "--json"}, "[]\n"},
	} {
		if got := serve(t, append([]string{"query"}, tt.args...)...); got != tt.want {
			t.Errorf("query %q printed %q, want %q", tt.args, got, tt.want)
		}
	}
	refusedBy(t, hubwire.ArgumentInvalid, "query", all+" WHERE tags.x >")
}

// online connects a device that answers each method with its name and payload.
func online(t *testing.T, h *hub.Hub, cs string) {
	t.Helper()
	c, err := device.Dial(t.Context(), cs, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	err = c.HandleMethod(t.Context(), "", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 207, Payload: json.RawMessage(`["` + r.Name + `",` + string(r.Payload) + `]`)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestServiceMethods(t *testing.T) {
	h := localHub(t)
	online(t, h, hubtest.Device(t, h, "dev-1"))
	online(t, h, hubtest.Module(t, h, "dev-1", "meter"))
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"dev-1", "reboot", `{"delay":3}`}, `207 ["reboot",{"delay":3}]` + "\n"},
		{[]string{"dev-1", "reboot", "1", "--module-id", "meter"}, `207 ["reboot",1]` + "\n"},
		{[]string{"dev-1", "report", "5", "--command", "--component", "outside"}, `207 ["outside*report",5]` + "\n"},
	} {
		if got := serve(t, append([]string{"method"}, tt.args...)...); got != tt.want {
			t.Errorf("method %q printed %q, want %q", tt.args, got, tt.want)
		}
	}
	hubtest.Device(t, h, "dev-2")
	refusedBy(t, hubwire.DeviceNotOnline, "method", "dev-2", "reboot")
}

func TestServiceJobs(t *testing.T) {
	h := localHub(t)
	online(t, h, hubtest.Device(t, h, "dev-1"))
	hubtest.Device(t, h, "dev-2")
	both := "deviceId IN ['dev-1','dev-2']"
	if got := serve(t, "job", "twin", "move", "--condition", both, "--desired", `{"floor":3}`, "--dry-run"); got != "{\"deviceId\":\"dev-1\"}\n{\"deviceId\":\"dev-2\"}\n" {
		t.Errorf("the dry run printed %q", got)
	}
	refusedBy(t, hubwire.JobNotFound, "job", "get", "move")
	out := serve(t, "job", "twin", "move", "--condition", both, "--desired", `{"floor":3}`, "--wait")
	if !strings.Contains(out, "devices             2: 2 succeeded, 0 failed") || !strings.Contains(out, "dev-2   completed\n") {
		t.Errorf("it printed\n%s", out)
	}
	if tw, err := h.Twin(t.Context(), dev); err != nil || string(tw.Desired.JSON) != `{"floor":3}` {
		t.Errorf("the twin is %+v, %v", tw, err)
	}
	out, err := command(t, "", "service", "job", "method", "lock", "lockDoor", `"10m"`, "--condition", both, "--wait")
	if err == nil || err.Error() != "the job is completed, and 1 device failed" ||
		!strings.Contains(out, `dev-1   completed  207 ["lockDoor","10m"]`) || !strings.Contains(out, "dev-2   failed     DeviceNotOnline") {
		t.Errorf("it printed\n%s\n%v", out, err)
	}
	if out := serve(t, "job", "devices", "lock", "--status", "failed"); strings.Contains(out, "dev-1") || !strings.Contains(out, "dev-2") {
		t.Errorf("those that failed are\n%s", out)
	}
	serve(t, "job", "twin", "later", "--condition", "*", "--tags", `{"x":1}`, "--start", time.Now().Add(time.Hour).Format(time.RFC3339))
	if out := serve(t, "job", "cancel", "later"); !strings.Contains(out, "status              cancelled\n") {
		t.Errorf("cancel printed\n%s", out)
	}
	if out := serve(t, "job", "list", "--type", "twin", "--status", "cancelled"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "\nlater ") {
		t.Errorf("list printed\n%s", out)
	}
	if _, err := command(t, "", "service", "job", "wait", "later", "--every", "1ms", "--json"); err == nil || !strings.HasPrefix(err.Error(), "the job is cancelled") {
		t.Errorf("waiting for a cancelled job ended with %v", err)
	}
}

func TestServiceExportsAndImports(t *testing.T) {
	h := localHub(t)
	hubtest.Device(t, h, "dev-1")
	url, err := h.ContainerURL("registry", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINER", url.Reveal())
	if out := serve(t, "job", "export", "--container", "env:CONTAINER", "--with-keys"); !strings.Contains(out, "status              completed\n") {
		t.Errorf("it printed\n%s", out)
	}
	before, err := h.ConnectionString(dev)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, "device", "delete", "dev-1")
	out := serve(t, "job", "import", "--container", "env:CONTAINER", "--json", "--trace")
	if !strings.Contains(out, `"status": "completed"`) || strings.Contains(out, "sig=") {
		t.Errorf("it printed\n%s", out)
	}
	if after, err := h.ConnectionString(dev); err != nil || after != before {
		t.Errorf("what was imported is not what was exported (%v)", err)
	}
}

func TestServiceConfigurations(t *testing.T) {
	h := localHub(t)
	hubtestDevice(t, h)
	serve(t, "twin", "patch", "dev-1", "--tags", `{"room":"cellar"}`)
	green := `{"deviceContent":{"properties.desired.led":"green"}}`
	serve(t, "configuration", "create", "green", "--target", "tags.room = 'cellar'", "--priority", "5", "--label", "by=me", "--content", green,
		"--metric", "lit=SELECT deviceId FROM devices WHERE properties.desired.led = 'green'")
	for {
		out := serve(t, "configuration", "get", "green")
		if strings.Contains(out, "metric lit          1\n") && strings.Contains(out, "metric appliedCount 1\n") && strings.Contains(out, "label by            me\n") {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal(out)
		}
	}
	if tw, err := h.Twin(t.Context(), dev); err != nil || string(tw.Desired.JSON) != `{"led":"green"}` {
		t.Errorf("the twin is %+v, %v", tw, err)
	}
	serve(t, "configuration", "update", "green", "--priority", "9")
	if diff := cmp.Diff("configuration  priority  target\ngreen          9         tags.room = 'cellar'\n", serve(t, "configuration", "list")); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
	refusedBy(t, hubwire.PreconditionFailed, "configuration", "delete", "green", "--etag", "stale")
	serve(t, "configuration", "delete", "green")
	refusedBy(t, hubwire.ConfigurationNotFound, "configuration", "get", "green")
	if out, err := command(t, green, "service", "configuration", "apply", "dev-1", "--content", "-"); err != nil || out != "applied to dev-1\n" {
		t.Errorf("apply printed %q, %v", out, err)
	}
	out, err := command(t, "", "service", "configuration", "test", "--target", "tags.room >", "--metric", "a=SELECT * FROM devices", "--metric", "b=x")
	if err == nil || !strings.Contains(out, "target              query: at offset") || strings.Contains(out, "metric a") || !strings.Contains(out, "metric b") {
		t.Errorf("test printed\n%s\n%v", out, err)
	}
}
