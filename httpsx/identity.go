package httpsx

import (
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Device is a device identity of the registry. What the hub sets (GenerationID, ETag, ConnectionState,
// the times and C2DCount) is ignored in a request.
// Source: REST, "Devices - Get Identity" and "Create Or Update Identity".
type Device struct {
	DeviceID               string          `json:"deviceId"`                   // 1 to 128 characters, see hubwire.Identity
	GenerationID           string          `json:"generationId"`               // another one when a deleted id is registered again
	ETag                   string          `json:"etag"`                       // for conditional writes
	ConnectionState        ConnectionState `json:"connectionState"`            // whether it is connected now
	Status                 Status          `json:"status"`                     // empty means enabled
	StatusReason           string          `json:"statusReason"`               // at most 128 characters
	ConnectionStateUpdated Time            `json:"connectionStateUpdatedTime"` // when that changed
	StatusUpdated          Time            `json:"statusUpdatedTime"`          // when Status changed
	LastActivity           Time            `json:"lastActivityTime"`           // when it last connected or sent
	C2DCount               int             `json:"cloudToDeviceMessageCount"`  // messages that wait for it
	Authentication         Authentication  `json:"authentication"`             // how it proves who it is
	Capabilities           Capabilities    `json:"capabilities"`               // what it is
	Scope                  string          `json:"deviceScope"`                // of an edge device its own, of others the parent's
	ParentScopes           []string        `json:"parentScopes"`               // of an edge device
}

// Module is a module identity of the registry. What the hub sets (GenerationID, ETag, ConnectionState,
// the times and C2DCount) is ignored in a request.
// Source: REST, "Modules - Get Identity" and "Create Or Update Identity".
type Module struct {
	ModuleID               string          `json:"moduleId"`                   // 1 to 128 characters, see hubwire.Identity
	ManagedBy              string          `json:"managedBy"`                  // "IotEdge" when the edge runtime owns it
	DeviceID               string          `json:"deviceId"`                   // of its device
	GenerationID           string          `json:"generationId"`               // as in [Device]
	ETag                   string          `json:"etag"`                       // for conditional writes
	ConnectionState        ConnectionState `json:"connectionState"`            // whether it is connected now
	ConnectionStateUpdated Time            `json:"connectionStateUpdatedTime"` // when that changed
	LastActivity           Time            `json:"lastActivityTime"`           // when it last connected or sent
	C2DCount               int             `json:"cloudToDeviceMessageCount"`  // messages that wait for it
	Authentication         Authentication  `json:"authentication"`             // how it proves who it is
}

// Status is whether a device may connect. Compare with [Status.Is]: some clients write it in other
// case.
type Status string

// The statuses. The empty one counts as enabled.
const (
	Enabled  Status = "enabled"
	Disabled Status = "disabled"
)

// Is compares without case.
func (s Status) Is(t Status) bool { return strings.EqualFold(string(s), string(t)) }

func (s Status) check() *hubwire.Error {
	if s == "" || s.Is(Enabled) || s.Is(Disabled) {
		return nil
	}
	return refused(0, hubwire.ArgumentInvalid, "status %.40q is neither enabled nor disabled", string(s))
}

// ConnectionState is whether a device is connected over MQTT or AMQP.
type ConnectionState string

// The connection states.
const (
	Connected    ConnectionState = "Connected"
	Disconnected ConnectionState = "Disconnected"
)

// Capabilities are what a device is, which is settled when it is registered.
type Capabilities struct {
	IotEdge bool `json:"iotEdge"` // it is an IoT Edge device
}

// AuthenticationType is how an identity proves who it is.
type AuthenticationType string

// The types of authentication. The empty one counts as sas.
const (
	AuthenticateSAS        AuthenticationType = "sas"                  // by a symmetric key
	AuthenticateSelfSigned AuthenticationType = "selfSigned"           // by a certificate's thumbprint
	AuthenticateCA         AuthenticationType = "certificateAuthority" // by a certificate of a verified authority
	AuthenticateNone       AuthenticationType = "none"
)

// Is compares without case.
func (a AuthenticationType) Is(b AuthenticationType) bool {
	return strings.EqualFold(string(a), string(b))
}

// Authentication is how an identity proves who it is. The zero Authentication asks
// the hub for keys, and so does a SymmetricKey without them.
type Authentication struct {
	SymmetricKey   SymmetricKey       `json:"symmetricKey"`   // for tokens
	X509Thumbprint Thumbprints        `json:"x509Thumbprint"` // of its own certificates
	Type           AuthenticationType `json:"type"`           // which of them counts
}

func (a *Authentication) check() *hubwire.Error {
	for _, t := range [...]AuthenticationType{"", AuthenticateSAS, AuthenticateSelfSigned, AuthenticateCA, AuthenticateNone} {
		if a.Type.Is(t) {
			return nil
		}
	}
	return refused(0, hubwire.ArgumentInvalid, "authentication type %.40q is unknown", string(a.Type))
}

// SymmetricKey is the pair of keys of an identity, as Base64. Printing, logging and encoding/json
// hide them; [Marshal] does not.
type SymmetricKey struct {
	Primary   sas.Secret `json:"primaryKey"`   // base64 of 16 to 64 bytes
	Secondary sas.Secret `json:"secondaryKey"` // as good as the first one
}

// Thumbprints are those of the certificates of an identity, as hex digits: 40 of SHA-1 or 64 of
// SHA-256.
type Thumbprints struct {
	Primary   string `json:"primaryThumbprint"`   // 40 or 64 digits
	Secondary string `json:"secondaryThumbprint"` // as good as the first one
}

// Check reports whether d can be what is registered as id, the one of the path. The error is
// an [*hubwire.Error] with code [hubwire.ArgumentInvalid] that names the member.
func (d *Device) Check(id hubwire.Identity) error {
	if d == nil {
		return refused(PutDevice, hubwire.ArgumentInvalid, "there is no device")
	}
	return firstError(PutDevice, sameID("deviceId", d.DeviceID, id.DeviceID), d.Status.check(), d.Authentication.check())
}

// Check reports whether m can be what is registered as id, the one of the path. The error is
// an [*hubwire.Error] with code [hubwire.ArgumentInvalid] that names the member.
func (m *Module) Check(id hubwire.Identity) error {
	if m == nil {
		return refused(PutModule, hubwire.ArgumentInvalid, "there is no module")
	}
	return firstError(PutModule, sameID("deviceId", m.DeviceID, id.DeviceID), sameID("moduleId", m.ModuleID, id.ModuleID), m.Authentication.check())
}

// sameID compares an id of a body, where it may be left out, with that of the path.
func sameID(member, body, path string) *hubwire.Error {
	if body == "" || body == path {
		return nil
	}
	return refused(0, hubwire.ArgumentInvalid, "%s %.140q is not the %.140q of the path", member, body, path)
}

func firstError(op Operation, errs ...*hubwire.Error) error {
	for _, e := range errs {
		if e != nil {
			e.Op = op.String()
			return e
		}
	}
	return nil
}

func (d *Device) append(dst []byte, full bool) []byte {
	o := open(dst, full)
	o.str("deviceId", d.DeviceID)
	o.str("generationId", d.GenerationID)
	o.str("etag", d.ETag)
	o.str("connectionState", string(d.ConnectionState))
	o.str("status", string(d.Status))
	o.strOrNull("statusReason", d.StatusReason)
	o.time("connectionStateUpdatedTime", d.ConnectionStateUpdated)
	o.time("statusUpdatedTime", d.StatusUpdated)
	o.time("lastActivityTime", d.LastActivity)
	o.int("cloudToDeviceMessageCount", int64(d.C2DCount))
	o.authentication("authentication", &d.Authentication)
	o.capabilities("capabilities", d.Capabilities)
	o.str("deviceScope", d.Scope)
	o.strs("parentScopes", d.ParentScopes)
	return o.close()
}

func (m *Module) append(dst []byte, full bool) []byte {
	o := open(dst, full)
	o.str("moduleId", m.ModuleID)
	o.str("managedBy", m.ManagedBy)
	o.str("deviceId", m.DeviceID)
	o.str("generationId", m.GenerationID)
	o.str("etag", m.ETag)
	o.str("connectionState", string(m.ConnectionState))
	o.time("connectionStateUpdatedTime", m.ConnectionStateUpdated)
	o.time("lastActivityTime", m.LastActivity)
	o.int("cloudToDeviceMessageCount", int64(m.C2DCount))
	o.authentication("authentication", &m.Authentication)
	return o.close()
}

func (o *object) authentication(name string, a *Authentication) {
	keys := !a.SymmetricKey.Primary.IsZero() || !a.SymmetricKey.Secondary.IsZero()
	thumbprints := a.X509Thumbprint != (Thumbprints{})
	if !o.full && !keys && !thumbprints && a.Type == "" {
		return
	}
	o.key(name)
	in := open(o.b, o.full)
	if keys || o.full {
		in.keys("symmetricKey", a.SymmetricKey)
	}
	if thumbprints || o.full {
		in.thumbprints("x509Thumbprint", a.X509Thumbprint)
	}
	in.str("type", string(a.Type))
	o.b = in.close()
}

// keys writes a pair of keys; one that is not there is null.
func (o *object) keys(name string, k SymmetricKey) {
	o.key(name)
	in := open(o.b, true)
	in.strOrNull("primaryKey", k.Primary.Reveal())
	in.strOrNull("secondaryKey", k.Secondary.Reveal())
	o.b = in.close()
}

func (o *object) thumbprints(name string, t Thumbprints) {
	o.key(name)
	in := open(o.b, true)
	in.strOrNull("primaryThumbprint", t.Primary)
	in.strOrNull("secondaryThumbprint", t.Secondary)
	o.b = in.close()
}

func (o *object) capabilities(name string, c Capabilities) {
	if c.IotEdge {
		o.raw(name, `{"iotEdge":true}`)
	} else if o.full {
		o.raw(name, `{"iotEdge":false}`)
	}
}

// Devices is the answer of [ListDevices].
type Devices []Device

// Modules is the answer of [ListModules].
type Modules []Module

func (ds Devices) append(dst []byte, full bool) []byte { return appendAll(dst, ds, full) }
func (ms Modules) append(dst []byte, full bool) []byte { return appendAll(dst, ms, full) }

// DeviceStatistics counts the devices of the registry by their status.
type DeviceStatistics struct {
	Total    int `json:"totalDeviceCount"`    // all that are registered
	Enabled  int `json:"enabledDeviceCount"`  // those that may connect
	Disabled int `json:"disabledDeviceCount"` // those that may not
}

// ServiceStatistics counts the devices that are connected.
type ServiceStatistics struct {
	Connected int `json:"connectedDeviceCount"` // now
}
