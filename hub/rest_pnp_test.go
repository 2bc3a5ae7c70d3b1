package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

func TestRESTDigitalTwin(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "service")
		res, body := r.do("GET", "/digitaltwins/dev-1"+version, "")
		if res.StatusCode != 200 || body != `{"$dtId":"dev-1","$metadata":{"$model":""}}` || res.Header.Get("ETag") != `"AAAAAAAAAAE="` {
			t.Errorf("%s %s, ETag %s", res.Status, body, res.Header.Get("ETag"))
		}
		const patch = `[{"op":"add","path":"/targetTemperature","value":42},{"op":"add","path":"/thermostat1/max","value":"x"}]`
		res, body = r.do("PATCH", "/DigitalTwins/dev-1/"+version, patch, "If-Match", `"AAAAAAAAAAE="`)
		if res.StatusCode != 202 || body != "" || res.Header.Get("ETag") != `"AAAAAAAAAAI="` || res.Header.Get("Location") != "https://localhost/digitaltwins/dev-1" {
			t.Errorf("%s %q %v", res.Status, body, res.Header)
		}
		twin, err := h.Twin(t.Context(), dev)
		if err != nil || string(twin.Desired.JSON) != `{"targetTemperature":42,"thermostat1":{"__t":"c","max":"x"}}` {
			t.Errorf("desired %s, %v", twin.Desired.JSON, err)
		}
		for name, tt := range map[string]struct{ body, code string }{
			"no patch":         {`{"a":1}`, "InvalidDigitalTwinJsonPatch"},
			"another step":     {`[{"op":"test","path":"/a","value":1}]`, "InvalidDigitalTwinPatch"},
			"a path too deep":  {`[{"op":"add","path":"/a/b/c","value":1}]`, "InvalidDigitalTwinPatchPath"},
			"what is not JSON": {`[`, "IotHubFormatError"},
		} {
			res, body := r.do("PATCH", "/digitaltwins/dev-1"+version, tt.body)
			t.Log(name)
			refusedAs(t, res, body, 400, tt.code)
		}
		res, body = r.do("PATCH", "/digitaltwins/dev-1"+version, patch, "If-Match", `"AAAAAAAAAAE="`)
		refusedAs(t, res, body, 412, "PreconditionFailed")
		res, body = r.do("GET", "/digitaltwins/x"+version, "")
		refusedAs(t, res, body, 404, "DeviceNotFound")
	})
}

func TestRESTCommands(t *testing.T) {
	for _, tt := range []struct {
		name, path, body, method, payload string
		status                            int
		answer, want                      string
	}{
		{"of the device", "/digitaltwins/dev-1/commands/reboot", `{"delay":3}`, "reboot", `{"delay":3}`, 201, `{"ok":true}`, `{"ok":true}`},
		{"of a component", "/digitaltwins/dev-1/components/thermostat1/commands/getMaxMinReport", `"2020"`, "thermostat1*getMaxMinReport", `"2020"`, 404, ``, `null`},
		{"without a payload", "/digitaltwins/dev-1/commands/reboot", ``, "reboot", `null`, 200, `null`, `null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				p := connect(t, h, dev, nil)
				p.subscribe(methodFilter)
				done := newREST(t, h, "service").call(tt.path, tt.body)
				name, rid, m := p.request()
				if strings.ReplaceAll(name, "%2A", "*") != tt.method || string(m.Payload) != tt.payload {
					t.Errorf("%q with %s", name, m.Payload)
				}
				p.respond(tt.status, rid, tt.answer, 1)
				got := <-done
				if got.res.StatusCode != 200 || got.body != tt.want || got.res.Header.Get("x-ms-command-statuscode") == "" || got.res.Header.Get("x-ms-request-id") == "" {
					t.Errorf("%s %s %v", got.res.Status, got.body, got.res.Header)
				}
			})
		})
	}
	t.Run("of who is not there", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			r := newREST(t, h, "service")
			start := time.Now()
			res, body := r.do("POST", "/digitaltwins/dev-1/commands/x"+version+"&connectTimeoutInSeconds=7", "null")
			if res.StatusCode != 404 || res.Header.Get("iothub-errorcode") != "DeviceNotOnline" || !strings.Contains(body, `\"errorCode\":404103`) || time.Since(start) != 7*time.Second {
				t.Errorf("%s %s after %v", res.Status, body, time.Since(start))
			}
			for _, query := range []string{"&connectTimeoutInSeconds=301", "&responseTimeoutInSeconds=4", "&responseTimeoutInSeconds=x"} {
				res, body := r.do("POST", "/digitaltwins/dev-1/commands/x"+version+query, "null")
				refusedAs(t, res, body, 400, "ArgumentInvalid")
			}
			res, body = r.do("POST", "/digitaltwins/dev-1/commands/x"+version, `"`+strings.Repeat("x", hubwire.MaxMethodPayload)+`"`)
			refusedAs(t, res, body, 413, "MessageTooLarge")
		})
	})
}

func TestRESTFeedback(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "service")
		const path = "/messages/serviceBound/feedback"
		if res, body := r.do("GET", path+version, ""); res.StatusCode != 204 || body != "" {
			t.Fatalf("an empty queue: %s %s", res.Status, body)
		}
		sendC2D(t, h, dev, "a", "b")
		if _, err := h.Purge(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		res, body := r.do("GET", path+version, "")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/vnd.microsoft.iothub.feedback.json" || strings.Count(body, `"statusCode":"Purged"`) != 2 {
			t.Fatalf("%s %s", res.Status, body)
		}
		lock := lockToken(t, res)
		if res, _ := r.do("GET", path+version, ""); res.StatusCode != 204 {
			t.Errorf("locked feedback came again: %s", res.Status)
		}
		if res, body := r.do("POST", path+"/"+lock+"/abandon"+version, ""); res.StatusCode != 204 {
			t.Errorf("abandon: %s %s", res.Status, body)
		}
		res, body = r.do("DELETE", path+"/"+lock+version, "")
		refusedAs(t, res, body, 412, "DeviceMessageLockLost")
		res, _ = r.do("GET", "/Messages/servicebound/Feedback/"+version, "")
		if res, body := r.do("DELETE", path+"/"+lockToken(t, res)+version, ""); res.StatusCode != 204 {
			t.Errorf("complete: %s %s", res.Status, body)
		}
		if res, _ := r.do("GET", path+version, ""); res.StatusCode != 204 {
			t.Errorf("completed feedback came again: %s", res.Status)
		}
	})
}
