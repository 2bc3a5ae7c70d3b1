package hub

import (
	"context"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// Secret is a base64 key that does not print. [sas.NewSecret] makes one, and its
// method Reveal gives the text.
type Secret = sas.Secret

// AuthType is an identity's authentication type, as the registry spells it.
type AuthType = core.AuthType

// The authentication types.
const (
	AuthSAS        = core.AuthSAS        // symmetric keys
	AuthSelfSigned = core.AuthSelfSigned // a certificate by its thumbprint
	AuthCA         = core.AuthCA         // a certificate that chains to one of Config.VerifiedCAs
	AuthNone       = core.AuthNone       // cannot connect
)

// Device is a device or module in the identity registry.
type Device struct {
	Identity hubwire.Identity // who it is; with a ModuleID, a module

	Disabled     bool   // it is not let in
	StatusReason string // at most 128 characters

	Auth                AuthType // empty means AuthSAS
	PrimaryKey          Secret   // base64 of 16 to 64 bytes; made by the hub when empty
	SecondaryKey        Secret   // as good as the first one
	PrimaryThumbprint   string   // hex of SHA-1 or SHA-256 of the certificate
	SecondaryThumbprint string   // as good as the first one

	Edge         bool     // capabilities.iotEdge; cannot change after Create
	Scope        string   // deviceScope: of an edge device its own, made by the hub; of another its parent's
	ParentScopes []string // of an edge device, its parent's scope
	ManagedBy    string   // of modules

	// The hub sets what follows.
	GenerationID      string    // another one when a deleted id is registered again
	ETag              string    // of the identity, for [Hub.Update]
	Connected         bool      // it has a connection now
	StatusUpdated     time.Time // the zero time means never
	ConnectionUpdated time.Time // when Connected changed
	LastActivity      time.Time // when it last connected or sent
	QueueLength       int       // cloud-to-device messages waiting
}

func (d *Device) core() *core.Device {
	if d == nil {
		return nil // the core refuses it
	}
	return &core.Device{
		ID: d.Identity, Disabled: d.Disabled, StatusReason: d.StatusReason,
		Auth: core.Auth{
			Type: d.Auth, Primary: d.PrimaryKey, Secondary: d.SecondaryKey,
			PrimaryThumbprint: d.PrimaryThumbprint, SecondaryThumbprint: d.SecondaryThumbprint,
		},
		Edge: d.Edge, Scope: d.Scope, ParentScopes: d.ParentScopes, ManagedBy: d.ManagedBy,
	}
}

func fromCore(d *core.Device) *Device {
	return &Device{
		Identity: d.ID, Disabled: d.Disabled, StatusReason: d.StatusReason,
		Auth: d.Auth.Type, PrimaryKey: d.Auth.Primary, SecondaryKey: d.Auth.Secondary,
		PrimaryThumbprint: d.Auth.PrimaryThumbprint, SecondaryThumbprint: d.Auth.SecondaryThumbprint,
		Edge: d.Edge, Scope: d.Scope, ParentScopes: d.ParentScopes, ManagedBy: d.ManagedBy,
		GenerationID: d.GenerationID, ETag: d.ETag, Connected: d.Connected,
		StatusUpdated: d.StatusUpdated, ConnectionUpdated: d.ConnectionUpdated, LastActivity: d.LastActivity,
		QueueLength: d.C2DCount,
	}
}

func deviceOrError(d *core.Device, err error) (*Device, error) {
	if err != nil {
		return nil, err
	}
	return fromCore(d), nil
}

// Create registers a device, or a module of a registered device, and returns
// what was registered, keys included. Codes: DeviceAlreadyExists,
// ModuleAlreadyExists, DeviceNotFound (of a module), TooManyModules,
// ArgumentInvalid.
func (h *Hub) Create(ctx context.Context, d *Device) (*Device, error) {
	c, err := h.ask(ctx, "create")
	if err != nil {
		return nil, err
	}
	return deviceOrError(c.Create(ctx, d.core()))
}

// Update replaces what is registered of an identity: keys, thumbprints,
// Disabled. ifMatch is the ETag that it must have, or "*" or "" for any. Empty
// keys are made anew. A connection whose credential is gone, or whose identity
// is now disabled, is cut. Codes: DeviceNotFound, ModuleNotFound, PreconditionFailed, ArgumentInvalid.
func (h *Hub) Update(ctx context.Context, d *Device, ifMatch string) (*Device, error) {
	c, err := h.ask(ctx, "update")
	if err != nil {
		return nil, err
	}
	if ifMatch == "" {
		ifMatch = "*"
	}
	return deviceOrError(c.Update(ctx, d.core(), ifMatch))
}

// Delete removes an identity with its twin, queue and connection, and a device
// with its modules. Codes: DeviceNotFound, ModuleNotFound.
func (h *Hub) Delete(ctx context.Context, id hubwire.Identity) error {
	c, err := h.ask(ctx, "delete")
	if err != nil {
		return err
	}
	return c.Delete(ctx, id, "*")
}

// Device returns a registered device or module, with its keys and the state of
// its connection. Codes: DeviceNotFound, ModuleNotFound.
func (h *Hub) Device(id hubwire.Identity) (*Device, error) {
	c, err := h.started("get device")
	if err != nil {
		return nil, err
	}
	return deviceOrError(c.Device(id))
}

// Devices returns up to limit devices, without modules, in the order of their ids.
func (h *Hub) Devices(limit int) []*Device {
	c, err := h.started("devices")
	if err != nil {
		return nil
	}
	return fromCores(c.Devices(limit))
}

// Modules returns the modules of a device, in the order of their ids. Code: DeviceNotFound.
func (h *Hub) Modules(deviceID string) ([]*Device, error) {
	c, err := h.started("modules")
	if err != nil {
		return nil, err
	}
	ds, err := c.Modules(deviceID)
	if err != nil {
		return nil, err
	}
	return fromCores(ds), nil
}

func fromCores(ds []*core.Device) []*Device {
	out := make([]*Device, len(ds))
	for i, d := range ds {
		out[i] = fromCore(d)
	}
	return out
}

// Connected reports whether a device or module has a connection now. An
// unknown identity has none.
func (h *Hub) Connected(id hubwire.Identity) bool {
	d, err := h.Device(id)
	return err == nil && d.Connected
}

// Disconnect cuts the connection of a device or module as a network would,
// and reports whether there was one. Over AMQP that is also the connection of all others who are on it.
func (h *Hub) Disconnect(id hubwire.Identity) bool {
	_, err := h.started("disconnect")
	return err == nil && (h.mqtt.Drop(id) || h.amqp.Drop(id))
}
