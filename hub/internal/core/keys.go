package core

import (
	"context"

	"github.com/hubwire/hubwire"
)

// Regeneration imitates POST /devices/keys/regenerate of API version 2024-03-31, of which only
// the schema is public: what it does with identities that have no keys is this hub's own.

// PolicyKey says which keys of an identity are meant, as the service spells it.
type PolicyKey string

// The keys.
const (
	PrimaryKey   PolicyKey = "primaryKey"
	SecondaryKey PolicyKey = "secondaryKey"
	BothKeys     PolicyKey = "both"
)

// RegenerateKeys gives up to [MaxBulk] identities new keys, and returns them as they are then,
// with their keys. A connection whose key is gone is cut. What is refused is in failed, with
// code InvalidOperation for an identity that has no keys. Nothing is done when err
// is not nil: its code is InvalidPolicyKey, or as for [Core.Bulk].
func (c *Core) RegenerateKeys(ctx context.Context, which PolicyKey, ids []hubwire.Identity) (rotated []*Device, failed []BulkError, err error) {
	const op = "regenerate keys"
	if which != PrimaryKey && which != SecondaryKey && which != BothKeys {
		return nil, nil, refuse(op, hubwire.InvalidPolicyKey, "policyKey %q is not %s, %s or %s", which, PrimaryKey, SecondaryKey, BothKeys)
	}
	if err := checkBulk(op, len(ids), func(i int) hubwire.Identity { return ids[i] }); err != nil {
		return nil, nil, err
	}
	if err := c.Open(op); err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		d, err := c.regenerate(ctx, op, which, id)
		if err != nil {
			failed = append(failed, BulkError{ID: id, Err: asError(op, err)})
			continue
		}
		rotated = append(rotated, d)
	}
	return rotated, failed, nil
}

func (c *Core) regenerate(ctx context.Context, op string, which PolicyKey, id hubwire.Identity) (*Device, error) {
	e, err := c.lock(op, id)
	if err != nil {
		return nil, err
	}
	defer e.unlock()
	if e.dev.Auth.Type != AuthSAS {
		return nil, refuse(op, hubwire.InvalidOperation, "%q has no keys: its authentication type is %s", id, e.dev.Auth.Type)
	}
	d := e.dev.clone()
	if which != SecondaryKey {
		d.Auth.Primary = newKey()
	}
	if which != PrimaryKey {
		d.Auth.Secondary = newKey()
	}
	if err := e.update(ctx, op, d); err != nil {
		return nil, err
	}
	return e.snapshot(), nil
}
