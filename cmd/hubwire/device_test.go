package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

// localHub starts a hub that the environment leads to, as the env file of
// hubwire hub does.
func localHub(t *testing.T) *hub.Hub {
	t.Helper()
	return localHubWith(t, new(hub.Config))
}

func localHubWith(t *testing.T, cfg *hub.Config) *hub.Hub {
	t.Helper()
	testkit.LeakCheck(t)
	cfg.HostName = "myhub.local"
	h := hubtest.Start(t, cfg)
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, h.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := placeOf(h, caFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.vars() {
		t.Setenv(v.name, *v.value)
	}
	return h
}

func nextEvent(t *testing.T, r *hub.EventReader) *hub.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ev, err := r.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// feedback waits for n records and returns what they say.
func feedback(t *testing.T, h *hub.Hub, n int) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	for len(got) < n {
		records, err := h.Feedback(ctx)
		if err != nil {
			t.Fatalf("%v, after %v", err, got)
		}
		for _, r := range records {
			got = append(got, r.MessageID+" "+r.Status)
		}
	}
	return strings.Join(got, ", ")
}

var dev = hubwire.Identity{DeviceID: "dev-1"}

func TestSendBringsAllOfAMessageToTheHub(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			h := localHub(t)
			events, err := h.Events(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			value := " x=y "
			if p.name == overHTTPS { // whose values are tokens of HTTP
				value = "x-y"
			}
			out, err := command(t, "from stdin\x00\xff", "device", "send", "--device-id", "dev-1", "--transport", p.name,
				"--property", "a=1", "--property", "b="+value, "--property", "empty=", "--message-id", "m1", "--correlation-id", "c1",
				"--user-id", "u", "--content-type", "text/plain", "--content-encoding", "utf-8", "--component", "part")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(out, "sent 12 bytes, acknowledged after ") {
				t.Errorf("it printed %q", out)
			}
			want := hubwire.Message{
				Body: []byte("from stdin\x00\xff"), ID: "m1", CorrelationID: "c1", UserID: "u",
				ContentType: "text/plain", ContentEncoding: "utf-8", Component: "part",
				Properties: []hubwire.Property{{Name: "a", Value: "1"}, {Name: "b", Value: value}, {Name: "empty"}},
			}
			got := nextEvent(t, events)
			if diff := cmp.Diff(want, got.Message, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if got.Source != dev {
				t.Errorf("it is from %v", got.Source)
			}
		})
	}
}

func TestSendSendsAsOftenAsItIsTold(t *testing.T) {
	tests := []struct {
		name  string
		args  []string
		count int
		want  string
	}{
		{"in a burst", []string{"--count", "300"}, 300, "sent 300 messages of 2 bytes, all acknowledged after "},
		{"one by one", []string{"--count", "3", "--interval", "1ms"}, 3, "sent 3 of 3, acknowledged after "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := localHub(t)
			events, err := h.Events(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			out, err := command(t, "", append([]string{"device", "send", "--device-id", "dev-1", "hi"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, tt.want) {
				t.Errorf("it printed %q, want %q in it", out, tt.want)
			}
			for i := range tt.count {
				if ev := nextEvent(t, events); string(ev.Body) != "hi" {
					t.Errorf("event %d has the body %q", i, ev.Body)
				}
			}
			if ev, err := events.TryNext(t.Context()); ev != nil || err != nil {
				t.Errorf("there is one more event: %v, %v", ev, err)
			}
		})
	}
}

func TestReceivePrintsAndCompletes(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			h := localHub(t)
			cs := hubtest.Device(t, h, "dev-1")
			n, shown := 3, `"v=\x1b"`
			if p.name == overHTTPS { // whose headers have no control characters
				n, shown = 2, "v="
			}
			for _, m := range []hubwire.Message{
				{Body: []byte("hello\nworld"), ID: "m1", Ack: hubwire.AckFull, Properties: []hubwire.Property{{Name: "k", Value: "v=\x1b"[:n]}}},
				{Body: []byte{0, 0xff}, ID: "m2", Ack: hubwire.AckFull},
			} {
				if err := h.SendC2D(t.Context(), dev, &m); err != nil {
					t.Fatal(err)
				}
			}
			out, err := command(t, cs, "device", "receive", "--connection-string", "-", "--transport", p.name, "--count", "2")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{
				"message id        m1\n", "property k        " + shown + "\n", "body              hello\nworld\n",
				"message id        m2\n", `body              "\x00\xff"`,
			} {
				if !strings.Contains(out, want) {
					t.Errorf("it did not print %q but\n%s", want, out)
				}
			}
			if got := feedback(t, h, 2); got != "m1 Success, m2 Success" {
				t.Errorf("the hub's feedback is %q", got)
			}
		})
	}
}

