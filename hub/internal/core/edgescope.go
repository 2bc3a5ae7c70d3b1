package core

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/hubwire/hubwire"
)

// The scope of an edge device imitates what IoT Edge's hub asks for, so that it can
// check the tokens of those below it: the edge device itself, the devices whose
// parent it is, and the modules of all of these. An edge device further down asks through those
// above it, with a chain of who is whose parent. Left out: any depth but one,
// since each level asks for its own.

// Scope returns up to limit of the devices that are in the scope of an edge device,
// ordered by id, of those behind the id after, with their modules. next is what
// to go on after, or empty at the end. Codes: DeviceNotFound, InvalidDeviceScope for what is
// no edge device.
func (c *Core) Scope(edgeID, after string, limit int) (devices, modules []*Device, next string, err error) {
	const op = "list scope"
	edge, err := c.Device(hubwire.Identity{DeviceID: edgeID})
	if err != nil {
		return nil, nil, "", err
	}
	if !edge.Edge {
		return nil, nil, "", refuse(op, hubwire.InvalidDeviceScope, "%q is not an edge device", edgeID)
	}
	found := c.inScope(edge, after)
	if limit = max(limit, 1); len(found) > limit {
		found = found[:limit]
		next = found[limit-1].id.DeviceID
	}
	devices = snapshots(found)
	for _, d := range devices {
		ms, err := c.Modules(d.ID.DeviceID)
		if errors.Is(err, hubwire.DeviceNotFound) {
			continue // it is gone since
		}
		if err != nil {
			return nil, nil, "", err
		}
		modules = append(modules, ms...)
	}
	return devices, modules, next, nil
}

// inScope returns the devices in a scope with ids behind after, in order.
func (c *Core) inScope(edge *Device, after string) []*entity {
	c.mu.RLock()
	var es []*entity
	for id, e := range c.entities {
		if !id.IsModule() && id.DeviceID > after {
			es = append(es, e)
		}
	}
	c.mu.RUnlock()
	es = slices.DeleteFunc(es, func(e *entity) bool {
		e.mu.Lock()
		defer e.unlock()
		return e.deleted || e.id != edge.ID && !e.dev.isChildOf(edge)
	})
	slices.SortFunc(es, func(a, b *entity) int { return cmp.Compare(a.id.DeviceID, b.id.DeviceID) })
	return es
}

// MayAct checks that an edge device may ask about an identity: it is itself, a child of its own, or
// one that a chain leads to, which begins with the identity and ends with the
// edge device. A nil chain is for the former two. The code is UnauthorizedAccess.
func (c *Core) MayAct(actor string, id hubwire.Identity, chain []string) error {
	if err := c.mayAct(actor, id, chain); err != nil {
		c.cfg.Log.Warn("edge device refused", "actor", actor, "chain", len(chain), "reason", err)
		return unauthorizedAccess("act for others")
	}
	return nil
}

func (c *Core) mayAct(actor string, id hubwire.Identity, chain []string) error {
	if chain == nil {
		if chain = []string{id.DeviceID}; id.DeviceID != actor {
			chain = append(chain, actor)
		}
	}
	if chain[len(chain)-1] != actor {
		return errors.New("the chain does not end with the edge device")
	}
	if chain[0] == id.String() { // a module goes where its device goes, which the chain may name
		chain = slices.Compact(append([]string{id.DeviceID}, chain[1:]...))
	}
	if chain[0] != id.DeviceID {
		return errors.New("the chain does not begin with the identity")
	}
	device, err := c.enabled(hubwire.Identity{DeviceID: id.DeviceID})
	if err != nil {
		return err
	}
	return c.checkLineage(device, chain)
}

// SplitChain takes a chain apart, as IoT Edge writes it: ids with semicolons between
// them, the edge devices with or without the name of the module that acts for them.
// An empty chain is nil.
func SplitChain(text string) []string {
	if text == "" {
		return nil
	}
	chain := strings.Split(text, ";")
	for i := range chain {
		chain[i] = strings.TrimSuffix(chain[i], "/"+ActingModule)
	}
	return slices.Compact(chain)
}
