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
	TTL    time.Duration // how long a token lasts, up to a whole second; 0 means [DefaultTTL]
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
	expires := time.Now().Add(ttl).Add(time.Second - 1).Truncate(time.Second) // whole seconds, and no less than ttl
	b, err := AppendToken(ctx, make([]byte, 0, 512), s.Signer, audience, s.Policy, expires)
	if err != nil {
		return "", time.Time{}, err
	}
	return string(b), expires, nil
}

// Tokens returns the source of c's tokens: of its key, each to hold for ttl (0 means
// [DefaultTTL]), or of the token that it has. It is nil when c has neither, but a certificate. The
// errors are those of [NewKey] and [ParseToken].
//
// A token that c has can't be renewed. Its source gives no time of expiry, so that nobody
// tries to, and once the hub will not take it any more fails with [hubwire.Unauthorized], not
// sent, which wraps [ErrExpired].
func (c *ConnectionString) Tokens(ttl time.Duration) (TokenSource, error) {
	switch {
	case c == nil:
		return nil, nil
	case !c.SharedAccessKey.IsZero():
		key, err := NewKey(c.SharedAccessKey)
		if err != nil {
			return nil, err
		}
		return &Source{Signer: key, Policy: c.SharedAccessKeyName, TTL: ttl}, nil
	case !c.SharedAccessSignature.IsZero():
		token, err := ParseToken(c.SharedAccessSignature.Reveal())
		if err != nil {
			return nil, err
		}
		return &fixedToken{c.SharedAccessSignature, token.Expires}, nil
	}
	return nil, nil
}

// fixedToken is the [TokenSource] of a connection string with a token and no key.
type fixedToken struct {
	token   Secret
	expires time.Time
}

// Token gives the token for some minutes longer than it says, for clocks that differ: so does
// the hub take it.
func (f *fixedToken) Token(context.Context, string) (string, time.Time, error) {
	if time.Now().After(f.expires.Add(DefaultSkew)) {
		return "", time.Time{}, &hubwire.Error{
			Code: hubwire.Unauthorized, Outcome: hubwire.NotSent,
			Message: "the shared access signature expired at " + f.expires.Format(time.RFC3339) + ", and cannot be renewed without a key",
			Err:     ErrExpired,
		}
	}
	return f.token.Reveal(), time.Time{}, nil
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
