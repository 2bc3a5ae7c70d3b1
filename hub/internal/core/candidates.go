package core

import (
	"iter"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
)

// batches yields the devices or modules that follow an identity, in order and a
// few at a time, which is good until the next. No lock is held meanwhile.
func (c *Core) batches(s query.Source, after hubwire.Identity) iter.Seq[[]*entity] {
	return func(yield func([]*entity) bool) {
		for es := make([]*entity, 0, queryBatch); ; {
			c.mu.RLock()
			es = c.source(s).after(es[:0], after)
			c.mu.RUnlock()
			if len(es) == 0 || !yield(es) || len(es) < cap(es) {
				return
			}
			after = es[len(es)-1].id
		}
	}
}

// candidates yields the devices or modules that follow an identity and may match a
// condition, in order: all of its source, or those of the device ids that it names.
// One that is deleted meanwhile may be among them. No lock is held while it yields.
func (c *Core) candidates(cond *query.Condition, after hubwire.Identity) iter.Seq[*entity] {
	if ids, ok := cond.DeviceIDs(); ok {
		return c.named(cond.Source(), ids, after)
	}
	return func(yield func(*entity) bool) {
		for es := range c.batches(cond.Source(), after) {
			for _, e := range es {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// named yields those of these devices.
func (c *Core) named(s query.Source, deviceIDs []string, after hubwire.Identity) iter.Seq[*entity] {
	return func(yield func(*entity) bool) {
		for _, id := range deviceIDs {
			for _, e := range c.ofDevice(s, id) {
				if compareEntity(e, after) > 0 && !yield(e) {
					return
				}
			}
		}
	}
}

// ofDevice returns the device of this id, or its modules.
func (c *Core) ofDevice(s query.Source, deviceID string) []*entity {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s == query.Modules {
		return c.modulesOf(deviceID)
	}
	if e := c.entities[hubwire.Identity{DeviceID: deviceID}]; e != nil {
		return []*entity{e}
	}
	return nil
}

// source is where all entities of a source are. The caller holds c.mu.
func (c *Core) source(s query.Source) *ordered {
	if s == query.Modules {
		return &c.modules
	}
	return &c.devices
}
