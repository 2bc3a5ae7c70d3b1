package core

import (
	"context"
	"errors"
	"slices"

	"github.com/hubwire/hubwire"
)

// modules returns the modules that a deployment is of: those that it writes the twins of, and
// those that it has $edgeAgent run.
func (c content) modules() (names []string) {
	for module, ws := range c {
		names = append(names, module)
		if module != "$edgeAgent" {
			continue
		}
		for _, w := range ws {
			names = append(names, w.runs()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// runs returns the modules that a write into the twin of $edgeAgent has it run.
func (w write) runs() (names []string) {
	if len(w.path) > 1 && w.path[0] == "modules" {
		return []string{w.path[1]}
	}
	n := w.value
	if len(w.path) == 0 {
		n = n.child("modules")
	} else if w.path[0] != "modules" {
		n = nil
	}
	if n != nil {
		for _, m := range n.Members {
			if !m.isNull() {
				names = append(names, m.Key)
			}
		}
	}
	return names
}

// makeModules registers the modules of an edge device that are not there yet: all or none.
func (c *Core) makeModules(ctx context.Context, op, deviceID string, names []string) error {
	c.registry.Lock()
	defer c.registry.Unlock()
	var missing []*Device
	c.mu.RLock()
	n := len(c.modulesOf(deviceID))
	for _, name := range names {
		id := hubwire.Identity{DeviceID: deviceID, ModuleID: name}
		if c.entities[id] == nil && !slices.ContainsFunc(missing, func(d *Device) bool { return d.ID == id }) {
			missing = append(missing, &Device{ID: id, ManagedBy: "IotEdge"})
		}
	}
	gone := c.entities[hubwire.Identity{DeviceID: deviceID}] == nil
	room := c.cfg.MaxDevices - len(c.entities)
	c.mu.RUnlock()
	switch {
	case gone:
		return notFound(op, hubwire.Identity{DeviceID: deviceID})
	case n+len(missing) > maxModules && len(missing) > 0:
		return refuse(op, hubwire.TooManyModules, "%q would have %d modules, the limit is %d", deviceID, n+len(missing), maxModules)
	case len(missing) > max(0, room):
		return refuse(op, hubwire.TooManyDevices, "the hub has room for %d modules, not for %d", max(0, room), len(missing))
	}
	for i, want := range missing {
		d, err := want.normal(op)
		if err != nil {
			return err
		}
		missing[i] = d
	}
	for _, d := range missing {
		if _, err := c.register(ctx, op, d, twinWrite{}); err != nil {
			return err
		}
	}
	return nil
}

// ApplyConfigurationContent writes content into the twins of one device at once: of an edge
// device those of its modules, which are registered as needed, of any other its own. Nothing
// stays of it when it is refused; a configuration that is for the device takes its places
// back. Codes: DeviceNotFound, InvalidConfigurationContent, also for modules of what is no
// edge device or a moduleContent, TooManyModules, ArgumentInvalid for a twin that would be
// over its limit, and ConfigurationBeingApplied when two do so at once.
func (c *Core) ApplyConfigurationContent(ctx context.Context, deviceID string, want *ConfigurationContent) error {
	const op = "apply configuration content"
	if want == nil {
		return badContent(op, "there is no content")
	}
	content, kind, err := want.compile(op)
	if err != nil {
		return err
	}
	e, err := c.lock(op, hubwire.Identity{DeviceID: deviceID})
	if err != nil {
		return err
	}
	edge := e.dev.Edge
	e.unlock()
	switch {
	case kind == forModules:
		return badContent(op, "moduleContent is not for one device")
	case kind == forEdge && !edge:
		return badContent(op, "%q is no edge device, and has no modulesContent", deviceID)
	}
	if _, busy := c.applying.LoadOrStore(deviceID, true); busy {
		return refuse(op, hubwire.ConfigurationBeingApplied, "content is being applied to %q", deviceID)
	}
	defer c.applying.Delete(deviceID)
	return c.applyContent(ctx, op, deviceID, content, kind)
}

// applyContent looks whether all twins can take the content, and then writes it. What others write
// in between can have it refused half-way, for the size alone.
func (c *Core) applyContent(ctx context.Context, op, deviceID string, content content, kind ruleKind) error {
	if kind == forEdge {
		for module, ws := range content {
			err := c.putContent(ctx, op, hubwire.Identity{DeviceID: deviceID, ModuleID: module}, ws, false)
			if err != nil && !errors.Is(err, hubwire.ModuleNotFound) {
				return err
			}
		}
		if err := c.makeModules(ctx, op, deviceID, content.modules()); err != nil {
			return err
		}
	}
	for module, ws := range content {
		if err := c.putContent(ctx, op, hubwire.Identity{DeviceID: deviceID, ModuleID: module}, ws, true); err != nil {
			return err
		}
	}
	return nil
}

// putContent writes content into one twin, or only looks whether it can be.
func (c *Core) putContent(ctx context.Context, op string, id hubwire.Identity, ws []write, really bool) error {
	e, err := c.lock(op, id)
	if err != nil {
		return err
	}
	defer e.unlock()
	old := e.currentTwin()
	root := old.Desired.Root
	for _, w := range ws {
		root = w.to(root)
	}
	w := twinWrite{desired: diff(old.Desired.Root, root)}
	now, err := w.apply(op, old)
	if err != nil || !really {
		return err
	}
	if err := e.commit(ctx, op, w, now); err != nil {
		return err
	}
	c.look(e)
	return nil
}
