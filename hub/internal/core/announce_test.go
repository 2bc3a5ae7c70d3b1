package core

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// announced reads the events of dev and its modules that are there, and checks what all have.
func announced(t *testing.T, c *Core, r *EventReader) (ops []string, bodies []map[string]any) {
	t.Helper()
	for {
		ev, err := r.TryNext(ctx)
		must(t, err)
		if ev == nil {
			return ops, bodies
		}
		op, _ := ev.Property("opType")
		deviceID, _ := ev.Property("deviceId")
		moduleID, _ := ev.Property("moduleId")
		hubName, _ := ev.Property("hubName")
		at, _ := ev.Property("operationTimestamp")
		if ev.ContentType != "application/json" || ev.ContentEncoding != "utf-8" || ev.UserID != "hub" || hubName != "hub" || ev.CorrelationID == "" ||
			ev.Source != (hubwire.Identity{DeviceID: deviceID, ModuleID: moduleID}) || ev.AuthMethod != "" || at != ev.EnqueuedTime.Format("2006-01-02T15:04:05.0000000Z") {
			t.Errorf("event %+v", ev.Received)
		}
		var body map[string]any
		if err := json.Unmarshal(ev.Body, &body); err != nil {
			t.Errorf("body %s: %v", ev.Body, err)
		}
		ops = append(ops, string(ev.MessageSource)+" "+ev.Schema+" "+op+" "+ev.Source.String())
		bodies = append(bodies, body)
	}
}

func announcing(t *testing.T, sources ...EventSource) (*Core, *EventReader) {
	t.Helper()
	c := newCore(t, &Config{HostName: "hub.example", EventSources: sources})
	r, err := c.Events(ctx, c.partitionOf("dev"), Start{Latest: true})
	must(t, err)
	return c, r
}

func TestTwinChangesAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := announcing(t, SourceTwinChanges)
		s, _ := connect(t, c, dev)
		patch := func(u *TwinUpdate) {
			t.Helper()
			_, err := c.PatchTwin(ctx, dev, u, "")
			must(t, err)
		}
		patch(&TwinUpdate{Tags: json.RawMessage(`{"tag":"old"}`), Desired: json.RawMessage(`{"kept":1,"gone":2}`)})
		if ops, _ := announced(t, c, r); len(ops) != 1 {
			t.Fatal(ops)
		}
		time.Sleep(time.Second)
		patch(&TwinUpdate{Tags: json.RawMessage(`{"tag":"new \" value"}`), Desired: json.RawMessage(`{"gone":null,"in":{"a":1}}`)})
		_, err := s.PatchReported(ctx, []byte(`{"r":true}`), 0)
		must(t, err)
		_, err = c.ReplaceTwin(ctx, dev, &TwinUpdate{}, "")
		must(t, err)
		_, err = c.PatchTwin(ctx, mod, &TwinUpdate{Desired: json.RawMessage(`{}`)}, "")
		must(t, err)
		ops, bodies := announced(t, c, r)
		update := "twinChangeEvents twinChangeNotification updateTwin dev"
		if diff := cmp.Diff([]string{update, update, "twinChangeEvents twinChangeNotification replaceTwin dev", update + "/mod"}, ops); diff != "" {
			t.Fatalf("operations (-want +got):\n%s", diff)
		}
		type object = map[string]any
		now := time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z")
		changed := func(more object) object {
			more["$lastUpdated"] = now
			return more
		}
		want := []object{
			{"version": 4.0, "tags": object{"tag": `new " value`}, "properties": object{"desired": object{
				"gone": nil, "in": object{"a": 1.0}, "$version": 3.0,
				"$metadata": changed(object{"$lastUpdatedVersion": 3.0, "in": changed(object{"$lastUpdatedVersion": 3.0, "a": changed(object{"$lastUpdatedVersion": 3.0})})}),
			}}},
			{"version": 5.0, "properties": object{"reported": object{
				"r": true, "$version": 2.0, "$metadata": changed(object{"r": changed(object{})}),
			}}},
			{"version": 6.0, "deviceId": "dev", "etag": "AAAAAAAAAAQ=", "properties": object{
				"desired":  object{"$version": 4.0, "$metadata": changed(object{"$lastUpdatedVersion": 4.0})},
				"reported": object{"r": true, "$version": 2.0, "$metadata": changed(object{"r": changed(object{})})},
			}},
		}
		if diff := cmp.Diff(want, bodies[:3]); diff != "" {
			t.Errorf("bodies (-want +got):\n%s", diff)
		}
	})
}

func TestLivesAreEvents(t *testing.T) {
	c, r := announcing(t, SourceLifecycles)
	must(t, c.Delete(ctx, dev, "*"))
	create(t, c, &Device{ID: dev})
	connect(t, c, dev)
	ops, bodies := announced(t, c, r)
	const life = "deviceLifecycleEvents deviceLifecycleNotification "
	if diff := cmp.Diff([]string{life + "deleteDeviceIdentity dev/mod", life + "deleteDeviceIdentity dev", life + "createDeviceIdentity dev"}, ops); diff != "" {
		t.Fatalf("operations (-want +got):\n%s", diff)
	}
	if b := bodies[0]; b["deviceId"] != "dev" || b["moduleId"] != "mod" || b["etag"] != "AAAAAAAAAAE=" || b["version"] != 2.0 || b["properties"] == nil {
		t.Errorf("the module was %v", b)
	}
}

func TestConnectionsAreEvents(t *testing.T) {
	c, r := announcing(t, SourceConnectionStates)
	s, _ := connect(t, c, mod)
	s.Disconnect()
	s.Disconnect()
	ops, bodies := announced(t, c, r)
	const state = "deviceConnectionStateEvents deviceConnectionStateNotification "
	if diff := cmp.Diff([]string{state + "deviceConnected dev/mod", state + "deviceDisconnected dev/mod"}, ops); diff != "" {
		t.Fatalf("operations (-want +got):\n%s", diff)
	}
	first, second := bodies[0]["sequenceNumber"].(string), bodies[1]["sequenceNumber"].(string)
	if first >= second || len(first) != 64 || len(second) != 64 {
		t.Errorf("sequence numbers %s, %s", first, second)
	}
}

func TestNothingIsAnnouncedByDefault(t *testing.T) {
	c, r := announcing(t)
	s, _ := connect(t, c, dev)
	_, err := s.PatchReported(ctx, []byte(`{}`), 0)
	must(t, err)
	must(t, c.Delete(ctx, dev, "*"))
	if ops, _ := announced(t, c, r); ops != nil {
		t.Errorf("events %v", ops)
	}
}

func TestAnEventThatCannotBeStoredIsLogged(t *testing.T) {
	var log strings.Builder
	bs := &brokenStore{Store: store.NewMemory(nil)}
	c := newCoreOn(t, &Config{EventSources: EventSources, Log: slog.New(slog.NewTextHandler(&log, nil))}, bs)
	s, _ := connectWith(t, c, grant(t, c, dev), nil)
	bs.broken = true
	s.Disconnect()
	if n := strings.Count(log.String(), "an event was not stored"); n != 1 {
		t.Errorf("%d lines in\n%s", n, log.String())
	}
}
