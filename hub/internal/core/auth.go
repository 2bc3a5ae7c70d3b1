package core

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Access control imitates the developer guide's "Control access to IoT Hub":
// SAS tokens of identities and of policies, certificates by thumbprint and by
// authority. The peer of a refused login learns nothing but that; the log
// gets the reason, and quotes nothing of what the peer sent: people paste keys and
// tokens wherever an id belongs. Left out: Entra ID, and hub-wide switches against SAS.

var (
	errDisabled     = errors.New("the identity is disabled")
	errUnregistered = errors.New("the identity is not registered")
)

// Login is what a peer showed. A Token goes before Certificates.
type Login struct {
	Identity     hubwire.Identity
	Protocol     string              // for the log
	Token        sas.Secret          // SAS token; empty means that Certificates count
	Certificates []*x509.Certificate // of the TLS peer, leaf first

	// Chain is, behind nested edge devices, who speaks for whom: the identity, its
	// parent, and so on up to the edge device that shows the token. Fewer than two
	// are nobody else.
	Chain []string
}

// Format implements [fmt.Formatter] and leaves the token out.
func (l Login) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "login of %s over %s", l.Identity, l.Protocol)
}

// Grant is a login that succeeded. It stays valid until the identity or the
// credential changes, or until it expires.
type Grant struct {
	Identity hubwire.Identity
	Expires  time.Time // of the token; zero for a certificate

	method     string // iothub-connection-auth-method
	generation string
	by         credential
}

// credential is what a grant was given for, so that it can be seen when that
// is no longer valid.
type credential struct {
	kind  credentialKind
	value sas.Secret // key or thumbprint; with byActor, the leaf's lineage
}

type credentialKind uint8

const (
	byKey credentialKind = iota + 1
	byThumbprint
	byAuthority
	byPolicy
	byActor // an edge device, whose keys are not looked at again
)

// AuthenticateRequest is [Core.Authenticate] for one request that stands by itself, as
// over HTTPS, and sets g. Its peer learns a little more, as field reports have it: the code is
// UnauthorizedAccess when nothing was shown at all, and DeviceDisabled when it was right but
// the identity is disabled, which the documents have a code for and do not place.
func (c *Core) AuthenticateRequest(_ context.Context, l *Login, g *Grant) error {
	const op = "request"
	err := c.authenticate(l, g, true)
	if err == nil {
		return nil
	}
	refused := c.unauthorized(op, l.Identity, l.Protocol, err)
	switch {
	case err == errDisabled:
		return disabled(op, l.Identity)
	case l.Token.IsZero() && len(l.Certificates) == 0:
		return unauthorizedAccess(op)
	}
	return refused
}

func disabled(op string, id hubwire.Identity) error {
	return refuse(op, hubwire.DeviceDisabled, "%q is disabled", id)
}

// Authenticate checks a login of a device or module. Every refusal is one and
// the same: code Unauthorized, and no word of why.
func (c *Core) Authenticate(_ context.Context, l *Login) (*Grant, error) {
	g := new(Grant)
	if err := c.authenticate(l, g, false); err != nil {
		return nil, c.unauthorized("connect", l.Identity, l.Protocol, err)
	}
	return g, nil
}

// authenticate is Authenticate with the reason of a refusal. again says that the peer
// will show its token again.
func (c *Core) authenticate(l *Login, g *Grant, again bool) error {
	var token shownToken
	var err error
	if !l.Token.IsZero() {
		if token, err = c.readToken(l.Token.Reveal()); err != nil {
			return err
		}
		token.again = again
	}
	e, err := c.lock("connect", l.Identity)
	if err != nil {
		return err
	}
	dev := e.dev
	e.unlock()
	*g = Grant{Identity: l.Identity, generation: dev.GenerationID}
	switch nested := len(l.Chain) > 1; {
	case nested && l.Token.IsZero():
		err = errors.New("an edge device that speaks for others shows no token")
	case nested:
		err = c.onBehalf(&token, &dev, l.Chain, g)
	case !l.Token.IsZero():
		err = c.checkToken(&token, &dev, g)
	default:
		err = c.checkCertificates(l.Certificates, &dev, g)
	}
	if err == nil && dev.Disabled {
		err = errDisabled
	}
	return err
}

