package httpfront

import (
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// This file has the registry's identities as documents of the REST API, and back.

// identityDoc is what the registry holds, keys included, as a [httpsx.Device] or [httpsx.Module].
func identityDoc(d *core.Device) any {
	if d.ID.IsModule() {
		m := moduleDoc(d)
		return &m
	}
	v := deviceDoc(d)
	return &v
}

func deviceDoc(d *core.Device) httpsx.Device {
	return httpsx.Device{
		DeviceID: d.ID.DeviceID, GenerationID: d.GenerationID, ETag: d.ETag,
		ConnectionState: connectionState(d), Status: status(d), StatusReason: d.StatusReason,
		ConnectionStateUpdated: httpsx.NewTime(d.ConnectionUpdated),
		StatusUpdated:          httpsx.NewTime(d.StatusUpdated),
		LastActivity:           httpsx.NewTime(d.LastActivity),
		C2DCount:               d.C2DCount,
		Authentication:         authentication(d),
		Capabilities:           httpsx.Capabilities{IotEdge: d.Edge},
		Scope:                  d.Scope, ParentScopes: d.ParentScopes,
	}
}

func moduleDoc(d *core.Device) httpsx.Module {
	return httpsx.Module{
		ModuleID: d.ID.ModuleID, ManagedBy: d.ManagedBy, DeviceID: d.ID.DeviceID, GenerationID: d.GenerationID, ETag: d.ETag,
		ConnectionState:        connectionState(d),
		ConnectionStateUpdated: httpsx.NewTime(d.ConnectionUpdated),
		LastActivity:           httpsx.NewTime(d.LastActivity),
		C2DCount:               d.C2DCount,
		Authentication:         authentication(d),
	}
}

// docs never returns nil, which would be the JSON null.
func docs[T any](ds []*core.Device, doc func(*core.Device) T) []T {
	out := make([]T, len(ds))
	for i, d := range ds {
		out[i] = doc(d)
	}
	return out
}

func status(d *core.Device) httpsx.Status {
	if d.Disabled {
		return httpsx.Disabled
	}
	return httpsx.Enabled
}

func connectionState(d *core.Device) httpsx.ConnectionState {
	if d.Connected {
		return httpsx.Connected
	}
	return httpsx.Disconnected
}

func thumbprints(d *core.Device) httpsx.Thumbprints {
	return httpsx.Thumbprints{Primary: d.Auth.PrimaryThumbprint, Secondary: d.Auth.SecondaryThumbprint}
}

func authentication(d *core.Device) httpsx.Authentication {
	return httpsx.Authentication{
		SymmetricKey:   httpsx.SymmetricKey{Primary: d.Auth.Primary, Secondary: d.Auth.Secondary},
		X509Thumbprint: thumbprints(d),
		Type:           httpsx.AuthenticationType(d.Auth.Type),
	}
}

// fromDevice is what the registry is asked to hold. The document has passed its Check.
func fromDevice(id hubwire.Identity, v *httpsx.Device) *core.Device {
	return &core.Device{
		ID: id, Disabled: v.Status.Is(httpsx.Disabled), StatusReason: v.StatusReason,
		Auth: fromAuthentication(&v.Authentication),
		Edge: v.Capabilities.IotEdge, Scope: v.Scope, ParentScopes: v.ParentScopes,
	}
}

// fromModule is what the registry is asked to hold. The document has passed its Check.
func fromModule(id hubwire.Identity, v *httpsx.Module) *core.Device {
	return &core.Device{ID: id, ManagedBy: v.ManagedBy, Auth: fromAuthentication(&v.Authentication)}
}

func fromAuthentication(a *httpsx.Authentication) core.Auth {
	auth := core.Auth{
		Type:    core.AuthType(a.Type), // which the core refuses when it knows none of that name
		Primary: a.SymmetricKey.Primary, Secondary: a.SymmetricKey.Secondary,
		PrimaryThumbprint: a.X509Thumbprint.Primary, SecondaryThumbprint: a.X509Thumbprint.Secondary,
	}
	for _, t := range [...]core.AuthType{core.AuthSAS, core.AuthSelfSigned, core.AuthCA, core.AuthNone} {
		if a.Type.Is(httpsx.AuthenticationType(t)) {
			auth.Type = t
		}
	}
	return auth
}
