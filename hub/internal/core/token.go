package core

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// checkToken checks a SAS token for the endpoints of device d, and fills in g.
// A token that names a policy needs its DeviceConnect right, and takes any
// device that its resource covers, whatever that device's own authentication
// type is; one that names none is signed with a key of the device.
func (c *Core) checkToken(token string, d *Device, g *Grant) error {
	t, err := parseToken(token)
	if err != nil {
		return err
	}
	if err := t.checkExpiry(time.Now(), c.cfg.Skew); err != nil {
		return err
	}
	scope := scopeOf(d.ID)
	if t.policy != "" {
		scope = "hub"
		if _, err := c.checkPolicy(t, DeviceConnect); err != nil {
			return err
		}
		g.by = credential{kind: byPolicy}
	} else {
		if d.Auth.Type != AuthSAS {
			return fmt.Errorf("a token was shown, the authentication type is %q", d.Auth.Type)
		}
		key := t.signedBy(d.Auth.Primary, d.Auth.Secondary)
		if key == nil {
			return errSignature
		}
		g.by = credential{byKey, *key}
	}
	path := []string{c.cfg.HostName, "devices", d.ID.DeviceID}
	if d.ID.IsModule() {
		path = append(path, "modules", d.ID.ModuleID)
	}
	if !covers(t.resource, path) {
		return fmt.Errorf("the token is for %q", t.resource)
	}
	g.method = authMethod(scope, "sas")
	g.Expires = t.expires
	return nil
}

// checkServiceToken checks a policy's token for the service endpoints.
func (c *Core) checkServiceToken(token string, want Right, path string) (*ServiceGrant, error) {
	t, err := parseToken(token)
	if err != nil {
		return nil, err
	}
	if err := t.checkExpiry(time.Now(), c.cfg.Skew); err != nil {
		return nil, err
	}
	if t.policy == "" {
		return nil, errors.New("the token names no policy")
	}
	p, err := c.checkPolicy(t, want)
	if err != nil {
		return nil, err
	}
	segments := []string{c.cfg.HostName}
	for s := range strings.SplitSeq(path, "/") {
		if s != "" {
			segments = append(segments, s)
		}
	}
	if !covers(t.resource, segments) {
		return nil, fmt.Errorf("the token is for %q", t.resource)
	}
	return &ServiceGrant{Policy: p.Name, Rights: p.Rights, Expires: t.expires}, nil
}

// checkPolicy checks signature and right of a policy's token.
func (c *Core) checkPolicy(t *sasToken, want Right) (*Policy, error) {
	p := c.policy(t.policy)
	if p == nil {
		return nil, fmt.Errorf("there is no policy %q", t.policy)
	}
	if t.signedBy(p.Primary, p.Secondary) == nil {
		return nil, errSignature
	}
	if !p.Rights.Has(want) {
		return nil, fmt.Errorf("policy %q has not the right", p.Name)
	}
	return p, nil
}