// unauthorized logs why, and returns what the peer may know. An identity that is
// not registered is logged by its length. That the hub is closed is no secret.
func (c *Core) unauthorized(op string, id hubwire.Identity, protocol string, why error) error {
	who := slog.Any("device", id)
	switch {
	case errors.Is(why, net.ErrClosed):
		return why
	case errors.Is(why, hubwire.DeviceNotFound), errors.Is(why, hubwire.ModuleNotFound):
		why = errUnregistered // the text quotes it
	}
	if c.entity(id) == nil {
		who = slog.Int("unknownBytes", len(id.String()))
	}
	c.cfg.Log.Warn("login refused", who, "protocol", protocol, "reason", why)
	return badLogin(op)
}

func badLogin(op string) error {
	return refuse(op, hubwire.Unauthorized, "authentication failed; renew the token or certificate and connect again")
}

// unauthorized is [Core.unauthorized] for who holds the lock: the log may ask the hub back.
func (e *entity) unauthorized(op, protocol string, why error) error {
	e.post(func() { _ = e.core.unauthorized(op, e.id, protocol, why) })
	return badLogin(op)
}

// authMethod is the JSON text that goes with events.
func authMethod(scope, typ string) string {
	switch scope + typ { // the usual ones without an allocation
	case "devicesas":
		return methodDeviceSAS
	case "hubsas":
		return methodHubSAS
	}
	return methodStart + scope + methodType + typ + methodEnd
}

const (
	methodStart = `{"scope":"`
	methodType  = `","type":"`
	methodEnd   = `","issuer":"iothub","acceptingIpFilterRule":null}`

	methodDeviceSAS = methodStart + "device" + methodType + "sas" + methodEnd
	methodHubSAS    = methodStart + "hub" + methodType + "sas" + methodEnd
)

func scopeOf(id hubwire.Identity) string {
	if id.IsModule() {
		return "module"
	}
	return "device"
}

// stillValid reports whether a grant holds for the entity as it is now. The
// caller holds the entity's lock.
func (c *Core) stillValid(e *entity, g *Grant) error {
	switch {
	case g.Identity != e.id:
		return fmt.Errorf("the grant is for %q", g.Identity)
	case g.generation != e.dev.GenerationID:
		return errors.New("the identity was deleted and created again")
	case e.dev.Disabled:
		return errDisabled
	case !c.accepts(&e.dev, g.by):
		return errors.New("the credential has changed")
	case !g.Expires.IsZero() && time.Now().After(g.Expires.Add(c.cfg.Skew)):
		return errors.New("the token has expired")
	}
	return nil
}

// accepts reports whether a credential is one of the device's.
func (c *Core) accepts(d *Device, by credential) bool {
	switch by.kind {
	case byKey:
		return d.Auth.Type == AuthSAS && (by.value.Equal(d.Auth.Primary) || by.value.Equal(d.Auth.Secondary))
	case byThumbprint:
		return d.Auth.Type == AuthSelfSigned && d.Auth.hasThumbprint(by.value.Reveal())
	case byAuthority:
		return d.Auth.Type == AuthCA
	case byActor:
		return by.value.Equal(d.lineage())
	case byPolicy:
		return true // policies do not change
	}
	return false
}

func (a *Auth) hasThumbprint(s string) bool {
	return s != "" && (strings.EqualFold(s, a.PrimaryThumbprint) || strings.EqualFold(s, a.SecondaryThumbprint))
}

// ServiceGrant is a service's login that succeeded.
type ServiceGrant struct {
	Policy  string
	Rights  Right
	Expires time.Time
}

// AuthorizeService checks the SAS token of a policy for an operation on a path of
// the hub, such as "/devices/d1", that needs one of the rights anyOf. The one
// refusal is UnauthorizedAccess.
func (c *Core) AuthorizeService(_ context.Context, token, path string, anyOf ...Right) (*ServiceGrant, error) {
	const op = "authorize"
	g, err := c.checkServiceToken(token, path, anyOf...)
	if err != nil {
		c.cfg.Log.Warn("service refused", "pathBytes", len(path), "reason", err)
		return nil, unauthorizedAccess(op)
	}
	return g, nil
}

func unauthorizedAccess(op string) error {
	return refuse(op, hubwire.UnauthorizedAccess, "Unauthorized")
}
