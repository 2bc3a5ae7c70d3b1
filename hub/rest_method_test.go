package hub_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// called is the answer to a call over REST.
type called struct {
	res  *http.Response
	body string
}

// call calls a method in the background.
func (r *rest) call(path, body string) <-chan called {
	done := make(chan called, 1)
	go func() {
		res, got := r.do("POST", path+version, body)
		done <- called{res, got}
	}()
	return done
}

func TestRESTMethod(t *testing.T) {
	tests := []struct {
		name, path, body, method, payload string
		status                            int
		answer, want                      string
	}{
		{"what the Node SDK sends", "/twins/dev-1/methods", `{"methodName":"reboot","payload":{"in":"<ü>"},"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0}`,
			"reboot", `{"in":"<ü>"}`, 201, `{"ok":[true,1.50]}`, `{"status":201,"payload":{"ok":[true,1.50]}}`},
		{"no payload at all", "/TWINS/dev-1/METHODS/", `{"methodName":"m"}`, "m", `null`, 200, ``, `{"status":200,"payload":null}`},
		{"null as a payload", "/twins/dev-1/methods", `{"methodName":"m","payload":null}`, "m", `null`, 500, `null`, `{"status":500,"payload":null}`},
		{"a text as a payload", "/twins/dev-1/methods", `{"methodName":"c*m/n","payload":"x"}`, "c*m%2Fn", `"x"`, -1, `"y"`, `{"status":-1,"payload":"y"}`},
		{"a module", "/twins/dev-1/modules/mod/methods", `{"methodName":"m","payload":0}`, "m", `0`, 404, `{}`, `{"status":404,"payload":{}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				id := dev
				if strings.Contains(tt.path, "modules") {
					id = mod
				}
				p := connect(t, h, id, nil)
				p.subscribe(methodFilter)
				done := newREST(t, h, "service").call(tt.path, tt.body)
				name, rid, m := p.request()
				if name != tt.method || string(m.Payload) != tt.payload {
					t.Errorf("%q with %s", name, m.Payload)
				}
				p.respond(tt.status, rid, tt.answer, 1)
				if got := <-done; got.res.StatusCode != 200 || got.body != tt.want || got.res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
					t.Errorf("%s %s", got.res.Status, got.body)
				}
			})
		})
	}
}

// TestRESTMethodFailures has calls that fail for what the device does: the service
// says so in a form of its own.
func TestRESTMethodFailures(t *testing.T) {
	subscribed := func(t *testing.T, h *hub.Hub) *peer {
		p := connect(t, h, dev, nil)
		p.subscribe(methodFilter)
		return p
	}
	tests := []struct {
		name, timeouts string
		peer           func(t *testing.T, h *hub.Hub)
		status         int
		code           hubwire.Code
		header         string
		took           time.Duration
	}{
		{"a device that is offline", ``, func(*testing.T, *hub.Hub) {}, 404, hubwire.DeviceNotOnline, "DeviceNotOnline", 0},
		{"a device that stays offline", `,"connectTimeoutInSeconds":90`, func(*testing.T, *hub.Hub) {}, 404, hubwire.DeviceNotOnline, "DeviceNotOnline", 90 * time.Second},
		{"a device without the subscription", ``, func(t *testing.T, h *hub.Hub) { connect(t, h, dev, nil) }, 404, hubwire.DeviceNotOnline, "DeviceNotOnline", 0},
		{"a device that does not answer", ``, func(t *testing.T, h *hub.Hub) { subscribed(t, h) }, 504, hubwire.GatewayTimeout, "GatewayTimeout", 30 * time.Second},
		{"a device that does not answer for long", `,"responseTimeoutInSeconds":300`, func(t *testing.T, h *hub.Hub) { subscribed(t, h) },
			504, hubwire.GatewayTimeout, "GatewayTimeout", 300 * time.Second},
		{"a device that goes away meanwhile", ``, func(t *testing.T, h *hub.Hub) {
			p := subscribed(t, h)
			go func() {
				p.request()
				p.cut()
			}()
		}, 404, hubwire.ConnectionClosedRemotely, "DeviceConnectionClosedRemotely", 0},
		{"an answer that is no JSON", ``, func(t *testing.T, h *hub.Hub) {
			p := subscribed(t, h)
			go func() {
				_, rid, _ := p.request()
				p.respond(200, rid, "{", 0)
			}()
		}, 502, 502000, "GenericBadGateway", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				tt.peer(t, h)
				start := time.Now()
				got := <-newREST(t, h, "service").call("/twins/dev-1/methods", `{"methodName":"m"`+tt.timeouts+`}`)
				if took := time.Since(start); got.res.StatusCode != tt.status || got.res.Header.Get("iothub-errorcode") != tt.header || took != tt.took {
					t.Errorf("%s, %q after %v", got.res.Status, got.res.Header.Get("iothub-errorcode"), took)
				}
				var outer struct{ Message, ExceptionMessage string }
				var inner struct {
					ErrorCode                         hubwire.Code
					TrackingID, Message, TimestampUTC string
				}
				if err := json.Unmarshal([]byte(got.body), &outer); err != nil {
					t.Fatalf("%s: %v", got.body, err)
				}
				if err := json.Unmarshal([]byte(outer.Message), &inner); err != nil {
					t.Fatalf("%s: %v", got.body, err)
				}
				if inner.ErrorCode != tt.code || inner.TrackingID == "" || inner.Message == "" || inner.TimestampUTC == "" {
					t.Errorf("%s", got.body)
				}
			})
		})
	}
}

func TestRESTMethodRefusals(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	create(t, h, dev, mod)
	tests := []struct {
		name, policy, method, path, body string
		status                           int
		code                             string
	}{
		{"a policy that may only read the registry", "registryReadWrite", "POST", "/twins/dev-1/methods", `{"methodName":"m"}`, 401, "IotHubUnauthorizedAccess"},
		{"an unknown device", "service", "POST", "/twins/x/methods", `{"methodName":"m"}`, 404, "DeviceNotFound"},
		{"an unknown module", "service", "POST", "/twins/dev-1/modules/x/methods", `{"methodName":"m"}`, 404, "ModuleNotFound"},
		{"no name", "service", "POST", "/twins/dev-1/methods", `{}`, 400, "ArgumentInvalid"},
		{"an empty name", "service", "POST", "/twins/dev-1/methods", `{"methodName":""}`, 400, "ArgumentInvalid"},
		{"a name of another type", "service", "POST", "/twins/dev-1/methods", `{"methodName":1}`, 400, "IotHubFormatError"},
		{"a name that is too long", "service", "POST", "/twins/dev-1/methods", `{"methodName":"` + strings.Repeat("x", 2000) + `"}`, 400, "ArgumentInvalid"},
		{"a response timeout below 5 s", "service", "POST", "/twins/dev-1/methods", `{"methodName":"m","responseTimeoutInSeconds":4}`, 400, "ArgumentInvalid"},
		{"a connect timeout over 300 s", "service", "POST", "/twins/dev-1/methods", `{"methodName":"m","connectTimeoutInSeconds":301}`, 400, "ArgumentInvalid"},
		{"a timeout that is no whole number", "service", "POST", "/twins/dev-1/methods", `{"methodName":"m","connectTimeoutInSeconds":1.5}`, 400, "IotHubFormatError"},
		{"a payload over 128 KiB", "service", "POST", "/twins/dev-1/methods", `{"methodName":"m","payload":"` + strings.Repeat("x", 128<<10) + `"}`, 413, "MessageTooLarge"},
		{"a body that is no JSON", "service", "POST", "/twins/dev-1/methods", `m`, 400, "IotHubFormatError"},
		{"no body", "service", "POST", "/twins/dev-1/methods", ``, 400, "IotHubFormatError"},
		{"a method that the resource has not", "service", "GET", "/twins/dev-1/methods", ``, 405, "GenericMethodNotAllowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, body := newREST(t, h, tt.policy).do(tt.method, tt.path+version, tt.body)
			refusedAs(t, res, body, tt.status, tt.code)
		})
	}
}

// TestRESTMethodOfAServiceThatLeaves ends the call with its connection.
func TestRESTMethodOfAServiceThatLeaves(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "service")
		r.client.Timeout = time.Minute
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://localhost/twins/dev-1/methods"+version,
			strings.NewReader(`{"methodName":"m","connectTimeoutInSeconds":300}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token(policyKey(t, h, "service"), "localhost", "service", time.Now().Add(time.Hour)))
		if res, err := r.client.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusInternalServerError { // which can cross with the good-bye
				t.Fatal(res.Status)
			}
		}
		synctest.Wait()
		p := connect(t, h, dev, nil)
		p.subscribe(methodFilter)
		p.ping() // nobody calls
	})
}
