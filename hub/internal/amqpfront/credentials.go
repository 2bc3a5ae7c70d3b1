package amqpfront

import (
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/sas"
)

// Credentials imitate claims-based security as IoT Hub has it: a connection collects
// tokens, each of a device, a module or a policy, and a link is allowed when one of them covers
// it. A token takes the place of the one before it for the same resource, and links stay as they
// are. How many tokens the service takes for a connection is not documented.

// Bounds of the tokens of a connection.
const (
	maxOwn    = 16 << 10 // of devices and modules: one for each
	maxPasses = 1 << 10  // of policies: one for each resource
)

// credential is what a peer has shown and the hub has taken.
type credential struct {
	token sas.Secret  // zero for a key
	grant *core.Grant // of an identity's own; or nil
	pass  *core.Pass  // of a policy's; or nil
}

func (c *credential) expires() time.Time {
	if c.grant != nil {
		return c.grant.Expires
	}
	return c.pass.Expires
}

// speaksFor reports whether c lets an identity connect.
func (c *credential) speaksFor(id hubwire.Identity) bool {
	if c.grant != nil {
		return c.grant.Identity == id
	}
	return c.pass.Allows(devicePath(id), core.DeviceConnect)
}

// replaces reports whether c takes the place of another pass.
func (c *credential) replaces(other *credential) bool {
	return c.pass.Policy == other.pass.Policy && c.pass.Resource == other.pass.Resource
}

// credentials are those of a connection. The zero value has none.
type credentials struct {
	own    map[hubwire.Identity]*credential
	passes []*credential
}

// add takes a credential, in place of the one before it if there is one, and reports whether
// there was room.
func (cs *credentials) add(c *credential) bool {
	if c.grant != nil {
		if cs.own == nil {
			cs.own = map[hubwire.Identity]*credential{}
		}
		if cs.own[c.grant.Identity] == nil && len(cs.own) >= maxOwn {
			return false
		}
		cs.own[c.grant.Identity] = c
		return true
	}
	for i, old := range cs.passes {
		if c.replaces(old) {
			cs.passes[i] = c
			return true
		}
	}
	if len(cs.passes) >= maxPasses {
		return false
	}
	cs.passes = append(cs.passes, c)
	return true
}

// allows reports whether a policy's credential has one of the rights to a path.
func (cs *credentials) allows(path string, anyOf ...core.Right) bool {
	return cs.passFor(path, anyOf...) != nil
}

// passFor returns the policy's credential that lasts longest of those with one of the rights to
// a path, or nil.
func (cs *credentials) passFor(path string, anyOf ...core.Right) (best *credential) {
	for _, c := range cs.passes {
		if c.pass.Allows(path, anyOf...) && (best == nil || later(c.expires(), best.expires())) {
			best = c
		}
	}
	return best
}

// later compares times of which zero is never.
func later(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// forDevice returns the token that speaks for an identity, or for who does so in its place, or
// the zero Secret.
func (cs *credentials) forDevice(id hubwire.Identity) sas.Secret {
	if c := cs.own[id]; c != nil {
		return c.token
	}
	if c := cs.passFor(devicePath(id), core.DeviceConnect); c != nil {
		return c.token
	}
	return sas.Secret{}
}

func devicePath(id hubwire.Identity) string {
	if id.IsModule() {
		return "/devices/" + id.DeviceID + "/modules/" + id.ModuleID
	}
	return "/devices/" + id.DeviceID
}

// expire drops what has expired more than skew before now, and returns when the next one
// will; zero for never.
func (cs *credentials) expire(now time.Time, skew time.Duration) (next time.Time) {
	keep := func(c *credential) bool {
		at := c.expires()
		if at.IsZero() {
			return true
		}
		if at = at.Add(skew); !at.After(now) {
			return false
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
		return true
	}
	for id, c := range cs.own {
		if !keep(c) {
			delete(cs.own, id)
		}
	}
	kept := cs.passes[:0]
	for _, c := range cs.passes {
		if keep(c) {
			kept = append(kept, c)
		}
	}
	clear(cs.passes[len(kept):])
	cs.passes = kept
	return next
}

// others reports whether there is a credential that is not an identity's own.
func (cs *credentials) others(than hubwire.Identity) bool {
	n := len(cs.own)
	if cs.own[than] != nil {
		n--
	}
	return n+len(cs.passes) > 0
}
