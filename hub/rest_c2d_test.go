package hub_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/mqtt"
)

const deviceBound = "/devices/dev-1/messages/deviceBound" + version

func TestRESTC2D(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		r := newREST(t, h, "service")
		res, body := r.do("POST", deviceBound, "h\x00\xff",
			"iothub-messageid", "m 1", "iothub-correlationid", "c", "iothub-contenttype", "text/plain", "iothub-ack", "positive",
			"iothub-expiry", "2000-01-01T01:00:00Z", "iothub-app-Some-Key", "a b/ü", "Content-Type", "application/octet-stream")
		if res.StatusCode != 204 || body != "" {
			t.Fatalf("%s %s", res.Status, body)
		}
		m := p.expect("h\x00\xff", 1, false)
		const want = "devices/dev-1/messages/devicebound/%24.exp=2000-01-01T01%3A00%3A00.0000000Z&%24.cid=c&%24.mid=m%201&%24.to=%2Fdevices%2Fdev-1%2Fmessages%2Fdevicebound" +
			"&%24.ct=text%2Fplain&iothub-ack=positive&some-key=a%20b%2F%C3%BC"
		got := string(m.Topic)
		if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
			t.Errorf("topic (-want +got)\n%s", diff)
		}
		p.write(&mqtt.Puback{ID: m.ID})
		p.ping()
		fb, err := h.Feedback(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantFB := []hub.Feedback{{MessageID: "m 1", Status: "Success", Identity: dev}}
		if diff := cmp.Diff(wantFB, fb, cmpopts.IgnoreFields(hub.Feedback{}, "Time", "GenerationID")); diff != "" {
			t.Errorf("feedback (-want +got)\n%s", diff)
		}
	})
}

// sorted is a topic with its bag as a set.
func sorted(topic string) map[string]bool {
	at := strings.LastIndex(topic, "/") + 1
	set := map[string]bool{topic[:at]: true}
	for pair := range strings.SplitSeq(topic[at:], "&") {
		set[pair] = true
	}
	return set
}

func TestRESTC2DForAModule(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod)
	if res, body := newREST(t, h, "service").do("POST", "/Devices/dev-1/Modules/mod/Messages/DEVICEBOUND/"+version, ""); res.StatusCode != 204 {
		t.Fatalf("%s %s", res.Status, body)
	}
	if got := [2]int{queueLength(t, h, dev), queueLength(t, h, mod)}; got != [2]int{0, 1} {
		t.Errorf("queues of device and module: %v", got)
	}
}

func TestRESTC2DRefusals(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod, other)
	for i := range 50 {
		sendC2D(t, h, other, fmt.Sprint(i))
	}
	long := strings.Repeat("x", 129)
	tests := []struct {
		name, policy, method, path, body string
		header                           []string
		status                           int
		code                             string
	}{
		{"a policy that may only read the registry", "registryReadWrite", "POST", deviceBound, "", nil, 401, "IotHubUnauthorizedAccess"},
		{"a policy for devices", "device", "POST", deviceBound, "", nil, 401, "IotHubUnauthorizedAccess"},
		{"an unknown device", "service", "POST", "/devices/x/messages/deviceBound" + version, "", nil, 404, "DeviceNotFound"},
		{"an unknown module", "service", "POST", "/devices/dev-1/modules/x/messages/deviceBound" + version, "", nil, 404, "ModuleNotFound"},
		{"the 51st message", "service", "POST", "/devices/dev-2/messages/deviceBound" + version, "", nil, 403, "DeviceMaximumQueueDepthExceeded"},
		{"a body over 64 KiB", "service", "POST", deviceBound, strings.Repeat("x", 64<<10+1), nil, 413, "MessageTooLarge"},
		{"a body over all limits", "service", "POST", deviceBound, strings.Repeat("x", 2<<20), nil, 413, "MessageTooLarge"},
		{"a body that is too large with its properties", "service", "POST", deviceBound, strings.Repeat("x", 64<<10), []string{"iothub-app-a", "b"}, 413, "MessageTooLarge"},
		{"a message id that is too long", "service", "POST", deviceBound, "", []string{"iothub-messageid", long}, 400, "ArgumentInvalid"},
		{"a property without a name", "service", "POST", deviceBound, "", []string{"iothub-app-", "x"}, 400, "ArgumentInvalid"},
		{"a property that is not UTF-8", "service", "POST", deviceBound, "", []string{"iothub-app-a", "\xff"}, 400, "ArgumentInvalid"},
		{"an acknowledgement that there is not", "service", "POST", deviceBound, "", []string{"iothub-ack", "maybe"}, 400, "ArgumentInvalid"},
		{"an expiry that is no time", "service", "POST", deviceBound, "", []string{"iothub-expiry", "soon"}, 400, "ArgumentInvalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := newREST(t, h, tt.policy).do(tt.method, tt.path, tt.body, tt.header...)
			refusedAs(t, res, body, tt.status, tt.code)
		})
	}
	if n := queueLength(t, h, dev); n != 0 {
		t.Errorf("%d messages wait", n)
	}
}

func TestRESTPurge(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod)
	sendC2D(t, h, dev, "a", "b")
	sendC2D(t, h, mod, "of the module")
	r := newREST(t, h, "service")
	for _, want := range []string{
		`{"totalMessagesPurged":2,"deviceId":"dev-1","moduleId":null}`,
		`{"totalMessagesPurged":0,"deviceId":"dev-1","moduleId":null}`,
	} {
		if res, body := r.do("DELETE", "/devices/dev-1/commands"+version, ""); res.StatusCode != 200 || body != want {
			t.Errorf("%s %s", res.Status, body)
		}
	}
	if got := [2]int{queueLength(t, h, dev), queueLength(t, h, mod)}; got != [2]int{0, 1} {
		t.Errorf("queues of device and module: %v", got)
	}
	fb, err := h.Feedback(t.Context())
	if err != nil || len(fb) != 2 || fb[0].Status != "Purged" {
		t.Errorf("feedback %+v, %v", fb, err)
	}
	res, body := r.do("DELETE", "/devices/x/commands"+version, "")
	refusedAs(t, res, body, 404, "DeviceNotFound")
	res, body = newREST(t, h, "registryReadWrite").do("DELETE", "/devices/dev-1/commands"+version, "")
	refusedAs(t, res, body, 401, "IotHubUnauthorizedAccess")
}

func TestRESTStatistics(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod, other)
	if _, err := h.Create(t.Context(), &hub.Device{Identity: hubwire.Identity{DeviceID: "x"}, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	connect(t, h, dev, nil)
	tests := []struct {
		path, policy, want string
	}{
		{"/statistics/devices", "registryRead", `{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}`},
		{"/statistics/service", "registryRead", `{"connectedDeviceCount":1}`},
		{"/Statistics/Service/", "service", `{"connectedDeviceCount":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.path+" by "+tt.policy, func(t *testing.T) {
			if res, body := newREST(t, h, tt.policy).do("GET", tt.path+version, ""); res.StatusCode != 200 || body != tt.want {
				t.Errorf("%s %s", res.Status, body)
			}
		})
	}
	for path, policy := range map[string]string{"/statistics/devices": "service", "/statistics/service": "device"} {
		res, body := newREST(t, h, policy).do("GET", path+version, "")
		refusedAs(t, res, body, 401, "IotHubUnauthorizedAccess")
	}
}
