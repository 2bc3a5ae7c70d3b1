package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Tokens imitate what IoT Edge's hub and the documentation have in common, in this
// order, as the first fault is the one that is logged: form, expiry, key, signature,
// right, resource. Whether the identity is enabled comes last.

var (
	errNoPolicy = errors.New("there is no such policy")
	errNoRight  = errors.New("the policy has not the right")
)

// shownToken is a token with its text, and what is remembered of it.
type shownToken struct {
	sas.Token
	text  sas.Secret
	known *knownToken // or nil
	again bool        // it will be shown again, as with each request
}

// readToken reads a SAS token that has not expired. The error does not show it.
func (c *Core) readToken(token string) (t shownToken, err error) {
	t.text, t.known = sas.NewSecret(token), c.verified.known(token)
	if t.known != nil {
		t.Token = t.known.Token
	} else if t.Token, err = sas.ParseToken(token); err != nil {
		return t, err
	}
	return t, t.CheckExpiry(time.Now(), c.cfg.Skew)
}

// checkToken checks a token that was read for the endpoints of device d, and fills in g.
// A token that names a policy needs its DeviceConnect right, and takes any
// device that its resource covers, whatever that device's own authentication
// type is; one that names none is signed with a key of the device.
func (c *Core) checkToken(t *shownToken, d *Device, g *Grant) error {
	scope := "hub"
	var key sas.Secret
	if t.Policy != "" {
		_, by, err := c.checkPolicy(t, DeviceConnect)
		if err != nil {
			return err
		}
		key, g.by = by, credential{kind: byPolicy}
	} else {
		if d.Auth.Type != AuthSAS {
			return fmt.Errorf("a token was shown, the authentication type is %q", d.Auth.Type)
		}
		by, err := signedBy(t, d.Auth.Primary, d.Auth.Secondary)
		if err != nil {
			return err
		}
		scope, key, g.by = scopeOf(d.ID), by, credential{byKey, by}
	}
	if t.known == nil || t.known.id != d.ID {
		path := []string{c.cfg.HostName, "devices", d.ID.DeviceID}
		if d.ID.IsModule() {
			path = append(path, "modules", d.ID.ModuleID)
		}
		if err := checkResource(t, path); err != nil {
			return err
		}
	}
	if t.known == nil && t.again {
		c.verified.add(t.text.Reveal(), key, d.ID)
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
	p, key, err := c.checkPolicy(&t, anyOf...)
	if err != nil {
		return nil, err
	}
	if err := checkResource(&t, segments(c.cfg.HostName, path)); err != nil {
		return nil, err
	}
	if t.known == nil {
		c.verified.add(token, key, hubwire.Identity{})
	}
	return &ServiceGrant{Policy: p.Name, Rights: p.Rights, Expires: t.Expires}, nil
}

// segments returns a path of the hub as resources have it.
func segments(host, path string) []string {
	all := []string{host}
	for s := range strings.SplitSeq(path, "/") {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// checkPolicy checks signature and rights of a policy's token, and returns the key too.
func (c *Core) checkPolicy(t *shownToken, anyOf ...Right) (*Policy, sas.Secret, error) {
	p := c.policy(t.Policy)
	if p == nil {
		return nil, sas.Secret{}, fmt.Errorf("%w: its name has %d bytes", errNoPolicy, len(t.Policy))
	}
	key, err := signedBy(t, p.Primary, p.Secondary)
	if err != nil {
		return nil, sas.Secret{}, err
	}
	if !slices.ContainsFunc(anyOf, p.Rights.Has) {
		return nil, sas.Secret{}, fmt.Errorf("%w: %q", errNoRight, p.Name)
	}
	return p, key, nil
}

// signedBy returns the key that made the signature. A key that is not base64 signs nothing.
func signedBy(t *shownToken, primary, secondary sas.Secret) (sas.Secret, error) {
	if k := t.known; k != nil && (k.key.Equal(primary) || k.key.Equal(secondary)) {
		return k.key, nil
	}
	first, _ := sas.NewKey(primary)
	second, _ := sas.NewKey(secondary)
	by, err := t.SignedBy(first, second)
	if err != nil {
		return sas.Secret{}, err
	}
	return [...]sas.Secret{primary, secondary}[by], nil
}

func checkResource(t *shownToken, path []string) error {
	if err := t.CheckResource(path...); err != nil {
		return fmt.Errorf("%w, whose name has %d bytes", err, len(t.Resource))
	}
	return nil
}
