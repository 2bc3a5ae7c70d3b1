package sas

import (
	"context"
	"errors"
	"time"

	"github.com/hubwire/hubwire"
)

// DefaultTTL is how long a token lasts when nobody says otherwise.
const DefaultTTL = time.Hour

// TokenSource gives a token for an audience ([Audience]), asked anew for each
// use. It may wait, for no longer than ctx lasts.
type TokenSource interface {
	Token(ctx context.Context, audience string) (token string, expires time.Time, err error)
}

// Source is the [TokenSource] of a key. It may be used by any number of goroutines,
// as far as its Signer may.
type Source struct {
	Signer Signer        // required
	Policy string        // skn; empty for an identity's own key
	TTL    time.Duration // how long a token lasts; 0 means [DefaultTTL]
}

// ErrNoSigner is why no token is made without a [Signer].
var ErrNoSigner = errors.New("sas: there is no Signer")

// Token implements [TokenSource]. The errors are those of [AppendToken].
func (s *Source) Token(ctx context.Context, audience string) (string, time.Time, error) {
	if s == nil {
		return "", time.Time{}, ErrNoSigner
	}
	ttl := s.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	expires := time.Now().Add(ttl).Truncate(time.Second)
	b, err := AppendToken(ctx, make([]byte, 0, 512), s.Signer, audience, s.Policy, expires)
	if err != nil {
		return "", time.Time{}, err
	}
	return string(b), expires, nil
}

// Audience returns the resource of a device's or module's tokens, not encoded:
//
//	{host}/devices/{device}[/modules/{module}]
func Audience(host string, id hubwire.Identity) string {
	s := host + "/devices/" + id.DeviceID
	if id.IsModule() {
		s += "/modules/" + id.ModuleID
	}
	return s
}

// RegistrationPolicy is the skn of a device's tokens for DPS. The service takes
// tokens without it, too.
const RegistrationPolicy = "registration"

// RegistrationAudience returns the resource of a device's tokens for DPS, not encoded:
//
//	{idScope}/registrations/{registrationId}
//
// Source: "Communicate with your DPS using the MQTT protocol", and the official SDKs.
func RegistrationAudience(idScope, registrationID string) string {
	return idScope + "/registrations/" + registrationID
}
