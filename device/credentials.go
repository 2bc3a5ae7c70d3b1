package device

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/dialled"
	"github.com/hubwire/hubwire/sas"
)

// Credentials say which hub, who, and how to prove it: by Tokens or by
// GetClientCertificate, of which exactly one is set. No verb of package fmt
// shows more than the names in it.
type Credentials struct {
	// HostName is the hub, such as "myhub.azure-devices.net". Tokens and user
	// names are made for it.
	HostName string

	// GatewayHostName is where to connect to instead, when a gateway (IoT Edge)
	// stands between: the network address and the name in the server's
	// certificate. Empty: HostName.
	GatewayHostName string

	// Identity is the device or module. It must be good in the sense of its Check.
	Identity hubwire.Identity

	// Tokens gives a token for each connection ([sas.Source] makes them from a
	// key). A token that says when it expires is renewed after 80 % of its
	// life. An error that is a *hubwire.Error and not Retryable ends the
	// Client; any other is tried again.
	Tokens sas.TokenSource

	// GetClientCertificate is asked anew for each connection, so that a
	// certificate can be rotated. After 80 % of the time that is left to the
	// certificate, or to one that it is sent with, there is a new connection. It
	// has the form of [tls.Config].
	GetClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
}

// CredentialsFromConnectionString reads a connection string of a device or module:
//
//	HostName={hub};DeviceId={d}[;ModuleId={m}];SharedAccessKey={key}[;SharedAccessKeyName={policy}][;GatewayHostName={g}]
//	HostName={hub};DeviceId={d}[;ModuleId={m}];SharedAccessSignature={token}[;GatewayHostName={g}]
//	HostName={hub};DeviceId={d}[;ModuleId={m}];x509=true[;GatewayHostName={g}]
//
// The second form cannot be renewed: when the token has expired, the Client ends with
// [hubwire.Unauthorized] at its next connection. Of the third, GetClientCertificate
// is for the caller to set; [Dial] does not take it.
//
// Tokens made from a key hold for an hour; to change that, set Tokens. The error is a
// [*hubwire.Error] with [hubwire.ArgumentInvalid] that wraps one of package sas, where that found
// the fault.
func CredentialsFromConnectionString(s string) (Credentials, error) {
	return credentials(s, sas.DefaultTTL)
}

func credentials(s string, ttl time.Duration) (Credentials, error) {
	cs, err := sas.ParseConnectionString(s)
	if err != nil {
		return Credentials{}, badConnectionString(err)
	}
	switch {
	case cs.Kind != sas.KindDevice && cs.Kind != sas.KindModule:
		return Credentials{}, badConnectionString(fmt.Errorf("it is for a %v, not for a device or module", cs.Kind))
	case cs.UseProvisioning:
		return Credentials{}, badConnectionString(fmt.Errorf("UseProvisioning: %w", errors.ErrUnsupported))
	}
	c := Credentials{HostName: cs.HostName, GatewayHostName: cs.GatewayHostName, Identity: cs.Identity()}
	tokens, err := cs.Tokens(ttl)
	if err != nil {
		return Credentials{}, badConnectionString(err)
	}
	c.Tokens = tokens
	return c, nil
}

func badConnectionString(err error) error {
	e := invalid("connection string", "")
	e.Err = err
	return e
}

// soundTokens is a source of tokens, the errors of which can be looked into.
type soundTokens struct{ sas.TokenSource }

// Token implements [sas.TokenSource].
func (t soundTokens) Token(ctx context.Context, audience string) (string, time.Time, error) {
	token, expires, err := t.TokenSource.Token(ctx, audience)
	return token, expires, dialled.Sound(err)
}

// check reports what is missing or contradictory.
func (c *Credentials) check() error {
	switch {
	case c.HostName == "":
		return invalid("dial", "Credentials.HostName is empty")
	case hasPort(c.HostName) || hasPort(c.GatewayHostName):
		return invalid("dial", "a host name with a port; that goes into Options.Port")
	case c.Tokens == nil && c.GetClientCertificate == nil:
		return invalid("dial", "Credentials have neither Tokens nor GetClientCertificate (which a connection string with x509=true needs)")
	case c.Tokens != nil && c.GetClientCertificate != nil:
		return invalid("dial", "Credentials have both Tokens and GetClientCertificate")
	}
	return withOp("dial", c.Identity.Check())
}

func hasPort(host string) bool { return strings.Contains(host, ":") && net.ParseIP(host) == nil }

// host is where to connect to.
func (c *Credentials) host() string {
	if c.GatewayHostName != "" {
		return c.GatewayHostName
	}
	return c.HostName
}

// String shows who and where, and the kind of credentials.
func (c Credentials) String() string {
	kind := "nothing"
	switch {
	case c.Tokens != nil:
		kind = "tokens"
	case c.GetClientCertificate != nil:
		kind = "a certificate"
	}
	s := fmt.Sprintf("%s at %s with %s", c.Identity, c.HostName, kind)
	if c.GatewayHostName != "" {
		s += " by way of " + c.GatewayHostName
	}
	return s
}

// Format prints what String returns, for every verb.
func (c Credentials) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// LogValue gives what String returns to package log/slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText gives what String returns to encoders such as encoding/json.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
