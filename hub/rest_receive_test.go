package hub_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

func TestRESTReceive(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		if res, body := r.do("GET", deviceBound, "", as(t, h, dev)...); res.StatusCode != 204 || body != "" {
			t.Fatalf("an empty queue: %s %s", res.Status, body)
		}
		expiry := time.Now().Add(time.Minute)
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{
			Body: []byte("{}"), ID: "cmd-7", Ack: hubwire.AckFull, Expiry: expiry, ContentType: "application/json", ContentEncoding: "utf-8",
			Properties: []hubwire.Property{{Name: "Alert", Value: "high"}},
		}); err != nil {
			t.Fatal(err)
		}
		res, body := r.do("GET", deviceBound, "", as(t, h, dev)...)
		if res.StatusCode != 200 || body != "{}" {
			t.Fatalf("%s %q", res.Status, body)
		}
		for name, want := range map[string]string{
			"iothub-messageid": "cmd-7", "iothub-sequencenumber": "1", "iothub-to": "/devices/dev-1/messages/devicebound", "iothub-ack": "full",
			"iothub-deliverycount": "0", "iothub-app-alert": "high", "ContentType": "application/json", "ContentEncoding": "utf-8",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if at, err := time.Parse(time.RFC3339, res.Header.Get("iothub-enqueuedtime")); err != nil || !at.Equal(time.Now()) {
			t.Errorf("iothub-enqueuedtime %q", res.Header.Get("iothub-enqueuedtime"))
		}
		if again, _ := r.do("GET", deviceBound, "", as(t, h, dev)...); again.StatusCode != 204 {
			t.Errorf("a locked message came again: %s", again.Status)
		}
		if d, _ := h.Device(dev); d.Connected || !d.LastActivity.Equal(time.Now()) {
			t.Errorf("the device: %+v", d)
		}
	})
}

// lockToken is what an answer says in ETag, which must be in quotes.
func lockToken(t testing.TB, res *http.Response) string {
	t.Helper()
	etag := res.Header.Get("ETag")
	if len(etag) != 38 || etag[0] != '"' || etag[37] != '"' {
		t.Fatalf("%s, ETag %q", res.Status, etag)
	}
	return strings.Trim(etag, `"`)
}

func TestRESTSettle(t *testing.T) {
	tests := []struct {
		name, method, path string // TOKEN stands for the lock token
		header             []string
		again              bool // it is delivered again
		feedback           string
	}{
		{"complete as the C SDK", "DELETE", "/devices/dev-1/messages/devicebound/TOKEN?api-version=2016-11-14", []string{"If-Match", `"TOKEN"`}, false, "Success"},
		{"complete as the Node SDK", "DELETE", "/devices/dev-1/messages/devicebound/TOKEN?api-version=2021-04-12", []string{"If-Match", "TOKEN"}, false, "Success"},
		{"reject as the C SDK", "DELETE", "/devices/dev-1/messages/devicebound/TOKEN?api-version=2016-11-14&reject", nil, false, "Rejected"},
		{"reject as the CLI", "DELETE", "/devices/dev-1/messages/deviceBound/TOKEN?api-version=2019-10-01&reject=", nil, false, "Rejected"},
		{"reject as the Java SDK", "DELETE", "/devices/dev-1/messages/devicebound/TOKEN?api-version=2020-09-30&%3Freject=true", nil, false, "Rejected"},
		{"abandon as the C SDK", "POST", "/devices/dev-1/messages/devicebound/TOKEN/abandon?api-version=2016-11-14", []string{"If-Match", `"TOKEN"`}, true, ""},
		{"abandon as the .NET SDK", "POST", "/devices/dev-1/messages/deviceBound/TOKEN/abandon?api-version=2020-09-30", []string{"IfMatch", "TOKEN"}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				r := newREST(t, h, "")
				if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("x"), Ack: hubwire.AckFull}); err != nil {
					t.Fatal(err)
				}
				res, _ := r.do("GET", deviceBound, "", as(t, h, dev)...)
				lock := lockToken(t, res)
				with := func(s string) string { return strings.ReplaceAll(s, "TOKEN", lock) }
				header := as(t, h, dev)
				for _, v := range tt.header {
					header = append(header, with(v))
				}
				if res, body := r.do(tt.method, with(tt.path), "x", header...); res.StatusCode != 204 || body != "" {
					t.Fatalf("%s %s", res.Status, body)
				}
				res, body := r.do(tt.method, with(tt.path), "", header...)
				refusedAs(t, res, body, 412, "DeviceMessageLockLost")
				res, _ = r.do("GET", deviceBound, "", as(t, h, dev)...)
				if got := res.StatusCode == 200; got != tt.again || got && res.Header.Get("iothub-deliverycount") != "1" {
					t.Errorf("again: %s, count %q", res.Status, res.Header.Get("iothub-deliverycount"))
				}
				if tt.feedback != "" {
					if fb, err := h.Feedback(t.Context()); err != nil || len(fb) != 1 || fb[0].Status != tt.feedback {
						t.Errorf("feedback %+v, %v", fb, err)
					}
				}
			})
		})
	}
}

func TestRESTLock(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		header     []string
		want       time.Duration // 0 for a refusal
	}{
		{"the usual minute", deviceBound, nil, time.Minute},
		{"as long as the query says", deviceBound + "&iothub-messagelocktimeout=5", nil, 5 * time.Second},
		{"as long as the header says", deviceBound, []string{"IotHub-MessageLockTimeout", "300"}, 5 * time.Minute},
		{"too long", deviceBound, []string{"IotHub-MessageLockTimeout", "301"}, 0},
		{"not at all", deviceBound + "&iothub-messagelocktimeout=0", nil, 0},
		{"no number", deviceBound + "&iothub-messagelocktimeout=a", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				r := newREST(t, h, "")
				sendC2D(t, h, dev, "x")
				res, body := r.do("GET", tt.path, "", as(t, h, dev, tt.header...)...)
				if tt.want == 0 {
					refusedAs(t, res, body, 400, "ArgumentInvalid")
					return
				}
				lost := lockToken(t, res)
				start := time.Now()
				for {
					if res, _ := r.do("GET", deviceBound, "", as(t, h, dev)...); res.StatusCode == 200 {
						if got := res.Header.Get("iothub-deliverycount"); got != "0" {
							t.Errorf("delivery count %s", got)
						}
						break
					}
					time.Sleep(time.Second)
				}
				if took := time.Since(start); took != tt.want {
					t.Errorf("it came again after %v", took)
				}
				res, body = r.do("DELETE", "/devices/dev-1/messages/deviceBound/"+lost+version, "", as(t, h, dev)...)
				refusedAs(t, res, body, 412, "DeviceMessageLockLost")
			})
		})
	}
}

// TestRESTAndMQTTShareAQueue has one device with both.
func TestRESTAndMQTTShareAQueue(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		r := newREST(t, h, "")
		sendC2D(t, h, dev, "first", "second")
		res, _ := r.do("GET", deviceBound, "", as(t, h, dev)...)
		lock := lockToken(t, res)
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		m := p.expect("second", 1, false)
		p.write(&mqtt.Puback{ID: m.ID})
		if res, body := r.do("POST", "/devices/dev-1/messages/deviceBound/"+lock+"/abandon"+version, "", as(t, h, dev)...); res.StatusCode != 204 {
			t.Fatalf("%s %s", res.Status, body)
		}
		p.expect("first", 1, true)
	})
}
