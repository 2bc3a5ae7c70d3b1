package httpfront

import (
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// identity is a device or module identity as the REST API has it ("Devices -
// Get Identity", "Modules - Get Identity"). Members that are not known are ignored.
type identity struct {
	DeviceID                   string         `json:"deviceId"`
	ModuleID                   string         `json:"moduleId,omitempty"`
	ManagedBy                  *string        `json:"managedBy,omitempty"`
	GenerationID               string         `json:"generationId"`
	ETag                       string         `json:"etag"`
	ConnectionState            string         `json:"connectionState"`
	Status                     string         `json:"status,omitempty"`
	StatusReason               *string        `json:"statusReason"`
	ConnectionStateUpdatedTime jsonTime       `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          jsonTime       `json:"statusUpdatedTime"`
	LastActivityTime           jsonTime       `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int            `json:"cloudToDeviceMessageCount"`
	Authentication             authentication `json:"authentication"`
	Capabilities               *capabilities  `json:"capabilities,omitempty"`
	DeviceScope                *string        `json:"deviceScope,omitempty"`
	ParentScopes               []string       `json:"parentScopes,omitzero"`
}

type authentication struct {
	SymmetricKey   keys        `json:"symmetricKey"`
	X509Thumbprint thumbprints `json:"x509Thumbprint"`
	Type           string      `json:"type"`
}

type keys struct {
	Primary   *string `json:"primaryKey"`
	Secondary *string `json:"secondaryKey"`
}

type thumbprints struct {
	Primary   *string `json:"primaryThumbprint"`
	Secondary *string `json:"secondaryThumbprint"`
}

type capabilities struct {
	IotEdge bool `json:"iotEdge"`
}

// jsonTime is a time in the registry's form: UTC, up to seven digits of
// fraction, and 0001-01-01T00:00:00Z for never. What clients send is ignored,
// whatever it is: the hub sets these.
type jsonTime time.Time

func (t jsonTime) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(nil, "2006-01-02T15:04:05.9999999Z07:00"), nil
}

func (*jsonTime) UnmarshalJSON([]byte) error { return nil }

// optional is nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func status(d *core.Device) string {
	if d.Disabled {
		return "disabled"
	}
	return "enabled"
}

func connectionState(d *core.Device) string {
	if d.Connected {
		return "Connected"
	}
	return "Disconnected"
}

func thumbprintsOf(d *core.Device) thumbprints {
	return thumbprints{optional(d.Auth.PrimaryThumbprint), optional(d.Auth.SecondaryThumbprint)}
}

// encode gives the REST form of what the registry holds, keys included.
func encode(d *core.Device) *identity {
	j := &identity{
		DeviceID: d.ID.DeviceID, ModuleID: d.ID.ModuleID,
		GenerationID: d.GenerationID, ETag: d.ETag,
		ConnectionState: connectionState(d), Status: status(d), StatusReason: optional(d.StatusReason),
		ConnectionStateUpdatedTime: jsonTime(d.ConnectionUpdated),
		StatusUpdatedTime:          jsonTime(d.StatusUpdated),
		LastActivityTime:           jsonTime(d.LastActivity),
		CloudToDeviceMessageCount:  d.C2DCount,
		Authentication: authentication{
			SymmetricKey:   keys{optional(d.Auth.Primary.Reveal()), optional(d.Auth.Secondary.Reveal())},
			X509Thumbprint: thumbprintsOf(d),
			Type:           string(d.Auth.Type),
		},
	}
	if d.ID.IsModule() {
		j.Status, j.ManagedBy = "", &d.ManagedBy
		return j
	}
	j.Capabilities = &capabilities{IotEdge: d.Edge}
	j.DeviceScope, j.ParentScopes = &d.Scope, append([]string{}, d.ParentScopes...)
	return j
}

// decode gives what the registry is asked to hold for id.
func (j *identity) decode(id hubwire.Identity) (*core.Device, error) {
	if j.DeviceID != "" && j.DeviceID != id.DeviceID {
		return nil, refuse(hubwire.ArgumentInvalid, "deviceId %.140q is not the %q of the path", j.DeviceID, id.DeviceID)
	}
	if j.ModuleID != "" && j.ModuleID != id.ModuleID {
		return nil, refuse(hubwire.ArgumentInvalid, "moduleId %.140q is not the %q of the path", j.ModuleID, id.ModuleID)
	}
	d := &core.Device{
		ID: id, StatusReason: value(j.StatusReason), ManagedBy: value(j.ManagedBy),
		Scope: value(j.DeviceScope), ParentScopes: j.ParentScopes,
		Auth: core.Auth{
			Primary:             sas.NewSecret(value(j.Authentication.SymmetricKey.Primary)),
			Secondary:           sas.NewSecret(value(j.Authentication.SymmetricKey.Secondary)),
			PrimaryThumbprint:   value(j.Authentication.X509Thumbprint.Primary),
			SecondaryThumbprint: value(j.Authentication.X509Thumbprint.Secondary),
		},
	}
	if j.Capabilities != nil {
		d.Edge = j.Capabilities.IotEdge
	}
	switch {
	case id.IsModule(): // has no status
	case j.Status == "" || strings.EqualFold(j.Status, "enabled"):
	case strings.EqualFold(j.Status, "disabled"):
		d.Disabled = true
	default:
		return nil, refuse(hubwire.ArgumentInvalid, "status %.40q is neither enabled nor disabled", j.Status)
	}
	for _, t := range [...]core.AuthType{core.AuthSAS, core.AuthSelfSigned, core.AuthCA, core.AuthNone} {
		if strings.EqualFold(j.Authentication.Type, string(t)) {
			d.Auth.Type = t
		}
	}
	if d.Auth.Type == "" && j.Authentication.Type != "" {
		return nil, refuse(hubwire.ArgumentInvalid, "authentication type %.40q is unknown", j.Authentication.Type)
	}
	return d, nil
}
