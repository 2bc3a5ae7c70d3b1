package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Over AMQP a credential is shown before it is said what for: it is good for all links of
// the connection that it covers. This imitates claims-based security as IoT Hub and Event Hubs
// have it, where the token's own resource counts, not what else the request says.

// Pass is a policy's credential that was checked, except for what it allows. It does not change.
type Pass struct {
	Policy   string
	Rights   Right
	Resource string    // of the token, still encoded; empty for a key, which is for the whole hub
	Expires  time.Time // of the token; zero for a key

	host string
}

// PolicyPass checks the SAS token of a policy. The resource may be a URL, as Event Hubs clients
// write it, and they sign with the bytes of the key's text. The one refusal is Unauthorized.
func (c *Core) PolicyPass(token sas.Secret) (*Pass, error) {
	const op = "show token"
	p, err := c.policyPass(token)
	if err != nil {
		c.cfg.Log.Warn("service refused", "reason", err)
		return nil, badLogin(op)
	}
	return p, nil
}

func (c *Core) policyPass(token sas.Secret) (*Pass, error) {
	t, err := c.readToken(strings.Clone(token.Reveal()))
	if err != nil {
		return nil, err
	}
	p := c.policy(t.Policy)
	if p == nil {
		return nil, fmt.Errorf("%w: its name has %d bytes", errNoPolicy, len(t.Policy))
	}
	if _, err := signedBy(&t, p.Primary, p.Secondary); err != nil {
		first, _ := sas.NewTextKey(p.Primary)
		second, _ := sas.NewTextKey(p.Secondary)
		if _, err := t.SignedBy(first, second); err != nil {
			return nil, err
		}
	}
	resource := withoutScheme(t.Resource)
	if resource == "" { // of "sb:///", which is no part of a hub, and so not the whole of it
		return nil, sas.ErrWrongResource
	}
	return &Pass{Policy: p.Name, Rights: p.Rights, Resource: resource, Expires: t.Expires, host: c.cfg.HostName}, nil
}

// KeyPass checks the name and the key of a policy, as SASL PLAIN shows them at the Event
// Hubs-compatible endpoint. The one refusal is Unauthorized.
func (c *Core) KeyPass(policy string, key sas.Secret) (*Pass, error) {
	p := c.policy(policy)
	if p == nil || !key.Equal(p.Primary) && !key.Equal(p.Secondary) {
		c.cfg.Log.Warn("service refused", "reason", "it is not the key of the policy", "policyBytes", len(policy))
		return nil, badLogin("show key")
	}
	return &Pass{Policy: p.Name, Rights: p.Rights}, nil
}

// Allows reports whether the pass has one of the rights anyOf to a path of the hub, such as
// "/messages/events".
func (p *Pass) Allows(path string, anyOf ...Right) bool {
	if !slices.ContainsFunc(anyOf, p.Rights.Has) {
		return false
	}
	t := sas.Token{Resource: p.Resource}
	return p.Resource == "" || t.CheckResource(segments(p.host, path)...) == nil
}

// withoutScheme returns a token's resource from its host on, as a URL may have it.
func withoutScheme(resource string) string {
	text := resource
	for range 3 { // as often as SDKs encode it
		if _, rest, ok := strings.Cut(text, "://"); ok {
			return strings.TrimSuffix(rest, "/")
		}
		text = string(sas.AppendUnescape(nil, text))
	}
	return resource
}

// AuthenticateToken is [Core.Authenticate] for a token of a device's or module's own, whose
// resource says whose it is.
func (c *Core) AuthenticateToken(ctx context.Context, protocol string, token sas.Secret) (*Grant, error) {
	token = sas.NewSecret(strings.Clone(token.Reveal()))
	t, err := c.readToken(token.Reveal())
	if err == nil && t.Policy != "" {
		err = errors.New("the token is a policy's")
	}
	if err != nil {
		return nil, c.unauthorized("show token", hubwire.Identity{}, protocol, err)
	}
	who := hubwire.Identity{}
	for _, id := range namedBy(t.Resource) {
		if c.entity(id) != nil {
			who = id
			break
		}
	}
	return c.Authenticate(ctx, &Login{Identity: who, Protocol: protocol, Token: token})
}

// namedBy returns whom the resource of a token may name: it is raw, or percent-encoded up to
// three times.
func namedBy(resource string) (ids []hubwire.Identity) {
	for range 4 {
		switch s := strings.Split(resource, "/"); {
		case len(s) < 3 || !strings.EqualFold(s[1], "devices"):
		case len(s) == 3:
			ids = append(ids, hubwire.Identity{DeviceID: s[2]})
		case len(s) == 5 && strings.EqualFold(s[3], "modules"):
			ids = append(ids, hubwire.Identity{DeviceID: s[2], ModuleID: s[4]})
		}
		if !strings.ContainsAny(resource, "%+") {
			break
		}
		resource = string(sas.AppendUnescape(nil, resource))
	}
	return ids
}
