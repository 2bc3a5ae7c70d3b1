package httpfront

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

var (
	dev = hubwire.Identity{DeviceID: "d"}
	mod = hubwire.Identity{DeviceID: "d", ModuleID: "m"}
)

// TestEncodeIdentity has the members, their order and their forms as in the
// REST API's answers.
func TestEncodeIdentity(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_200, time.FixedZone("", 3600))
	tests := []struct {
		name string
		d    core.Device
		want string
	}{
		{"a fresh device", core.Device{ID: dev, GenerationID: "637", ETag: "MA==", Auth: core.Auth{Type: core.AuthSAS, Primary: sas.NewSecret("cA=="), Secondary: sas.NewSecret("cw==")}},
			`{"deviceId":"d","generationId":"637","etag":"MA==","connectionState":"Disconnected","status":"enabled","statusReason":null,` +
				`"connectionStateUpdatedTime":"0001-01-01T00:00:00Z","statusUpdatedTime":"0001-01-01T00:00:00Z","lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,` +
				`"authentication":{"symmetricKey":{"primaryKey":"cA==","secondaryKey":"cw=="},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"},` +
				`"capabilities":{"iotEdge":false},"deviceScope":"","parentScopes":[]}`},
		{"an edge device that is disabled and busy", core.Device{
			ID: dev, Disabled: true, StatusReason: "x", Auth: core.Auth{Type: core.AuthSelfSigned, PrimaryThumbprint: "AB"}, Edge: true, Scope: "ms-azure-iot-edge://d-1", ParentScopes: []string{"p"},
			StatusUpdated: at, Connected: true, ConnectionUpdated: at, LastActivity: at, C2DCount: 7,
		}, `{"deviceId":"d","generationId":"","etag":"","connectionState":"Connected","status":"disabled","statusReason":"x",` +
			`"connectionStateUpdatedTime":"2026-01-02T02:04:05.6789012Z","statusUpdatedTime":"2026-01-02T02:04:05.6789012Z","lastActivityTime":"2026-01-02T02:04:05.6789012Z","cloudToDeviceMessageCount":7,` +
			`"authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":"AB","secondaryThumbprint":null},"type":"selfSigned"},` +
			`"capabilities":{"iotEdge":true},"deviceScope":"ms-azure-iot-edge://d-1","parentScopes":["p"]}`},
		{"a module", core.Device{ID: mod, Auth: core.Auth{Type: core.AuthNone}, ManagedBy: "IotEdge"},
			`{"moduleId":"m","managedBy":"IotEdge","deviceId":"d","generationId":"","etag":"","connectionState":"Disconnected",` +
				`"connectionStateUpdatedTime":"0001-01-01T00:00:00Z","lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,` +
				`"authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"none"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := httpsx.Marshal(identityDoc(&tt.d))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// decodeIdentity reads a body as the registry takes it.
func decodeIdentity(id hubwire.Identity, body string) (*core.Device, error) {
	if id.IsModule() {
		var v httpsx.Module
		if err := httpsx.Decode(httpsx.PutModule, []byte(body), &v); err != nil {
			return nil, err
		}
		return fromModule(id, &v), v.Check(id)
	}
	var v httpsx.Device
	if err := httpsx.Decode(httpsx.PutDevice, []byte(body), &v); err != nil {
		return nil, err
	}
	return fromDevice(id, &v), v.Check(id)
}

func TestDecodeIdentity(t *testing.T) {
	tests := []struct {
		name, body string
		id         hubwire.Identity
		want       core.Device
	}{
		{"nothing", `{}`, dev, core.Device{}},
		{"null", `null`, dev, core.Device{}},
		{"what the Node SDK sends", `{"deviceId":"d","authentication":{"symmetricKey":{"primaryKey":"","secondaryKey":""}}}`, dev, core.Device{}},
		{"nulls all over", `{"deviceId":"d","moduleId":null,"status":null,"statusReason":null,"authentication":{"type":null,"symmetricKey":null,"x509Thumbprint":null},"capabilities":null,"deviceScope":null,"parentScopes":null,"lastActivityTime":null}`,
			dev, core.Device{}},
		{"members that nobody knows, and those that the hub sets", `{"isManaged":true,"serviceProperties":{"etag":"x"},"generationId":"5","etag":"x","connectionState":"Connected","lastActivityTime":"2019","statusUpdatedTime":0,"cloudToDeviceMessageCount":9}`,
			dev, core.Device{}},
		{"keys", `{"authentication":{"type":"SAS","symmetricKey":{"primaryKey":"cA==","secondaryKey":"cw=="}}}`,
			dev, core.Device{Auth: core.Auth{Type: core.AuthSAS, Primary: sas.NewSecret("cA=="), Secondary: sas.NewSecret("cw==")}}},
		{"thumbprints", `{"authentication":{"type":"selfsigned","x509Thumbprint":{"primaryThumbprint":"AB","secondaryThumbprint":"CD"}}}`,
			dev, core.Device{Auth: core.Auth{Type: core.AuthSelfSigned, PrimaryThumbprint: "AB", SecondaryThumbprint: "CD"}}},
		{"a status in capitals", `{"status":"Disabled","statusReason":"why"}`, dev, core.Device{Disabled: true, StatusReason: "why"}},
		{"an edge device", `{"capabilities":{"iotEdge":true},"deviceScope":"s","parentScopes":["p"]}`, dev, core.Device{Edge: true, Scope: "s", ParentScopes: []string{"p"}}},
		{"a module", `{"deviceId":"d","moduleId":"m","managedBy":"IotEdge"}`, mod, core.Device{ManagedBy: "IotEdge"}},
		{"a module with a status, which it has not", `{"status":"disabled"}`, mod, core.Device{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeIdentity(tt.id, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.ID = tt.id
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDecodeIdentityRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		id         hubwire.Identity
		body, says string
	}{
		"another device":         {dev, `{"deviceId":"D"}`, `"D"`},
		"another module":         {mod, `{"moduleId":"x"}`, `"x"`},
		"an unknown status":      {dev, `{"status":"asleep"}`, `"asleep"`},
		"an unknown type":        {dev, `{"authentication":{"type":"faith"}}`, `"faith"`},
		"a very long wrong name": {dev, `{"status":"` + strings.Repeat("x", 10_000) + `"}`, `xxx`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeIdentity(tt.id, tt.body)
			if !errors.Is(err, hubwire.ArgumentInvalid) || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 400 {
				t.Errorf("error %v", err)
			}
		})
	}
}
