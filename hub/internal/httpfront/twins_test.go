package httpfront

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// TestEncodeTwin has the members, their order and their forms as in the REST
// API's answers.
func TestEncodeTwin(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_200, time.UTC)
	empty := hubwire.TwinSection{Version: 1, JSON: json.RawMessage(`{}`), Metadata: json.RawMessage(`{"$lastUpdated":"2026-01-02T03:04:05.6789012Z"}`)}
	tests := []struct {
		name string
		t    hubwire.Twin
		d    core.Device
		want string
	}{
		{
			"a fresh device",
			hubwire.Twin{ETag: "AAAAAAAAAAE=", Version: 2, Tags: json.RawMessage(`{}`), Desired: empty, Reported: empty},
			core.Device{ID: dev, ETag: "NzQ3NDE2NTI5", Auth: core.Auth{Type: core.AuthSAS}},
			`{"deviceId":"d","etag":"AAAAAAAAAAE=","deviceEtag":"NzQ3NDE2NTI5","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z",` +
				`"connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,"authenticationType":"sas",` +
				`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":2,"tags":{},"properties":{` +
				`"desired":{"$metadata":{"$lastUpdated":"2026-01-02T03:04:05.6789012Z"},"$version":1},` +
				`"reported":{"$metadata":{"$lastUpdated":"2026-01-02T03:04:05.6789012Z"},"$version":1}},"capabilities":{"iotEdge":false}}`,
		},
		{
			"an edge device with everything",
			hubwire.Twin{
				ETag: "AAAAAAAAAAI=", Version: 3, ModelID: "dtmi:x;1", Tags: json.RawMessage(`{"a":{"b":null}}`), Reported: empty,
				Desired: hubwire.TwinSection{Version: 7, JSON: json.RawMessage(`{"a":{},"b":[1]}`), Metadata: json.RawMessage(`{"a":{}}`)},
			},
			core.Device{
				ID: dev, ETag: "MA==", Disabled: true, StatusReason: "why", StatusUpdated: at, Connected: true, LastActivity: at, C2DCount: 7,
				Auth: core.Auth{Type: core.AuthSelfSigned, PrimaryThumbprint: "AB", SecondaryThumbprint: "CD"}, Edge: true, Scope: "s", ParentScopes: []string{"p"},
			},
			`{"deviceId":"d","etag":"AAAAAAAAAAI=","deviceEtag":"MA==","status":"disabled","statusReason":"why","statusUpdateTime":"2026-01-02T03:04:05.6789012Z",` +
				`"connectionState":"Connected","lastActivityTime":"2026-01-02T03:04:05.6789012Z","cloudToDeviceMessageCount":7,"authenticationType":"selfSigned",` +
				`"x509Thumbprint":{"primaryThumbprint":"AB","secondaryThumbprint":"CD"},"modelId":"dtmi:x;1","version":3,"tags":{"a":{"b":null}},"properties":{` +
				`"desired":{"a":{},"b":[1],"$metadata":{"a":{}},"$version":7},` +
				`"reported":{"$metadata":{"$lastUpdated":"2026-01-02T03:04:05.6789012Z"},"$version":1}},` +
				`"capabilities":{"iotEdge":true},"deviceScope":"s","parentScopes":["p"]}`,
		},
		{
			"a module",
			hubwire.Twin{Tags: json.RawMessage(`{}`), Desired: empty, Reported: empty},
			core.Device{ID: mod, Auth: core.Auth{Type: core.AuthNone}},
			`{"deviceId":"d","moduleId":"m","etag":"","deviceEtag":"","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z",` +
				`"connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,"authenticationType":"none",` +
				`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":0,"tags":{},"properties":{` +
				`"desired":{"$metadata":{"$lastUpdated":"2026-01-02T03:04:05.6789012Z"},"$version":1},` +
				`"reported":{"$metadata":{"$lastUpdated":"2026-01-02T03:04:05.6789012Z"},"$version":1}},"capabilities":{"iotEdge":false}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.t.Identity = tt.d.ID
			got, err := httpsx.Marshal(twinDoc(&core.TwinDocument{Device: &tt.d, Twin: &tt.t}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDecodeTwinUpdate(t *testing.T) {
	tests := []struct {
		name, body string
		want       core.TwinUpdate
	}{
		{"nothing", `{}`, core.TwinUpdate{}},
		{"nulls", `{"tags":null,"properties":null}`, core.TwinUpdate{}},
		{"a null inside", `{"properties":{"desired":null}}`, core.TwinUpdate{}},
		{"tags", `{"tags":{"a":null}}`, core.TwinUpdate{Tags: json.RawMessage(`{"a":null}`)}},
		{"desired properties", `{"properties":{"desired":{"a":1}}}`, core.TwinUpdate{Desired: json.RawMessage(`{"a":1}`)}},
		{"what core refuses", `{"tags":1,"properties":{"desired":[]}}`, core.TwinUpdate{Tags: json.RawMessage(`1`), Desired: json.RawMessage(`[]`)}},
		{
			"a whole twin",
			`{"deviceId":"other","etag":"x","version":9,"tags":{},"properties":{"desired":{"$version":1},"reported":{"a":1}},"capabilities":{"iotEdge":true}}`,
			core.TwinUpdate{Tags: json.RawMessage(`{}`), Desired: json.RawMessage(`{"$version":1}`)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var u httpsx.TwinUpdate
			if err := httpsx.Decode(httpsx.PatchTwin, []byte(tt.body), &u); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, twinUpdate(&u)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
