package core

import (
	"slices"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Device is a device, or with a module id a module, as the identity registry
// holds it. It imitates the identity of the REST API ("Devices - Create Or
// Update Identity"), with live connection fields as of the call.
type Device struct {
	ID           hubwire.Identity
	GenerationID string // set by the hub; a new one when a deleted id is created again
	ETag         string // set by the hub, without quotes

	Disabled     bool
	StatusReason string // at most 128 characters
	Auth         Auth

	Edge         bool     // capabilities.iotEdge; cannot change after creation
	Scope        string   // deviceScope
	ParentScopes []string // of edge devices
	ManagedBy    string   // of modules

	// Set by the hub; the zero time means never.
	StatusUpdated     time.Time
	Connected         bool
	ConnectionUpdated time.Time
	LastActivity      time.Time
	C2DCount          int // messages waiting
}

func (d *Device) clone() *Device {
	c := *d
	c.ParentScopes = slices.Clone(d.ParentScopes)
	return &c
}

// Auth is how an identity proves itself. On creation, and on update, an empty
// key of type SAS is generated.
type Auth struct {
	Type                AuthType   // empty means SAS
	Primary, Secondary  sas.Secret // base64 of 16 to 64 bytes
	PrimaryThumbprint   string     // hex of SHA-1 or SHA-256 over the certificate
	SecondaryThumbprint string
}

// AuthType is an identity's authentication type, as the registry spells it.
type AuthType string

// The authentication types.
const (
	AuthSAS        AuthType = "sas"
	AuthSelfSigned AuthType = "selfSigned"
	AuthCA         AuthType = "certificateAuthority"
	AuthNone       AuthType = "none" // cannot connect
)
