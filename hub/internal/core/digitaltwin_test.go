package core

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

// wantJSON compares two documents by what they say.
func wantJSON(t *testing.T, what, want, got string) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s: %v\n%s", what, err, got)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestADigitalTwinIsTheTwinByItsConventions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		doc, _, err := c.DigitalTwin(ctx, "dev")
		must(t, err)
		wantJSON(t, "of a device without a model", `{"$dtId":"dev","$metadata":{"$model":""}}`, string(doc))
		s, _ := connectWith(t, c, grant(t, c, dev), &ConnectOptions{ModelID: "dtmi:com:example:TemperatureController;1"})
		_, err = c.PatchTwin(ctx, dev, update("", `{"telemetryInterval":5,"thermostat1":{"__t":"c","targetTemperature":42},"thermostat2":{"__t":"c","off":true}}`), "")
		must(t, err)
		_, err = s.PatchReported(ctx, []byte(`{"serialNumber":"al","nested":{"value":1},"thermostat1":{"__t":"c",
			"maxTemp":25.3,"targetTemperature":{"value":40,"ac":200,"av":4,"ad":"complete"}}}`), 0)
		must(t, err)
		doc, etag, err := c.DigitalTwin(ctx, "dev")
		must(t, err)
		now := time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z")
		wantJSON(t, "of a device with components", strings.ReplaceAll(`{"$dtId":"dev",
			"$metadata":{"$model":"dtmi:com:example:TemperatureController;1",
				"serialNumber":{"lastUpdateTime":"NOW"},"nested":{"lastUpdateTime":"NOW"},
				"telemetryInterval":{"desiredValue":5,"desiredVersion":2}},
			"serialNumber":"al","nested":{"value":1},
			"thermostat1":{"$metadata":{"maxTemp":{"lastUpdateTime":"NOW"},
				"targetTemperature":{"desiredValue":42,"desiredVersion":2,"ackVersion":4,"ackCode":200,"ackDescription":"complete","lastUpdateTime":"NOW"}},
				"maxTemp":25.3,"targetTemperature":40},
			"thermostat2":{"$metadata":{"off":{"desiredValue":true,"desiredVersion":2}}}}`, "NOW", now), string(doc))
		if tw, _ := c.Twin(ctx, dev); etag != tw.ETag {
			t.Errorf("etag %q, the twin's is %q", etag, tw.ETag)
		}
		_, _, err = c.DigitalTwin(ctx, "nobody")
		wantCode(t, "of nobody", err, hubwire.DeviceNotFound)
	})
}

