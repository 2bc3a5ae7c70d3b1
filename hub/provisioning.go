package hub

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/dps"
)

// Provisioning is the hub's Device Provisioning Service (DPS). Devices that know its
// id scope register over MQTT or MQTT over WebSockets, at the hub's own doors, and
// are assigned to this hub.
type Provisioning struct {
	// IDScope is the service's name in user names and tokens. Empty means "0ne00000000".
	IDScope string

	// AssignAfter is how long a registration takes; meanwhile it is "assigning".
	// 0 means that it is done when the device asks for the first time.
	AssignAfter time.Duration

	// RetryAfter is how long devices are told to wait before they ask, rounded up to
	// seconds. 0 means 3 s, as with the service.
	RetryAfter time.Duration
}

// Enrollment is a device that may register, or a group of them. It lives as long as
// the hub.
type Enrollment struct {
	// ID is the registration id, or the name of a group: at most 128 letters and
	// digits and, but at the end only the first of them, "-._:". Its case does not count.
	ID    string
	Group bool

	// PrimaryKey and SecondaryKey are for devices with symmetric keys: their own, or those
	// that the keys of a group's devices are derived from ([sas.DeriveKey]). Without
	// certificates, empty ones are made.
	PrimaryKey, SecondaryKey Secret

	// PrimaryThumbprint and SecondaryThumbprint are for a device with a certificate,
	// whose common name must be the registration id; hex of SHA-1 or SHA-256.
	PrimaryThumbprint, SecondaryThumbprint string

	// Authorities are whom the certificates of a group's devices come from.
	Authorities []*x509.Certificate

	// Disabled makes registrations end with status "disabled".
	Disabled bool

	DeviceID string // in the hub; empty means ID. Not for groups
	Edge     bool   // an edge device

	// Twin is what the twin of a device begins with that was not there before.
	Twin TwinUpdate

	// Payload is JSON that a device gets when it is assigned.
	Payload json.RawMessage
}

// Enroll adds an enrollment, or replaces the one of that id, and returns it with the keys
// that it lacked. It keeps nothing of e. Codes: ArgumentInvalid, TooManyDevices.
func (h *Hub) Enroll(e *Enrollment) (*Enrollment, error) {
	const op = "enroll"
	c, err := h.started(op)
	if err != nil {
		return nil, err
	}
	if err := c.Open(op); err != nil {
		return nil, err
	}
	made, err := h.dps.Enroll(e.dps())
	if err != nil {
		return nil, err
	}
	own := *e
	own.PrimaryKey, own.SecondaryKey = made.Primary, made.Secondary
	return &own, nil
}

func (e *Enrollment) dps() *dps.Enrollment {
	if e == nil {
		return nil // the service refuses it
	}
	return &dps.Enrollment{
		ID: e.ID, Group: e.Group, Primary: e.PrimaryKey, Secondary: e.SecondaryKey,
		PrimaryThumbprint: e.PrimaryThumbprint, SecondaryThumbprint: e.SecondaryThumbprint, Authorities: e.Authorities,
		Disabled: e.Disabled, DeviceID: e.DeviceID, Edge: e.Edge, Twin: dps.Twin(e.Twin), Payload: e.Payload,
	}
}

// Unenroll removes an enrollment, or a group, and reports whether there was one.
// The devices that came by it stay.
func (h *Hub) Unenroll(id string, group bool) bool {
	_, err := h.started("unenroll")
	return err == nil && h.dps.Unenroll(id, group)
}

// IDScope returns the id scope of the hub's provisioning service.
func (h *Hub) IDScope() string {
	if _, err := h.started("id scope"); err != nil {
		return ""
	}
	return h.dps.IDScope()
}

func (h *Hub) newProvisioning() *dps.Service {
	p := &h.cfg.Provisioning
	return dps.New(&dps.Config{
		IDScope: p.IDScope, Hub: h.cfg.HostName, Skew: h.core.Skew(),
		AssignAfter: p.AssignAfter, RetryAfter: p.RetryAfter, Register: h.assign, Log: h.cfg.Log,
	})
}

// assign registers a device that DPS assigns to the hub. One that is there already
// keeps all but what it proves itself with.
func (h *Hub) assign(ctx context.Context, a *dps.Assignment) error {
	id := hubwire.Identity{DeviceID: a.DeviceID}
	auth := core.Auth{Type: core.AuthSAS, Primary: a.Primary, Secondary: a.Secondary}
	if a.Thumbprint != "" {
		auth = core.Auth{Type: core.AuthSelfSigned, PrimaryThumbprint: a.Thumbprint}
	}
	_, err := h.core.Create(ctx, &core.Device{ID: id, Auth: auth, Edge: a.Edge})
	switch {
	case err == nil && (a.Twin.Tags != nil || a.Twin.Desired != nil):
		if _, err = h.core.PatchTwin(ctx, id, (*core.TwinUpdate)(&a.Twin), ""); err != nil {
			return errors.Join(err, h.core.Delete(ctx, id, "*")) // it comes again, as a new one
		}
		return nil
	case !errors.Is(err, hubwire.DeviceAlreadyExists):
		return err
	}
	for {
		d, err := h.core.Device(id)
		if err != nil {
			return err
		}
		d.Auth = auth
		// What somebody else changes meanwhile, Disabled above all, stays.
		if _, err = h.core.Update(ctx, d, d.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
			return err
		}
	}
}
