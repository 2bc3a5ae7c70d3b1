package core

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/sas"
)

// Shared access policies imitate those that a new IoT Hub has, with keys of
// their own that live as long as the store. Left out: other policies, and the
// regeneration of keys.

// Right is a set of permissions that a shared access policy can grant.
// Source: IoT Hub developer guide, "Control access to IoT Hub".
type Right uint8

// The rights.
const (
	RegistryRead Right = 1 << iota
	RegistryWrite
	ServiceConnect
	DeviceConnect
)

// Has reports whether r includes all of want.
func (r Right) Has(want Right) bool { return r&want == want }

// Policy is a shared access policy. Both keys are always valid.
type Policy struct {
	Name               string // compared without case
	Rights             Right
	Primary, Secondary sas.Secret
}

// builtIn are the policies that every IoT Hub has at first. Left out: making others.
var builtIn = [...]Policy{
	{Name: "iothubowner", Rights: RegistryRead | RegistryWrite | ServiceConnect | DeviceConnect},
	{Name: "service", Rights: ServiceConnect},
	{Name: "device", Rights: DeviceConnect},
	{Name: "registryRead", Rights: RegistryRead},
	{Name: "registryReadWrite", Rights: RegistryRead | RegistryWrite},
}

// policyKeys is a policy as the store keeps it, under its name.
type policyKeys struct {
	Primary   string `json:"primary"`
	Secondary string `json:"secondary"`
}

func (c *Core) loadPolicies(ctx context.Context) error {
	for _, p := range builtIn {
		k := store.Key{Kind: store.Policies}
		k.ID.DeviceID = p.Name
		var keys policyKeys
		rec, err := c.store.Get(ctx, k)
		switch {
		case err == nil:
			if err := json.Unmarshal(rec.Value, &keys); err != nil {
				return err
			}
		case errors.Is(err, store.ErrNotFound):
			keys = policyKeys{newKey().Reveal(), newKey().Reveal()}
			b, err := json.Marshal(keys)
			if err != nil {
				return err
			}
			if _, err := c.store.Put(ctx, k, b, 0); err != nil {
				return err
			}
		default:
			return err
		}
		p.Primary, p.Secondary = sas.NewSecret(keys.Primary), sas.NewSecret(keys.Secondary)
		c.policies = append(c.policies, &p)
	}
	return nil
}

// Policies returns the shared access policies with their keys, the built-in
// ones of an IoT Hub: iothubowner, service, device, registryRead, registryReadWrite.
func (c *Core) Policies() []Policy {
	ps := make([]Policy, 0, len(c.policies))
	for _, p := range c.policies {
		ps = append(ps, *p)
	}
	return ps
}

func (c *Core) policy(name string) *Policy {
	for _, p := range c.policies {
		if strings.EqualFold(p.Name, name) {
			return p
		}
	}
	return nil
}