func TestADigitalTwinIsPatched(t *testing.T) {
	const before = `{"interval":5,"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":21}}`
	for _, tt := range []struct {
		name, patch string
		code        hubwire.Code
		want        string // desired properties afterwards
		told        string // what the device is told
	}{
		{name: "add a property", patch: `[{"op":"add","path":"/new","value":"x"}]`,
			want: `{"interval":5,"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":21},"new":"x"}`, told: `{"new":"x"}`},
		{name: "replace a whole object", patch: `[{"op":"replace","path":"/setting","value":{"b":2,"c":3}}]`,
			want: `{"interval":5,"setting":{"b":2,"c":3},"thermostat1":{"__t":"c","target":21}}`, told: `{"setting":{"c":3,"a":null}}`},
		{name: "replace what is not there adds it", patch: `[{"op":"replace","path":"/new","value":[1]}]`,
			want: `{"interval":5,"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":21},"new":[1]}`, told: `{"new":[1]}`},
		{name: "remove a property", patch: `[{"op":"remove","path":"/interval"}]`,
			want: `{"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":21}}`, told: `{"interval":null}`},
		{name: "a property of a component", patch: `[{"op":"replace","path":"/thermostat1/target","value":30}]`,
			want: `{"interval":5,"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":30}}`, told: `{"thermostat1":{"target":30}}`},
		{name: "a property of a new component", patch: `[{"op":"add","path":"/thermostat2/target","value":30}]`,
			want: `{"interval":5,"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":21},"thermostat2":{"__t":"c","target":30}}`, told: `{"thermostat2":{"__t":"c","target":30}}`},
		{name: "a whole component", patch: `[{"op":"add","path":"/thermostat2","value":{"$metadata":{},"target":1}}]`,
			want: `{"interval":5,"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":21},"thermostat2":{"__t":"c","target":1}}`, told: `{"thermostat2":{"__t":"c","target":1}}`},
		{name: "remove a component", patch: `[{"op":"remove","path":"/thermostat1"}]`,
			want: `{"interval":5,"setting":{"a":1,"b":2}}`, told: `{"thermostat1":null}`},
		{name: "several operations, in order", patch: `[{"op":"add","path":"/interval","value":6},{"op":"remove","path":"/setting"},{"op":"add","path":"/interval","value":7}]`,
			want: `{"interval":7,"thermostat1":{"__t":"c","target":21}}`, told: `{"interval":7,"setting":null}`},
		{name: "a name with escapes", patch: `[{"op":"add","path":"/a~1b~0c","value":1}]`,
			want: `{"interval":5,"setting":{"a":1,"b":2},"thermostat1":{"__t":"c","target":21},"a/b~c":1}`, told: `{"a/b~c":1}`},
		{name: "nothing", patch: `[]`, want: before},
		{name: "what changes nothing", patch: `[{"op":"remove","path":"/absent"},{"op":"add","path":"/interval","value":5}]`, want: before},
		{name: "no array", patch: `{"op":"add","path":"/x","value":1}`, code: hubwire.InvalidDigitalTwinJSONPatch, want: before},
		{name: "null", patch: `null`, code: hubwire.InvalidDigitalTwinJSONPatch, want: before},
		{name: "no JSON", patch: `[`, code: hubwire.InvalidDigitalTwinJSONPatch, want: before},
		{name: "too many operations", patch: `[` + strings.Repeat(`{"op":"remove","path":"/x"},`, maxPatchSteps) + `{"op":"remove","path":"/x"}]`, code: hubwire.InvalidDigitalTwinJSONPatch, want: before},
		{name: "an operation without a path", patch: `[{"op":"add","value":1}]`, code: hubwire.InvalidDigitalTwinJSONPatch, want: before},
		{name: "an unknown operation, behind one that is good", patch: `[{"op":"remove","path":"/interval"},{"op":"move","from":"/interval","path":"/x"}]`, code: hubwire.InvalidDigitalTwinPatch, want: before},
		{name: "an add without a value", patch: `[{"op":"add","path":"/x"}]`, code: hubwire.InvalidDigitalTwinPatch, want: before},
		{name: "a path without a slash", patch: `[{"op":"add","path":"x","value":1}]`, code: hubwire.InvalidDigitalTwinPatchPath, want: before},
		{name: "the whole document", patch: `[{"op":"remove","path":""}]`, code: hubwire.InvalidDigitalTwinPatchPath, want: before},
		{name: "an empty name", patch: `[{"op":"remove","path":"/"}]`, code: hubwire.InvalidDigitalTwinPatchPath, want: before},
		{name: "a path that is too deep", patch: `[{"op":"add","path":"/a/b/c","value":1}]`, code: hubwire.InvalidDigitalTwinPatchPath, want: before},
		{name: "the mark of a component", patch: `[{"op":"remove","path":"/thermostat1/__t"}]`, code: hubwire.InvalidDigitalTwinPatchPath, want: before},
		{name: "metadata", patch: `[{"op":"remove","path":"/$metadata"}]`, code: hubwire.InvalidDigitalTwinPatchPath, want: before},
		{name: "a value that no twin can have", patch: `[{"op":"add","path":"/x","value":{"a b":1}}]`, code: hubwire.InvalidDigitalTwinPayload, want: before},
		{name: "a value that is too deep where it will be", patch: `[{"op":"add","path":"/c/x","value":` + strings.Repeat(`{"a":`, 9) + `{}` + strings.Repeat(`}`, 9) + `}]`, code: hubwire.InvalidDigitalTwinPayload, want: before},
		{name: "more than the section holds", patch: `[{"op":"add","path":"/x","value":[` + strings.Repeat(`"`+strings.Repeat("x", 4096)+`",`, 8) + `1]}]`, code: hubwire.ArgumentInvalid, want: before},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCore(t, nil)
			_, err := c.PatchTwin(ctx, dev, update("", before), "")
			must(t, err)
			old, _ := c.Twin(ctx, dev)
			_, l := connect(t, c, dev)
			etag, err := c.PatchDigitalTwin(ctx, "dev", json.RawMessage(tt.patch), old.ETag)
			if tt.code != 0 {
				wantCode(t, "the patch", err, tt.code)
			} else {
				must(t, err)
			}
			now, _ := c.Twin(ctx, dev)
			if string(now.Desired.JSON) != tt.want {
				t.Errorf("desired = %s\nwant      %s", now.Desired.JSON, tt.want)
			}
			if changed := tt.told != ""; (now.ETag != old.ETag) != changed || err == nil && etag != now.ETag {
				t.Errorf("etag %q, then %q, answered %q", old.ETag, now.ETag, etag)
			}
			var told string
			for _, d := range l.changes {
				told += string(d.JSON)
			}
			if told != tt.told {
				t.Errorf("the device was told %s, want %s", told, tt.told)
			}
		})
	}
	c := newCore(t, nil)
	_, err := c.PatchDigitalTwin(ctx, "dev", json.RawMessage(`[]`), "stale")
	wantCode(t, "a stale etag", err, hubwire.PreconditionFailed)
	_, err = c.PatchDigitalTwin(ctx, "nobody", json.RawMessage(`[]`), "")
	wantCode(t, "nobody", err, hubwire.DeviceNotFound)
}

func TestACommandIsAMethod(t *testing.T) {
	c := newCore(t, nil)
	s, l := connectWith(t, c, grant(t, c, dev), nil)
	l.onMethod = func(m MethodCall) {
		s.MethodResponse(m.RequestID, &hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(`"` + m.Name + `"`)})
	}
	must(t, s.Subscribe(ctx, Subscription{Filter: "methods", Feature: FeatureMethods}))
	for _, tt := range []struct{ component, command, want string }{
		{"", "reboot", `"reboot"`},
		{"thermostat1", "getMaxMinReport", `"thermostat1*getMaxMinReport"`},
	} {
		r, err := c.InvokeCommand(ctx, "dev", tt.component, tt.command, &Invocation{})
		if err != nil || string(r.Payload) != tt.want {
			t.Errorf("%s of %q = %+v, %v", tt.command, tt.component, r, err)
		}
	}
	_, err := c.InvokeCommand(ctx, "dev", "thermostat1", "", &Invocation{})
	wantCode(t, "a command without a name", err, hubwire.ArgumentInvalid)
}
