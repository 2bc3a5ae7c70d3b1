package httpfront

import (
	"bufio"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var call httpsx.MethodCall
			if err := httpsx.Decode(httpsx.InvokeMethod, []byte(tt.body), &call); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, invocation(&call)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
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
