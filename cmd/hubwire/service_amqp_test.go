package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// overAMQPs are the values of --transport for back ends.
var overAMQPs = []string{overAMQP, overAMQPWS}

// connectTo connects a device of h over MQTT.
func connectTo(t *testing.T, h *hub.Hub, connectionString string) *device.Client {
	t.Helper()
	c, err := device.Dial(t.Context(), connectionString, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// lines reads lines of JSON.
func lines(t *testing.T, out string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(out) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("the line %q is not JSON: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

func TestServiceSendBringsAllOfAMessageToTheDevice(t *testing.T) {
	for _, transport := range overAMQPs {
		t.Run(transport, func(t *testing.T) {
			h := localHub(t)
			c := connectTo(t, h, hubtest.Device(t, h, "dev-1"))
			j := start(t, "from stdin\x00\xff", "service", "send", "dev-1", "--transport", transport, "--property", "a=1", "--property", "b= x=y ",
				"--message-id", "m1", "--correlation-id", "c1", "--user-id", "u", "--content-type", "text/plain", "--content-encoding", "utf-8",
				"--ack", "full", "--expiry", "2099-01-31T08:00:00Z")
			if <-j.done; j.err != nil || j.stdout.String() != "queued 12 bytes for dev-1\n" {
				t.Fatalf("it printed %q, %v", j.stdout, j.err)
			}
			got, err := c.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := hubwire.Message{
				Body: []byte("from stdin\x00\xff"), ID: "m1", CorrelationID: "c1", UserID: "u", To: got.To,
				ContentType: "text/plain", ContentEncoding: "utf-8", Ack: hubwire.AckFull, Expiry: time.Date(2099, 1, 31, 8, 0, 0, 0, time.UTC),
				Properties: []hubwire.Property{{Name: "a", Value: "1"}, {Name: "b", Value: " x=y "}},
			}
			if diff := cmp.Diff(want, got.Message, cmpopts.SortSlices(func(a, b hubwire.Property) bool { return a.Name < b.Name })); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestServiceSendHasItsBodyFromWhereItIsTold(t *testing.T) {
	h := localHub(t)
	c := connectTo(t, h, hubtest.Device(t, h, "dev-1"))
	file := fileOf(t, []byte("from a file"))
	for _, args := range [][]string{{"an argument"}, {"-"}, {}, {"--body-file", file}} {
		out, err := command(t, "from stdin", append([]string{"service", "send", "dev-1"}, args...)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		got, err := c.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := "from stdin"
		if len(args) == 1 && args[0] != "-" {
			want = args[0]
		} else if len(args) == 2 {
			want = "from a file"
		}
		if string(got.Body) != want || got.Ack != "" || !strings.HasPrefix(out, "queued ") {
			t.Errorf("%v: the device has %q with ack %q, it printed %q", args, got.Body, got.Ack, out)
		}
		if err := got.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServiceSendReachesAModule(t *testing.T) {
	h := localHub(t)
	cs := hubtest.Module(t, h, hubtestDevice(t, h), "meter")
	out := serve(t, "send", "dev-1", "hello", "--module-id", "meter", "--json")
	if got := lines(t, strings.ReplaceAll(out, "\n", "")+"\n")[0]; got["deviceId"] != "dev-1" || got["moduleId"] != "meter" {
		t.Errorf("it printed %s", out)
	}
	got, err := connectTo(t, h, cs).Receive(t.Context())
	if err != nil || string(got.Body) != "hello" {
		t.Errorf("the module has %v, %v", got, err)
	}
}

func TestServiceSendPrintsTheTrueOutcome(t *testing.T) {
	h := localHub(t)
	hubtest.Device(t, h, "dev-1")
	refusedBy(t, hubwire.DeviceNotFound, "send", "dev-2", "x")
	refusedBy(t, hubwire.ModuleNotFound, "send", "dev-1", "x", "--module-id", "no")
	for range hubwire.MaxC2DQueue {
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
	}
	refusedBy(t, hubwire.QueueDepthExceeded, "send", "dev-1", "x")
}

func TestServiceSendWaitsForFeedback(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		status string // of the feedback
		want   string // of the error
	}{
		{"the device completes it", []string{"--ack", "positive", "--message-id", "m1"}, "Success", ""},
		{"it has no id of its own", nil, "Success", ""},
		{"it expires", []string{"--expiry", "1s", "--message-id", "m1"}, "Expired", "the message ended with Expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := localHub(t)
			cs := hubtest.Device(t, h, "dev-1")
			j := start(t, "", append([]string{"service", "send", "dev-1", "hello", "--wait-feedback"}, tt.args...)...)
			if tt.want == "" {
				m, err := connectTo(t, h, cs).Receive(t.Context())
				if err == nil {
					err = m.Complete(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			<-j.done
			got := lines(t, j.stdout.String())
			if len(got) != 1 || got[0]["statusCode"] != tt.status || got[0]["deviceId"] != "dev-1" || got[0]["originalMessageId"] == "" {
				t.Errorf("it printed %s", j.stdout)
			}
			if tt.want == "" && j.err != nil || tt.want != "" && (j.err == nil || j.err.Error() != tt.want) {
				t.Errorf("it ended with %v, want %q", j.err, tt.want)
			}
		})
	}
}

// settled sends messages to a device, which completes them, and each asks for feedback.
func settled(t *testing.T, h *hub.Hub, c *device.Client, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := h.SendC2D(t.Context(), dev, &hubwire.Message{ID: id, Ack: hubwire.AckFull}); err != nil {
			t.Fatal(err)
		}
		m, err := c.Receive(t.Context())
		if err == nil {
			err = m.Complete(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestServiceFeedback(t *testing.T) {
	for _, transport := range overAMQPs {
		t.Run(transport, func(t *testing.T) {
			h := localHub(t)
			c := connectTo(t, h, hubtest.Device(t, h, "dev-1"))
			j := start(t, "", "service", "feedback", "--transport", transport)
			settled(t, h, c, "m1", "m2")
			j.await(t, `"originalMessageId":"m2"`)
			if err := j.interrupt(); err != nil {
				t.Errorf("the end by an interrupt is %v", err)
			}
			for i, r := range lines(t, j.stdout.String()) {
				if want := []string{"m1", "m2"}[i]; r["originalMessageId"] != want || r["statusCode"] != "Success" || r["deviceId"] != "dev-1" {
					t.Errorf("record %d is %v", i, r)
				}
			}
		})
	}
}

// What is printed is off the queue, and what is left or abandoned is not.
func TestServiceFeedbackIsSettledAsToldTo(t *testing.T) {
	h := localHub(t)
	c := connectTo(t, h, hubtest.Device(t, h, "dev-1"))
	settled(t, h, c, "m1")
	for _, args := range [][]string{{"--settle", "leave"}, {"--settle", "abandon"}, {"--settle", "complete"}} {
		out := serve(t, append([]string{"feedback", "--count", "1"}, args...)...)
		if got := lines(t, out); len(got) != 1 || got[0]["originalMessageId"] != "m1" {
			t.Errorf("%v printed %s", args, out)
		}
	}
	settled(t, h, c, "m2")
	if out := serve(t, "feedback", "--count", "1"); !strings.Contains(out, `"m2"`) {
		t.Errorf("after all of it is complete there is %s", out)
	}
}

func TestServiceNotifications(t *testing.T) {
	for _, transport := range overAMQPs {
		t.Run(transport, func(t *testing.T) {
			localHub(t)
			if _, err := command(t, "", "device", "upload", "--device-id", "dev-1", fileOf(t, []byte("content"))); err != nil {
				t.Fatal(err)
			}
			out := serve(t, "notifications", "--count", "1", "--transport", transport)
			got := lines(t, out)
			if len(got) != 1 || got[0]["blobName"] != "dev-1/file.bin" || got[0]["blobSizeInBytes"] != 7.0 || got[0]["deviceId"] != "dev-1" {
				t.Errorf("it printed %s", out)
			}
		})
	}
}

func TestMessagesOfBackEndsMistakesGiveOneClearLine(t *testing.T) {
	localHub(t)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"nobody to send to", []string{"service", "send"}, "hubwire service send takes DEVICE [BODY], and there are 0 arguments"},
		{"an id that is not legal", []string{"service", "send", "a b", "x"}, "hubwire: send c2d: 400004 ArgumentInvalid, not sent: device id has the byte ' '"},
		{"two bodies", []string{"service", "send", "d", "x", "--body-file", "f"}, "BODY and --body-file exclude each other"},
		{"a file that is not there", []string{"service", "send", "d", "--body-file", "/no/such/file"}, "--body-file: open /no/such/file: "},
		{"a file that is too large", []string{"service", "send", "d", "--body-file", fileOf(t, make([]byte, hubwire.MaxC2DSize+1))}, "--body-file has more than 65536 bytes"},
		{"an unknown ack", []string{"service", "send", "d", "x", "--ack", "some"}, `hubwire: 400004 ArgumentInvalid, not sent: message: ack is "some"`},
		{"feedback that cannot come", []string{"service", "send", "d", "x", "--ack", "none", "--wait-feedback"}, "--wait-feedback and --ack none exclude each other"},
		{"an expiry that is none", []string{"service", "send", "d", "x", "--expiry", "noon"}, `--expiry "noon" is neither a time`},
		{"a property without a value", []string{"service", "send", "d", "x", "--property", "k"}, `--property "k" is not NAME=VALUE`},
		{"a protocol that back ends do not speak", []string{"service", "send", "d", "x", "--transport", "mqtt"}, `--transport "mqtt" is neither amqp nor amqp-ws`},
		{"a settlement that is none", []string{"service", "feedback", "--settle", "reject"}, `--settle "reject" is none of complete, abandon, leave`},
		{"fewer than no records", []string{"service", "notifications", "--count", "-1"}, "--count is -1"},
		{"events of a module of nobody", []string{"events", "--module-id", "m"}, "--module-id needs --device-id"},
		{"fewer than no events", []string{"events", "--count", "-1"}, "--count is -1"},
		{"two places to begin", []string{"events", "--from-start", "--since", "1h"}, "--from-start and --since exclude each other"},
		{"a time that is none", []string{"events", "--since", "noon"}, `--since "noon" is neither a time`},
		{"a consumer group that is not there", []string{"events", "--consumer-group", "no"}, "hubwire: read events: "},
		{"a partition that is not there", []string{"events", "--partition", "77"}, "hubwire: read events: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, "", tt.args...)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(oneLine(err), "\n") {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if out != "" {
				t.Errorf("it printed %q", out)
			}
		})
	}
}

func TestCtrlCBreaksOffWhatHasAnEnd(t *testing.T) {
	h := localHub(t)
	hubtest.Device(t, h, "dev-1")
	for _, args := range [][]string{{"service", "feedback", "--count", "1"}, {"events", "--count", "1"}, {"service", "send", "dev-1", "x", "--wait-feedback"}} {
		j := start(t, "", args...)
		if err := j.interrupt(); !errors.Is(err, context.Canceled) {
			t.Errorf("%v ended with %v", args, err)
		}
	}
}
