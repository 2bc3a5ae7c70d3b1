package core

import (
	"encoding/json"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// deviceRecord is a [Device] as the store keeps it: with its keys in clear,
// which a [sas.Secret] does not let through.
type deviceRecord struct {
	Generation   string    `json:"generation"`
	ETag         string    `json:"etag"`
	Created      time.Time `json:"created"`
	Disabled     bool      `json:"disabled,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	Status       time.Time `json:"status"`
	Type         AuthType  `json:"type"`
	Key1         string    `json:"key1,omitempty"`
	Key2         string    `json:"key2,omitempty"`
	Thumbprint1  string    `json:"thumbprint1,omitempty"`
	Thumbprint2  string    `json:"thumbprint2,omitempty"`
	Edge         bool      `json:"edge,omitempty"`
	Scope        string    `json:"scope,omitempty"`
	ParentScopes []string  `json:"parentScopes,omitempty"`
	ManagedBy    string    `json:"managedBy,omitempty"`
}

func encodeDevice(d *Device, created time.Time) []byte {
	b, _ := json.Marshal(deviceRecord{ // strings and times: cannot fail
		Generation: d.GenerationID, ETag: d.ETag, Created: created,
		Disabled: d.Disabled, Reason: d.StatusReason, Status: d.StatusUpdated,
		Type: d.Auth.Type, Key1: d.Auth.Primary.Reveal(), Key2: d.Auth.Secondary.Reveal(),
		Thumbprint1: d.Auth.PrimaryThumbprint, Thumbprint2: d.Auth.SecondaryThumbprint,
		Edge: d.Edge, Scope: d.Scope, ParentScopes: d.ParentScopes, ManagedBy: d.ManagedBy,
	})
	return b
}

func decodeDevice(id hubwire.Identity, b []byte) (d Device, created time.Time, err error) {
	var r deviceRecord
	if err = json.Unmarshal(b, &r); err != nil {
		return d, created, err
	}
	return Device{
		ID: id, GenerationID: r.Generation, ETag: r.ETag,
		Disabled: r.Disabled, StatusReason: r.Reason, StatusUpdated: r.Status,
		Auth: Auth{
			Type: r.Type, Primary: sas.NewSecret(r.Key1), Secondary: sas.NewSecret(r.Key2),
			PrimaryThumbprint: r.Thumbprint1, SecondaryThumbprint: r.Thumbprint2,
		},
		Edge: r.Edge, Scope: r.Scope, ParentScopes: r.ParentScopes, ManagedBy: r.ManagedBy,
	}, r.Created, nil
}
