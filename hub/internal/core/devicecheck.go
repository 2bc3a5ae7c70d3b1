package core

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Limits of the registry. The length of keys, and how many modules a device
// can have, are not documented in one place; these are what tools observed.
const (
	maxStatusReason = 128 // characters
	minKeyLength    = 16  // bytes, decoded
	maxKeyLength    = 64
	maxModules      = 50
	newKeyLength    = 32
)

// normal returns a copy of what a caller wants to register, checked, and with what
// it left out: type SAS, and keys.
func (d *Device) normal(op string) (*Device, error) {
	if d == nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the device is nil")
	}
	if err := d.ID.Check(); err != nil {
		return nil, refused(op, err)
	}
	if !utf8.ValidString(d.StatusReason) || utf8.RuneCountInString(d.StatusReason) > maxStatusReason {
		return nil, refuse(op, hubwire.ArgumentInvalid, "status reason is not UTF-8, or over %d characters", maxStatusReason)
	}
	own := d.clone()
	return own, own.Auth.normalise(op)
}

func (a *Auth) normalise(op string) error {
	switch a.Type {
	case "":
		a.Type = AuthSAS
		fallthrough
	case AuthSAS:
		if err := checkKey(op, "primary key", &a.Primary); err != nil {
			return err
		}
		return checkKey(op, "secondary key", &a.Secondary)
	case AuthSelfSigned:
		if a.PrimaryThumbprint == "" && a.SecondaryThumbprint == "" {
			return refuse(op, hubwire.ArgumentInvalid, "authentication type selfSigned needs a thumbprint")
		}
		if err := checkThumbprint(op, "primary thumbprint", a.PrimaryThumbprint); err != nil {
			return err
		}
		return checkThumbprint(op, "secondary thumbprint", a.SecondaryThumbprint)
	case AuthCA, AuthNone:
		return nil
	}
	return refuse(op, hubwire.ArgumentInvalid, "authentication type %q is unknown", a.Type)
}

// checkKey checks a key, or makes one when there is none. The error does not show it.
func checkKey(op, what string, key *sas.Secret) error {
	if key.IsZero() {
		*key = newKey()
		return nil
	}
	if _, err := sas.NewKey(*key); err != nil {
		return refuse(op, hubwire.ArgumentInvalid, "%s is not base64", what)
	}
	n := base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(key.Reveal(), "=")))
	if n < minKeyLength || n > maxKeyLength {
		return refuse(op, hubwire.ArgumentInvalid, "%s has %d bytes, not %d to %d", what, n, minKeyLength, maxKeyLength)
	}
	return nil
}

func checkThumbprint(op, what, s string) error {
	if s == "" {
		return nil
	}
	if _, err := hex.DecodeString(s); err != nil || len(s) != 40 && len(s) != 64 {
		return refuse(op, hubwire.ArgumentInvalid, "%s is not 40 or 64 hexadecimal digits", what)
	}
	return nil
}

func newKey() sas.Secret {
	var b [newKeyLength]byte
	rand.Read(b[:])
	return sas.NewSecret(base64.StdEncoding.EncodeToString(b[:]))
}

// newETag returns the base64 of a decimal number, the form of the registry.
func newETag() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(1e9)) // never fails
	return base64.StdEncoding.EncodeToString([]byte(n.String()))
}

// newGenerationID returns the time as .NET counts it: 100 ns ticks since year 1.
func newGenerationID(t time.Time) string {
	const unixEpoch = 621355968000000000
	return strconv.FormatInt(unixEpoch+t.UnixNano()/100, 10)
}
