package httpfront

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

func TestDecodeMethodCall(t *testing.T) {
	null := json.RawMessage("null")
	call := func(payload json.RawMessage, connect, response time.Duration) core.Invocation {
		return core.Invocation{MethodRequest: hubwire.MethodRequest{Name: "m", Payload: payload}, ConnectTimeout: connect, ResponseTimeout: response}
	}
	tests := []struct {
		name, body string
		want       core.Invocation
	}{
		{"a name alone", `{"methodName":"m"}`, call(null, 0, 0)},
		{"nulls", `{"methodName":"m","payload":null,"responseTimeoutInSeconds":null,"connectTimeoutInSeconds":null,"timeoutInSeconds":null}`, call(null, 0, 0)},
		{
			"what the Node SDK sends", `{"methodName":"m","payload":{"a":"ü"},"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0}`,
			call(json.RawMessage(`{"a":"ü"}`), 0, 30*time.Second),
		},
		{"the shortest timeouts", `{"methodName":"m","payload":"","responseTimeoutInSeconds":5,"connectTimeoutInSeconds":0}`, call(json.RawMessage(`""`), 0, 5*time.Second)},
		{"the longest timeouts", `{"methodName":"m","payload":0,"responseTimeoutInSeconds":300,"connectTimeoutInSeconds":300}`, call(json.RawMessage(`0`), 300*time.Second, 300*time.Second)},
		{"the timeout of older services", `{"methodName":"m","timeoutInSeconds":60}`, call(null, 0, time.Minute)},
		{"both timeouts", `{"methodName":"m","timeoutInSeconds":60,"responseTimeoutInSeconds":7}`, call(null, 0, 7*time.Second)},
		{"no name, which core refuses", `{"payload":false}`, core.Invocation{MethodRequest: hubwire.MethodRequest{Payload: json.RawMessage("false")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var j methodCall
			if err := json.Unmarshal([]byte(tt.body), &j); err != nil {
				t.Fatal(err)
			}
			got, err := j.decode()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDecodeMethodCallRefusals(t *testing.T) {
	for name, body := range map[string]string{
		"a response timeout of 0":           `{"responseTimeoutInSeconds":0}`,
		"a response timeout of 4 s":         `{"responseTimeoutInSeconds":4}`,
		"a response timeout of 301 s":       `{"responseTimeoutInSeconds":301}`,
		"an old timeout of 3600 s":          `{"timeoutInSeconds":3600}`,
		"a connect timeout of 301 s":        `{"connectTimeoutInSeconds":301}`,
		"a negative connect timeout":        `{"connectTimeoutInSeconds":-1}`,
		"more seconds than a duration has":  `{"connectTimeoutInSeconds":9223372036854775807}`,
		"fewer seconds than a duration has": `{"responseTimeoutInSeconds":-9223372036854775808}`,
	} {
		t.Run(name, func(t *testing.T) {
			var j methodCall
			if err := json.Unmarshal([]byte(body), &j); err != nil {
				t.Fatal(err)
			}
			if _, err := j.decode(); !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), "TimeoutInSeconds is ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestErrorsOfDevices tells which failures of a call have a form of their own.
func TestErrorsOfDevices(t *testing.T) {
	for code, want := range map[hubwire.Code]bool{
		hubwire.DeviceNotOnline:           true,
		hubwire.ConnectionClosedRemotely:  true,
		hubwire.GatewayTimeout:            true,
		hubwire.BadGateway:                true,
		hubwire.MaxInflightMethodExceeded: false,
		hubwire.DeviceNotFound:            false,
		hubwire.ModuleNotFound:            false,
		hubwire.ArgumentInvalid:           false,
		hubwire.ServiceUnavailable:        false,
	} {
		if got := isOfDevice(fmt.Errorf("x: %w", &hubwire.Error{Code: code})); got != want {
			t.Errorf("%v: %v", code, got)
		}
	}
	if isOfDevice(nil) {
		t.Error("no error is one of the device")
	}
}

// TestLongCall waits longer than anything else at this door may last.
func TestLongCall(t *testing.T) {
	bubble(t, nil, func(t *testing.T, d *door) {
		d.create("x")
		nc := d.open()
		start := time.Now()
		const body = `{"methodName":"m","connectTimeoutInSeconds":300}`
		d.write(nc, d.header("POST", "/twins/x/methods")+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)))
		time.Sleep(time.Second) // the body comes by itself
		d.write(nc, body)
		res, got := d.answer(bufio.NewReader(nc))
		if took := time.Since(start); res.StatusCode != 404 || took != 301*time.Second {
			t.Errorf("%s %s after %v", res.Status, got, took)
		}
	})
}
