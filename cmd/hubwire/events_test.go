package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// said sends telemetry of each of these devices, or of a module "device/module".
func said(t *testing.T, h *hub.Hub, who ...string) {
	t.Helper()
	for i, name := range who {
		deviceID, moduleID, isModule := strings.Cut(name, "/")
		id := hubwire.Identity{DeviceID: deviceID, ModuleID: moduleID}
		if _, err := h.Device(id); err != nil {
			if isModule {
				hubtest.Module(t, h, deviceID, moduleID)
			} else {
				hubtest.Device(t, h, deviceID)
			}
		}
		cs, err := h.ConnectionString(id)
		if err != nil {
			t.Fatal(err)
		}
		c := connectTo(t, h, cs)
		if err := c.Send(t.Context(), &hubwire.Message{Body: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsShowAllOfAMessage(t *testing.T) {
	for _, transport := range overAMQPs {
		t.Run(transport, func(t *testing.T) {
			h := localHub(t)
			c := connectTo(t, h, hubtest.Device(t, h, "dev-1"))
			for _, m := range []hubwire.Message{
				{Body: []byte(`{"t": 21}`), ContentType: "application/json; charset=utf-8", ContentEncoding: "utf-8", ID: "m1", CorrelationID: "c1", UserID: "u",
					CreationTime: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Properties: []hubwire.Property{{Name: "alert", Value: "<ü>"}}},
				{Body: []byte("Grüße\x1b[2J")},
				{Body: []byte{0, 0xff}, ContentType: "application/json"},
			} {
				if err := c.Send(t.Context(), &m); err != nil {
					t.Fatal(err)
				}
			}
			out, err := command(t, "", "events", "--from-start", "--count", "3", "--transport", transport)
			if err != nil {
				t.Fatal(err)
			}
			got := lines(t, out)
			if len(got) != 3 {
				t.Fatalf("it printed %s", out)
			}
			for i, line := range got {
				at, err := time.Parse(time.RFC3339Nano, line["enqueuedTime"].(string))
				if err != nil || time.Since(at) > time.Hour || line["deviceId"] != "dev-1" || line["messageSource"] != "Telemetry" || line["offset"] == "" || line["partition"] == "" {
					t.Errorf("line %d is %v, %v", i, line, err)
				}
				for _, name := range []string{"enqueuedTime", "deviceId", "messageSource", "offset", "partition", "sequenceNumber"} {
					delete(line, name)
				}
			}
			want := []map[string]any{
				{"body": map[string]any{"t": 21.0}, "contentType": "application/json; charset=utf-8", "contentEncoding": "utf-8", "messageId": "m1", "correlationId": "c1",
					"userId": "u", "creationTime": "2026-02-03T04:05:06Z", "properties": map[string]any{"alert": "<ü>"}},
				{"body": "Grüße\x1b[2J"},
				{"bodyBase64": "AP8=", "contentType": "application/json"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if strings.Contains(out, "\x1b") {
				t.Error("a message can move the cursor")
			}
		})
	}
}

func TestEventsAreThoseAskedFor(t *testing.T) {
	h := localHubWith(t, &hub.Config{ConsumerGroups: []string{"other"}})
	said(t, h, "dev-1", "dev-2", "dev-1/meter", "dev-1", "dev-1/meter")
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"of everybody", []string{"--count", "5"}, []string{"dev-1", "dev-1", "dev-1/meter", "dev-1/meter", "dev-2"}},
		{"of a device with its modules", []string{"--device-id", "dev-1", "--count", "4"}, []string{"dev-1", "dev-1", "dev-1/meter", "dev-1/meter"}},
		{"of a module", []string{"--device-id", "dev-1", "--module-id", "meter", "--count", "2"}, []string{"dev-1/meter", "dev-1/meter"}},
		{"of another group", []string{"--consumer-group", "other", "--device-id", "dev-2", "--count", "1"}, []string{"dev-2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, "", append([]string{"events", "--from-start"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range lines(t, out) {
				who := line["deviceId"].(string)
				if module, ok := line["moduleId"]; ok {
					who += "/" + module.(string)
				}
				got = append(got, who)
			}
			if diff := cmp.Diff(tt.want, slices.Sorted(slices.Values(got))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestEventsOfAPartition(t *testing.T) {
	h := localHub(t)
	said(t, h, "dev-1", "dev-2", "dev-3", "dev-4")
	all, err := command(t, "", "events", "--from-start", "--count", "4")
	if err != nil {
		t.Fatal(err)
	}
	first := lines(t, all)[0]["partition"].(string)
	var want, got []any
	for _, line := range lines(t, all) {
		if line["partition"] == first {
			want = append(want, line["deviceId"])
		}
	}
	out, err := command(t, "", "events", "--from-start", "--partition", first, "--count", fmt.Sprint(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines(t, out) {
		got = append(got, line["deviceId"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Without a place to begin, events are those from now on, until an interrupt.
func TestEventsAreFollowed(t *testing.T) {
	h := localHub(t)
	said(t, h, "old")
	j := start(t, "", "events")
	since := start(t, "", "events", "--since", "1h")
	for n := 0; !strings.Contains(j.stdout.String(), `"new`); n++ { // when it has begun is not to be seen
		said(t, h, fmt.Sprint("new-", n))
	}
	since.await(t, `"old"`)
	for _, j := range []*job{j, since} {
		if err := j.interrupt(); err != nil {
			t.Errorf("the end by an interrupt is %v", err)
		}
	}
	if out := j.stdout.String(); strings.Contains(out, `"old"`) {
		t.Errorf("what was there before is in\n%s", out)
	}
}
