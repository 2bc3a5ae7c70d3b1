package dps

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Limits of enrollments.
const (
	maxRegistrationID = 128
	minKeyLength      = 16 // bytes, decoded
	maxKeyLength      = 64
	newKeyLength      = 64
)

// Enrollment is who may register: one device, or a group of which each
// proves itself with what descends from the group's key or authority.
type Enrollment struct {
	ID    string // the registration id; of a group its name
	Group bool

	// Attestation: keys, from which those of a group's devices are derived;
	// or thumbprints of one device's certificate; or a group's authorities.
	Primary, Secondary                     sas.Secret
	PrimaryThumbprint, SecondaryThumbprint string
	Authorities                            []*x509.Certificate

	Disabled bool   // devices are told so
	DeviceID string // empty means ID; not for a group
	Edge     bool
	Twin     Twin            // what the device's twin begins with
	Payload  json.RawMessage // what a device is told when it is assigned
}

// Twin is what a new device's twin begins with; nil members are empty.
type Twin struct{ Tags, Desired json.RawMessage }

func (e *Enrollment) clone() *Enrollment {
	c := *e
	c.Authorities = slices.Clone(e.Authorities)
	c.Payload, c.Twin.Tags, c.Twin.Desired = bytes.Clone(e.Payload), bytes.Clone(e.Twin.Tags), bytes.Clone(e.Twin.Desired)
	return &c
}

// byCertificate reports whether devices show certificates, not tokens.
func (e *Enrollment) byCertificate() bool {
	return e.PrimaryThumbprint != "" || e.SecondaryThumbprint != "" || len(e.Authorities) > 0
}

// normal returns a copy, checked, with keys when there is no other attestation.
func (e *Enrollment) normal(op string) (*Enrollment, error) {
	if e == nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the enrollment is nil")
	}
	own := e.clone()
	if err := checkRegistrationID(op, own.ID); err != nil {
		return nil, err
	}
	switch {
	case own.Group && own.DeviceID != "":
		return nil, refuse(op, hubwire.ArgumentInvalid, "the devices of a group are named after their registration ids")
	case own.Group && (own.PrimaryThumbprint != "" || own.SecondaryThumbprint != ""):
		return nil, refuse(op, hubwire.ArgumentInvalid, "a group's certificates are known by their authority, not by a thumbprint")
	case slices.Contains(own.Authorities, nil):
		return nil, refuse(op, hubwire.ArgumentInvalid, "an authority is nil")
	case !own.Group && len(own.Authorities) > 0:
		return nil, refuse(op, hubwire.ArgumentInvalid, "an authority is for groups")
	case own.byCertificate() && !(own.Primary.IsZero() && own.Secondary.IsZero()):
		return nil, refuse(op, hubwire.ArgumentInvalid, "there are keys and certificates, where only one kind can be")
	}
	if own.DeviceID != "" {
		if err := (hubwire.Identity{DeviceID: own.DeviceID}).Check(); err != nil {
			return nil, refuse(op, hubwire.ArgumentInvalid, "%v", err)
		}
	}
	for _, part := range []json.RawMessage{own.Payload, own.Twin.Tags, own.Twin.Desired} {
		if len(part) > 0 && !json.Valid(part) {
			return nil, refuse(op, hubwire.ArgumentInvalid, "the payload or twin is not JSON")
		}
	}
	if own.byCertificate() {
		return own, own.checkThumbprints(op)
	}
	for _, k := range []*sas.Secret{&own.Primary, &own.Secondary} {
		if err := checkKey(op, k); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// checkRegistrationID checks what DPS takes for one: letters and digits, and
// "-._:" but at the end only the first of them.
func checkRegistrationID(op, id string) error {
	bad := id == "" || len(id) > maxRegistrationID
	for i := range len(id) {
		c := id[i]
		alnum := c-'0' < 10 || c|0x20-'a' < 26
		if !alnum && c != '-' && (i == len(id)-1 || c != '.' && c != '_' && c != ':') {
			bad = true
		}
	}
	if bad {
		return refuse(op, hubwire.ArgumentInvalid, "the registration id, of %d bytes, is none", len(id))
	}
	return nil
}

func (e *Enrollment) checkThumbprints(op string) error {
	for _, t := range []string{e.PrimaryThumbprint, e.SecondaryThumbprint} {
		if _, err := hex.DecodeString(t); err != nil || len(t) != 0 && len(t) != 40 && len(t) != 64 {
			return refuse(op, hubwire.ArgumentInvalid, "a thumbprint is not 40 or 64 hexadecimal digits")
		}
	}
	return nil
}

// checkKey checks a key, or makes one when there is none. The error does not show it.
func checkKey(op string, k *sas.Secret) error {
	if k.IsZero() {
		var b [newKeyLength]byte
		rand.Read(b[:])
		*k = sas.NewSecret(base64.StdEncoding.EncodeToString(b[:]))
		return nil
	}
	if b, err := base64.StdEncoding.DecodeString(k.Reveal()); err != nil || len(b) < minKeyLength || len(b) > maxKeyLength {
		return refuse(op, hubwire.ArgumentInvalid, "a key is not base64 of %d to %d bytes", minKeyLength, maxKeyLength)
	}
	return nil
}
