package interop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgram lets the SDKs loose on the program itself, at both ends of it.
func TestProgram(t *testing.T) {
	wanted(t)
	p := join(t)
	t.Run("registry", p.registryDevices)
	t.Run("registry of modules", p.registryModules)
	t.Run("registry refuses another key", func(t *testing.T) {
		cs := swapKey(p.env["HUBWIRE_CONNECTION_STRING"], "SharedAccessKey=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		p.services.office(t, cs).fails(t, "UnauthorizedError", "", "list", nil)
	})
	for _, transport := range everyTransport[:2] {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			c := &client{p, p.office, transport}
			t.Run("device", c.device)
			t.Run("module", c.module)
		})
	}
}

// identity is of the registry's device or module what is looked at here.
type identity struct {
	DeviceID          string `json:"deviceId"`
	ModuleID          string `json:"moduleId,omitempty"`
	Status            string `json:"status,omitempty"`
	StatusReason      string `json:"statusReason,omitempty"`
	ConnectionState   string `json:"connectionState,omitempty"`
	ConnectionUpdated string `json:"connectionStateUpdatedTime,omitempty"`
	GenerationID      string `json:"generationId,omitempty"`
	ETag              string `json:"etag,omitempty"`
	ManagedBy         string `json:"managedBy,omitempty"`
	Waiting           int    `json:"cloudToDeviceMessageCount,omitempty"`
	Authentication    struct {
		Type         string `json:"type,omitempty"`
		SymmetricKey struct {
			Primary   string `json:"primaryKey,omitempty"`
			Secondary string `json:"secondaryKey,omitempty"`
		} `json:"symmetricKey"`
		X509 struct {
			Primary string `json:"primaryThumbprint,omitempty"`
		} `json:"x509Thumbprint"`
	} `json:"authentication"`
}

func answered[T any](t *testing.T, p *peer, action string, args any) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(p.do(t, action, args), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (p *program) registryDevices(t *testing.T) {
	office := p.office
	awkward := p.id("a:b.c%41+d#e?f;g@h$i'()") // all of it legal in an id
	byID := map[string]string{"deviceId": awkward}
	made := answered[identity](t, office, "create", byID)
	if made.DeviceID != awkward || made.Status != "enabled" || made.ConnectionState != "Disconnected" || made.ETag == "" ||
		made.GenerationID == "" || made.Authentication.Type != "sas" {
		t.Errorf("created %+v", redacted(made))
	}
	if k := made.Authentication.SymmetricKey; len(k.Primary) != 44 || len(k.Secondary) != 44 || k.Primary == k.Secondary {
		t.Error("the generated keys are not two of 32 bytes")
	}
	got := answered[identity](t, office, "get", byID)
	if diff := cmp.Diff(redacted(made), redacted(got)); diff != "" || made.Authentication != got.Authentication {
		t.Errorf("got (-created +got)\n%s", diff)
	}
	office.fails(t, "DeviceAlreadyExistsError", "", "create", byID)

	changed := made
	changed.Status, changed.StatusReason = "disabled", "ü €"
	changed = answered[identity](t, office, "update", changed)
	if changed.Status != "disabled" || changed.StatusReason != "ü €" || changed.Authentication != made.Authentication || changed.ETag == made.ETag {
		t.Errorf("updated to %+v", redacted(changed))
	}
	with := identity{DeviceID: p.id("thumb")}
	with.Authentication.Type = "selfSigned"
	with.Authentication.X509.Primary = strings.Repeat("AB", 32)
	if made := answered[identity](t, office, "create", with); made.Authentication.Type != "selfSigned" ||
		!strings.EqualFold(made.Authentication.X509.Primary, with.Authentication.X509.Primary) {
		t.Errorf("created %+v", redacted(made))
	}
	ids := []string{awkward, with.DeviceID}
	listed := func() (got []string) {
		for _, d := range answered[[]identity](t, office, "list", nil) {
			if slices.Contains(ids, d.DeviceID) {
				got = append(got, d.DeviceID)
			}
		}
		return got
	}
	if diff := cmp.Diff(ids, listed()); diff != "" {
		t.Errorf("list (-want +got)\n%s", diff)
	}
	if n := p.statistics(t); n.Total < 2 || n.Disabled < 1 || n.Total != n.Enabled+n.Disabled {
		t.Errorf("statistics %+v", n)
	}
	for _, id := range ids {
		office.do(t, "delete", map[string]string{"deviceId": id})
		office.fails(t, "DeviceNotFoundError", "", "get", map[string]string{"deviceId": id})
		office.fails(t, "DeviceNotFoundError", "", "delete", map[string]string{"deviceId": id})
	}
	if got := listed(); len(got) > 0 {
		t.Errorf("there still: %q", got)
	}
	office.fails(t, "ArgumentError", "", "create", map[string]string{"deviceId": "not/legal"})
}

// statistics counts the devices of all runs.
type statistics struct {
	Total    int `json:"totalDeviceCount"`
	Enabled  int `json:"enabledDeviceCount"`
	Disabled int `json:"disabledDeviceCount"`
}

func (p *program) statistics(t *testing.T) statistics {
	t.Helper()
	return answered[statistics](t, p.office, "statistics", nil)
}

// redacted is an identity that may be printed.
func redacted(d identity) identity {
	d.Authentication.SymmetricKey.Primary, d.Authentication.SymmetricKey.Secondary = "", ""
	return d
}

func (p *program) registryModules(t *testing.T) {
	office, id := p.office, p.id("with-modules")
	dev, mod := map[string]string{"deviceId": id}, map[string]string{"deviceId": id, "moduleId": "m+1"}
	office.fails(t, "DeviceNotFoundError", "", "addModule", mod)
	office.do(t, "create", dev)
	made := answered[identity](t, office, "addModule", mod)
	if made.ModuleID != "m+1" || made.Authentication.Type != "sas" || len(made.Authentication.SymmetricKey.Primary) != 44 {
		t.Errorf("created %+v", redacted(made))
	}
	got := answered[identity](t, office, "getModule", mod)
	if diff := cmp.Diff(redacted(made), redacted(got)); diff != "" || made.Authentication != got.Authentication {
		t.Errorf("got (-created +got)\n%s", diff)
	}
	if all := answered[[]identity](t, office, "modules", dev); len(all) != 1 || all[0].ModuleID != "m+1" {
		t.Errorf("%d modules", len(all))
	}
	office.do(t, "removeModule", mod)
	office.gives(t, "[]", "modules", dev)
	office.do(t, "delete", dev)
}
