package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire/sas"
)

// Tokens imitate what IoT Edge's hub and the documentation have in common, in this
// order, as the first fault is the one that is logged: form, expiry, key, signature,
// right, resource. Whether the identity is enabled comes last.

var (
	errNoPolicy = errors.New("there is no such policy")
	errNoRight  = errors.New("the policy has not the right")
)

// shownToken is a token with its text.
type shownToken struct {
	sas.Token
	text sas.Secret
}

// readToken reads a SAS token that has not expired. The error does not show it.
func (c *Core) readToken(token string) (shownToken, error) {
	t, err := sas.ParseToken(token)
	if err != nil {
		return shownToken{}, err
	}
	return shownToken{t, sas.NewSecret(token)}, t.CheckExpiry(time.Now(), c.cfg.Skew)
}

// checkToken checks a token that was read for the endpoints of device d, and fills in g.
// A token that names a policy needs its DeviceConnect right, and takes any
// device that its resource covers, whatever that device's own authentication
// type is; one that names none is signed with a key of the device.
func (c *Core) checkToken(t *shownToken, d *Device, g *Grant) error {
	scope := "hub"
	if t.Policy != "" {
		if _, err := c.checkPolicy(t, DeviceConnect); err != nil {
			return err
		}
		g.by = credential{kind: byPolicy}
	} else {
		if d.Auth.Type != AuthSAS {
			return fmt.Errorf("a token was shown, the authentication type is %q", d.Auth.Type)
		}
		key, err := c.signedBy(t, d.Auth.Primary, d.Auth.Secondary)
		if err != nil {
			return err
		}
		scope, g.by = scopeOf(d.ID), credential{byKey, key}
	}
	path := []string{c.cfg.HostName, "devices", d.ID.DeviceID}
	if d.ID.IsModule() {
		path = append(path, "modules", d.ID.ModuleID)
	}
	if err := checkResource(t, path); err != nil {
		return err
	}
	g.method = authMethod(scope, "sas")
	g.Expires = t.Expires
	return nil
}

// checkServiceToken checks a policy's token for the service endpoints.
func (c *Core) checkServiceToken(token, path string, anyOf ...Right) (*ServiceGrant, error) {
	t, err := c.readToken(token)
	if err != nil {
		return nil, err
	}
	if t.Policy == "" {
		return nil, fmt.Errorf("%w: the token names none", errNoPolicy)
	}
	p, err := c.checkPolicy(&t, anyOf...)
	if err != nil {
		return nil, err
	}
	segments := []string{c.cfg.HostName}
	for s := range strings.SplitSeq(path, "/") {
		if s != "" {
			segments = append(segments, s)
		}
	}
	if err := checkResource(&t, segments); err != nil {
		return nil, err
	}
	return &ServiceGrant{Policy: p.Name, Rights: p.Rights, Expires: t.Expires}, nil
}

// checkPolicy checks signature and rights of a policy's token.
func (c *Core) checkPolicy(t *shownToken, anyOf ...Right) (*Policy, error) {
	p := c.policy(t.Policy)
	if p == nil {
		return nil, fmt.Errorf("%w: its name has %d bytes", errNoPolicy, len(t.Policy))
	}
	if _, err := c.signedBy(t, p.Primary, p.Secondary); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(anyOf, p.Rights.Has) {
		return nil, fmt.Errorf("%w: %q", errNoRight, p.Name)
	}
	return p, nil
}

// signedBy returns the key that made the signature. A key that is not base64 signs nothing.
func (c *Core) signedBy(t *shownToken, primary, secondary sas.Secret) (sas.Secret, error) {
	text := t.text.Reveal()
	if key, ok := c.verified.signer(text); ok && (key.Equal(primary) || key.Equal(secondary)) {
		return key, nil
	}
	first, _ := sas.NewKey(primary)
	second, _ := sas.NewKey(secondary)
	by, err := t.SignedBy(first, second)
	if err != nil {
		return sas.Secret{}, err
	}
	key := [...]sas.Secret{primary, secondary}[by]
	c.verified.add(text, key)
	return key, nil
}

func checkResource(t *shownToken, path []string) error {
	if err := t.CheckResource(path...); err != nil {
		return fmt.Errorf("%w, whose name has %d bytes", err, len(t.Resource))
	}
	return nil
}