func TestOverHTTPSRejectAndAbandonCount(t *testing.T) {
	for settle, want := range map[string]string{"reject": "Rejected", "abandon": "Success"} {
		t.Run(settle, func(t *testing.T) {
			h := localHub(t)
			hubtest.Device(t, h, "dev-1")
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("x"), ID: "m1", Ack: hubwire.AckFull}); err != nil {
				t.Fatal(err)
			}
			receive := []string{"device", "receive", "--device-id", "dev-1", "--transport", "https", "--count", "1", "--settle"}
			if _, err := command(t, "", append(receive, settle)...); err != nil {
				t.Fatal(err)
			}
			if settle == "abandon" {
				out, err := command(t, "", append(receive, "complete")...)
				if err != nil || !strings.Contains(out, "delivered before  yes\n") {
					t.Errorf("the second time it printed %q, %v", out, err)
				}
			}
			if got := feedback(t, h, 1); got != "m1 "+want {
				t.Errorf("the feedback is %q, want %s", got, want)
			}
		})
	}
}

func TestWhatHTTPSLacksIsRefusedByName(t *testing.T) {
	for name, args := range map[string][]string{
		"twin get": {"twin", "get"}, "twin report": {"twin", "report", "{}"}, "twin watch": {"twin", "watch"}, "methods": {"methods"},
	} {
		t.Run(name, func(t *testing.T) {
			localHub(t)
			_, err := command(t, "", append([]string{"device", "--device-id", "dev-1", "--transport", "https"}, args...)...)
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "HTTPS has no ") {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// connected are the protocols with a connection, and so with twins and methods.
var connected = slices.DeleteFunc(slices.Clone(protocols), func(p protocol) bool { return p.name == overHTTPS })

func TestReceiveLeavesAndRefusesHonestly(t *testing.T) {
	for settle, wantErr := range map[string]error{"leave": nil, "reject": errors.ErrUnsupported, "abandon": errors.ErrUnsupported} {
		t.Run(settle, func(t *testing.T) {
			h := localHub(t)
			hubtest.Device(t, h, "dev-1")
			if err := h.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			out, err := command(t, "", "device", "receive", "--device-id", "dev-1", "--count", "1", "--settle", settle)
			if !errors.Is(err, wantErr) {
				t.Errorf("got %v, want %v", err, wantErr)
			}
			if !strings.Contains(out, "body              x\n") {
				t.Errorf("it printed %q", out)
			}
			if n, err := h.QueueLength(dev); n != 1 || err != nil {
				t.Errorf("%d messages wait, want 1 (%v)", n, err)
			}
		})
	}
}

func TestCtrlCEndsWhatHasNoEndOfItsOwn(t *testing.T) {
	tests := []struct {
		name  string
		args  []string
		ready string
		want  error
	}{
		{"receive", []string{"receive"}, "waiting for messages", nil},
		{"receive that waits for a number", []string{"receive", "--count", "1"}, "waiting for messages", context.Canceled},
		{"methods", []string{"methods"}, "waiting for calls", nil},
		{"send that waits between two", []string{"send", "x", "--count", "2", "--interval", "1h"}, "connected", context.Canceled},
		{"watch", []string{"twin", "watch"}, "waiting for changes", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			localHub(t)
			j := start(t, "", append([]string{"device", "--device-id", "dev-1"}, tt.args...)...)
			if !j.stderr.await(j.done, tt.ready) {
				t.Fatalf("it ended with %v", j.err)
			}
			if err := j.interrupt(); !errors.Is(err, tt.want) {
				t.Errorf("it ended with %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTwinReportsGetsAndWatches(t *testing.T) {
	for _, p := range connected {
		t.Run(p.name, func(t *testing.T) {
			h := localHub(t)
			hubtest.Device(t, h, "dev-1")
			twin := func(args ...string) string {
				t.Helper()
				out, err := command(t, "", append([]string{"device", "twin", "--device-id", "dev-1", "--transport", p.name}, args...)...)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			if got, want := twin("report", `{"a":{"b":"<&>"}}`), "reported; version 2\n"; got != want {
				t.Errorf("report printed %q, want %q", got, want)
			}
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"x":1}`)}, ""); err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Compact(&got, []byte(twin("get"))); err != nil {
				t.Fatal(err)
			}
			if want := `{"desired":{"$version":2,"x":1},"reported":{"$version":2,"a":{"b":"<&>"}}}`; got.String() != want {
				t.Errorf("get printed %s, want %s", got.String(), want)
			}
			j := start(t, "", "device", "twin", "watch", "--device-id", "dev-1", "--transport", p.name, "--count", "2")
			j.await(t, `version 2, whole: {"x":1}`)
			if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{"x":null,"y":[1]}`)}, ""); err != nil {
				t.Fatal(err)
			}
			if <-j.done; j.err != nil {
				t.Error(j.err)
			}
			j.await(t, `version 3, changed: {"x":null,"y":[1]}`)
		})
	}
}

func TestMethodsAnswersAndPrints(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		call   string
		status int
		answer string
		prints string
	}{
		{"what it is told", []string{"--status", "202", "--payload", `{"done":true}`}, "reboot", 202, `{"done":true}`, `reboot {"n":1} -> 202 {"done":true}` + "\n"},
		{"an echo", []string{"--echo", "reboot"}, "reboot", 200, `{"n":1}`, `reboot {"n":1} -> 200 {"n":1}` + "\n"},
		{"a method that it has not", []string{"reboot"}, "other", 501, `"the device has no method \"other\""`, ""},
	}
	for _, tt := range tests {
		for _, p := range connected {
			t.Run(tt.name+" over "+p.name, func(t *testing.T) {
				h := localHub(t)
				j := start(t, "", append([]string{"device", "methods", "--device-id", "dev-1", "--transport", p.name, "--count", "1"}, tt.args...)...)
				if !j.stderr.await(j.done, "waiting for calls") {
					t.Fatalf("it ended with %v", j.err)
				}
				resp, err := h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: tt.call, Payload: json.RawMessage(`{"n":1}`)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp.Status != tt.status || string(resp.Payload) != tt.answer {
					t.Errorf("the answer is %d %s, want %d %s", resp.Status, resp.Payload, tt.status, tt.answer)
				}
				if tt.prints == "" {
					return
				}
				if <-j.done; j.err != nil {
					t.Error(j.err)
				}
				if !strings.HasSuffix(j.stdout.String(), tt.prints) {
					t.Errorf("it printed %q", j.stdout)
				}
			})
		}
	}
}

func TestAModuleIsADeviceToo(t *testing.T) {
	h := localHub(t)
	events, err := h.Events(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := command(t, "", "device", "send", "--device-id", "dev-1", "--module-id", "m", "--output", "out", "hi"); err != nil {
		t.Fatal(err)
	}
	ev := nextEvent(t, events)
	if want := (hubwire.Identity{DeviceID: "dev-1", ModuleID: "m"}); ev.Source != want || ev.Output != "out" {
		t.Errorf("the event is from %v by %q", ev.Source, ev.Output)
	}
}

func TestDeviceMistakesGiveOneClearLine(t *testing.T) {
	const secret = "aqmHxAEAfS2s3KseHjJFbpOZg0CLxh9GnP/r9qdkDUQ="
	wrongKey := "HostName=myhub.local;DeviceId=dev-1;SharedAccessKey=" + secret
	tests := []struct {
		name  string
		stdin string
		args  []string
		want  string
	}{
		{"nobody", "", []string{"send", "x"}, "who is the device? Say --connection-string"},
		{"two devices", "", []string{"send", "x", "--connection-string", wrongKey, "--device-id", "dev-1"}, "--connection-string and --device-id exclude each other"},
		{"a module of nobody", "", []string{"send", "x", "--module-id", "m"}, "--module-id needs --device-id"},
		{"an id that is not legal", "", []string{"send", "x", "--device-id", "a b"}, "hubwire: device get: 400004 ArgumentInvalid, not sent: device id has the byte ' '"},
		{"a protocol that is none", "", []string{"send", "x", "--device-id", "dev-1", "--transport", "coap"}, `--transport "coap" is none of mqtt, mqtt-ws, amqp, amqp-ws, https`},
		{"a CA file that is not there", "", []string{"send", "x", "--device-id", "dev-1", "--ca-file", "/no/such/file"}, "--ca-file: open /no/such/file: "},
		{"a certificate for a device with a key", "", []string{"send", "x", "--connection-string", wrongKey, "--cert", "c.pem"}, "--cert and --cert-key are for a device that authenticates by a certificate"},
		{"a wait that is less than none", "", []string{"send", "x", "--device-id", "dev-1", "--interval", "-3s"}, "--interval is -3s, the least is 0"},
		{"a patience that is less than none", "", []string{"send", "x", "--device-id", "dev-1", "--connect-timeout", "-3s"}, "--connect-timeout is -3s, the least is 0"},
		{"a wrong key", "", []string{"send", "x", "--connection-string", wrongKey}, "hubwire: dial: "},
		{"a service's connection string", "", []string{"send", "x", "--connection-string", "HostName=h;SharedAccessKeyName=p;SharedAccessKey=" + secret}, "hubwire: connection string: 400004 ArgumentInvalid"},
		{"a certificate that is not given", "", []string{"send", "x", "--connection-string", "HostName=h;DeviceId=d;x509=true"}, "the device authenticates by a certificate: that needs --cert and --cert-key"},
		{"a property without a value", "", []string{"send", "x", "--device-id", "dev-1", "--property", "k"}, `--property "k" is not NAME=VALUE`},
		{"no messages", "", []string{"send", "x", "--device-id", "dev-1", "--count", "0"}, "--count is 0"},
		{"two bodies", "", []string{"send", "x", "y", "--device-id", "dev-1"}, "hubwire device send takes at most 1 argument, not 2"},
		{"too much", strings.Repeat("x", hubwire.MaxTelemetrySize+1), []string{"send", "--device-id", "dev-1"}, "stdin has more than 262144 bytes"},
		{"two things from stdin", "", []string{"send", "--connection-string", "-"}, "the connection string and what to send cannot both come from stdin"},
		{"a report that is no object", "", []string{"twin", "report", "[1]", "--device-id", "dev-1"}, "hubwire: twin report: 400004 ArgumentInvalid"},
		{"an answer that is no JSON", "", []string{"methods", "--payload", "{", "--device-id", "dev-1"}, "--payload is not JSON"},
		{"a settlement that is none", "", []string{"receive", "--settle", "keep", "--device-id", "dev-1"}, `--settle "keep" is none of complete, reject, abandon, leave`},
	}
	h := localHub(t)
	hubtest.Device(t, h, "dev-1")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, tt.stdin, append([]string{"device"}, tt.args...)...)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("got  %v\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error()+out, secret) {
				t.Errorf("the key shows in %v", err)
			}
		})
	}
}

func TestAHubThatDoesNotAnswerIsGivenUpInTime(t *testing.T) {
	localHub(t)
	t.Setenv("HUBWIRE_MQTT_PORT", "1") // nobody listens there
	_, err := command(t, "", "device", "send", "x", "--device-id", "dev-1", "--connect-timeout", "300ms")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
