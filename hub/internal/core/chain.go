package core

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Nested edge imitates what IoT Edge's hub does for the devices below it: it connects
// in the name of a leaf, with a chain of who is whose parent, and shows its own
// token, that of its module $edgeHub. The registry must have the same parents, as
// the scopes of devices say, and all of the chain enabled. A certificate cannot speak
// for another, since no document says so. A change of the leaf counts at once, also that
// of its parents; one further up from the next login on.

// ActingModule is the module whose token an edge device shows for others.
const ActingModule = "$edgeHub"

// onBehalf checks a token that the last of a chain shows for the first, and fills in g.
func (c *Core) onBehalf(t *shownToken, leaf *Device, chain []string, g *Grant) error {
	if err := c.checkLineage(leaf, chain); err != nil {
		return err
	}
	actor, err := c.enabled(hubwire.Identity{DeviceID: chain[len(chain)-1], ModuleID: ActingModule})
	if err != nil {
		return fmt.Errorf("the acting device: %w", err)
	}
	if t.Policy != "" {
		return errors.New("a policy's token does not speak for others")
	}
	if err := c.checkToken(t, actor, g); err != nil {
		return fmt.Errorf("the acting device: %w", err)
	}
	g.by = credential{byActor, leaf.lineage()}
	return nil
}

// lineage says whose child d is: a connection that its parent made ends when that changes.
func (d *Device) lineage() sas.Secret {
	return sas.NewSecret(fmt.Sprintf("%q", append([]string{d.Scope}, d.ParentScopes...)))
}

// checkLineage checks that each of the chain is an enabled child of the next. The
// first is the leaf, which the caller checks.
func (c *Core) checkLineage(leaf *Device, chain []string) error {
	if chain[0] != leaf.ID.String() {
		return errors.New("the chain does not begin with the identity")
	}
	child := leaf
	if leaf.ID.IsModule() { // it goes where its device goes, which the chain may name
		device, err := c.enabled(hubwire.Identity{DeviceID: leaf.ID.DeviceID})
		if err != nil {
			return err
		}
		child = device
		if chain[1] == device.ID.DeviceID {
			chain = chain[1:]
		}
	}
	for _, id := range chain[1:] {
		parent, err := c.enabled(hubwire.Identity{DeviceID: id})
		if err != nil {
			return fmt.Errorf("a device of the chain: %w", err)
		}
		if !parent.Edge || !child.isChildOf(parent) {
			return fmt.Errorf("%q is not a child of %q", child.ID, parent.ID)
		}
		child = parent
	}
	return nil
}

// isChildOf reports whether an edge device is the parent of d.
func (d *Device) isChildOf(parent *Device) bool {
	if parent.Scope == "" {
		return false
	}
	return !d.Edge && d.Scope == parent.Scope || slices.Contains(d.ParentScopes, parent.Scope)
}

// enabled returns a registered identity that is not disabled. Unlike those of
// [Core.Device] its errors quote nothing.
func (c *Core) enabled(id hubwire.Identity) (*Device, error) {
	e, err := c.lock("connect", id)
	switch {
	case errors.Is(err, hubwire.DeviceNotFound), errors.Is(err, hubwire.ModuleNotFound):
		return nil, errUnregistered
	case err != nil:
		return nil, err
	}
	defer e.unlock()
	if e.dev.Disabled {
		return nil, errDisabled
	}
	return e.dev.clone(), nil
}
