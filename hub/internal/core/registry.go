package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// The registry imitates the REST API's identity operations, with immediate
// effect where the service's lists and counts are eventually consistent. Left
// out: the rules of edge device scopes beyond that an edge device gets a scope and
// its two system modules.

// Create registers a device or module and returns what was registered, keys
// included. The device's own fields are the caller's wishes; those the hub sets
// are ignored. A failure is one of these codes: DeviceAlreadyExists, ModuleAlreadyExists,
// DeviceNotFound (of a module), TooManyModules, TooManyDevices, ArgumentInvalid.
func (c *Core) Create(ctx context.Context, want *Device) (*Device, error) {
	return c.create(ctx, "create identity", want, twinWrite{})
}

// create is Create of an identity whose twin begins with what w writes.
func (c *Core) create(ctx context.Context, op string, want *Device, w twinWrite) (*Device, error) {
	d, err := want.normal(op)
	if err != nil {
		return nil, err
	}
	c.registry.Lock()
	defer c.registry.Unlock()
	if err := c.mayCreate(op, d.ID); err != nil {
		return nil, err
	}
	if d.Edge && !d.ID.IsModule() && d.Scope == "" {
		d.Scope = fmt.Sprintf("ms-azure-iot-edge://%s-%d", d.ID.DeviceID, rand.Int64())
	}
	e, err := c.register(ctx, op, d, w)
	if err != nil {
		return nil, err
	}
	if d.Edge && !d.ID.IsModule() {
		for _, m := range []string{"$edgeAgent", "$edgeHub"} {
			id := hubwire.Identity{DeviceID: d.ID.DeviceID, ModuleID: m}
			if _, err := c.register(ctx, op, &Device{ID: id, Auth: Auth{Type: AuthNone}, ManagedBy: "IotEdge"}, twinWrite{}); err != nil {
				return nil, err
			}
		}
	}
	e.mu.Lock()
	defer e.unlock()
	return e.snapshot(), nil
}

func (c *Core) mayCreate(op string, id hubwire.Identity) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	switch {
	case c.closed:
		return ended(op, errClosing)
	case c.entities[id] != nil && id.IsModule():
		return refuse(op, hubwire.ModuleAlreadyExists, "module %q exists", id)
	case c.entities[id] != nil:
		return refuse(op, hubwire.DeviceAlreadyExists, "device %q exists", id)
	case len(c.entities) >= c.cfg.MaxDevices:
		return refuse(op, hubwire.TooManyDevices, "the hub has %d devices and modules, which is the limit", c.cfg.MaxDevices)
	}
	if !id.IsModule() {
		return nil
	}
	parent := hubwire.Identity{DeviceID: id.DeviceID}
	if c.entities[parent] == nil {
		return notFound(op, parent)
	}
	if n := len(c.modulesOf(id.DeviceID)); n >= maxModules {
		return refuse(op, hubwire.TooManyModules, "device %q has %d modules, which is the limit", id.DeviceID, n)
	}
	return nil
}

// register stores and publishes a new identity. The caller holds c.registry.
func (c *Core) register(ctx context.Context, op string, d *Device, w twinWrite) (*entity, error) {
	now := time.Now().UTC()
	d.GenerationID, d.ETag = newGenerationID(now), newETag()
	d.StatusUpdated = time.Time{}
	e := &entity{core: c, id: d.ID, dev: *d, created: now}
	// The twin, if there is one yet, goes first: without its identity it is nothing.
	if !w.isEmpty() {
		first, err := e.rewrite(op, w, "")
		if err != nil {
			return nil, err
		}
		if err := e.commit(ctx, op, w, first); err != nil {
			return nil, err
		}
	}
	var err error
	e.version, err = c.store.Put(ctx, store.Key{Kind: store.Identities, ID: d.ID}, encodeDevice(d, now), 0)
	if err != nil {
		if e.twinVersion != 0 {
			err = errors.Join(err, c.store.Delete(ctx, store.Key{Kind: store.Twins, ID: d.ID}))
		}
		return nil, broken(op, err)
	}
	c.mu.Lock()
	c.adopt(e)
	c.mu.Unlock()
	e.mu.Lock()
	e.announceLife("createDeviceIdentity", e.twin)
	e.unlock()
	c.look(e)
	return e, nil
}

// adopt makes an entity known. The caller holds c.mu.
func (c *Core) adopt(e *entity) {
	c.entities[e.id] = e
	c.kin(e.id).add(e)
}

// kin is where all devices are, or all modules, whichever id is. The caller holds c.mu.
func (c *Core) kin(id hubwire.Identity) *ordered {
	if id.IsModule() {
		return &c.modules
	}
	return &c.devices
}

// modulesOf returns the modules of a device, ordered by id. The caller holds c.mu.
func (c *Core) modulesOf(deviceID string) (es []*entity) {
	for e := range c.modules.following(hubwire.Identity{DeviceID: deviceID}) {
		if e.id.DeviceID != deviceID {
			break
		}
		es = append(es, e)
	}
	return es
}

// Update replaces what an identity says of itself and returns it. ifMatch is
// the etag that it must have (PreconditionFailed), or "*" for any. Empty keys
// are generated anew; a connection whose credential is gone, or whose identity
// is now disabled, is cut.
func (c *Core) Update(ctx context.Context, want *Device, ifMatch string) (*Device, error) {
	const op = "update identity"
	d, err := want.normal(op)
	if err != nil {
		return nil, err
	}
	e, err := c.lock(op, d.ID)
	if err != nil {
		return nil, err
	}
	defer e.unlock()
	if !matches(ifMatch, e.dev.ETag) {
		return nil, preconditionFailed(op, d.ID)
	}
	if err := e.update(ctx, op, d); err != nil {
		return nil, err
	}
	return e.snapshot(), nil
}

// update makes d, which is normal, the device. The caller holds the lock.
func (e *entity) update(ctx context.Context, op string, d *Device) error {
	if d.Edge != e.dev.Edge {
		return refuse(op, hubwire.ArgumentInvalid, "capabilities.iotEdge of %q cannot change", d.ID)
	}
	if d.Edge {
		d.Scope = e.dev.Scope
	}
	d.GenerationID, d.ETag, d.StatusUpdated = e.dev.GenerationID, newETag(), e.dev.StatusUpdated
	if d.Disabled != e.dev.Disabled {
		d.StatusUpdated = time.Now().UTC()
	}
	c := e.core
	v, err := c.store.Put(ctx, store.Key{Kind: store.Identities, ID: d.ID}, encodeDevice(d, e.created), e.version)
	if err != nil {
		return broken(op, err)
	}
	e.version, e.dev = v, *d
	c.look(e)
	switch s := e.session; {
	case s == nil:
	case d.Disabled:
		e.endSession(refuse("connection", hubwire.DeviceDisabled, "%q is disabled", d.ID), true)
	case !c.accepts(&e.dev, s.grant.by):
		e.endSession(refuse("connection", hubwire.Unauthorized, "the credential of %q has changed", d.ID), true)
	}
	return nil
}

func matches(ifMatch, etag string) bool { return ifMatch == "*" || ifMatch == etag }

func preconditionFailed(op string, id hubwire.Identity) error {
	return refuse(op, hubwire.PreconditionFailed, "the etag of %q is another", id)
}

// Delete removes an identity with its twin, queue, pending feedback and
// connection, and a device with all its modules. ifMatch is as for Update.
func (c *Core) Delete(ctx context.Context, id hubwire.Identity, ifMatch string) error {
	const op = "delete identity"
	c.registry.Lock()
	defer c.registry.Unlock()
	e, err := c.lock(op, id)
	if err != nil {
		return err
	}
	ok := matches(ifMatch, e.dev.ETag)
	e.unlock()
	if !ok {
		return preconditionFailed(op, id)
	}
	c.mu.RLock()
	doomed := append(c.modulesOf(id.DeviceID), e) // the device last
	c.mu.RUnlock()
	if id.IsModule() {
		doomed = []*entity{e}
	}
	for _, e := range doomed {
		if err := c.remove(ctx, e); err != nil {
			return broken(op, err)
		}
	}
	return nil
}

// remove takes one identity out. Its record goes last, so that a store that
// fails half-way leaves an identity that can be deleted again.
func (c *Core) remove(ctx context.Context, e *entity) error {
	e.mu.Lock()
	defer e.unlock()
	if s := e.session; s != nil {
		s.opts.Will = nil // there is nobody left whose telemetry it would be
	}
	e.endSession(notFound("connection", e.id), true)
	for len(e.queue.items) > 0 {
		if err := e.dequeue(ctx, e.queue.items[0]); err != nil {
			return err
		}
	}
	for _, u := range e.uploads {
		if err := c.store.Delete(ctx, e.uploadKey(u.seq)); err != nil {
			return err
		}
	}
	e.uploads = nil
	if err := c.store.Delete(ctx, store.Key{Kind: store.Twins, ID: e.id}); err != nil {
		return err
	}
	last := e.twin
	e.twin, e.twinVersion = nil, 0
	if err := e.forgetKept(ctx); err != nil {
		return err
	}
	if err := c.store.Delete(ctx, store.Key{Kind: store.Identities, ID: e.id}); err != nil {
		return err
	}
	e.deleted = true
	e.announceLife("deleteDeviceIdentity", last)
	e.become(nil)
	e.queue.timer.stop()
	e.changed.broadcast()
	c.feedback.forget(func(r FeedbackRecord) bool { return r.Identity == e.id })
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entities, e.id)
	c.kin(e.id).remove(e.id)
	return nil
}

// Device returns a registered device or module, with its keys.
func (c *Core) Device(id hubwire.Identity) (*Device, error) {
	e, err := c.lock("get identity", id)
	if err != nil {
		return nil, err
	}
	defer e.unlock()
	return e.snapshot(), nil
}

// Devices returns up to limit devices, without modules, ordered by id; none
// when it is negative.
func (c *Core) Devices(limit int) []*Device {
	c.mu.RLock()
	es := c.devices.after(make([]*entity, 0, min(max(0, limit), c.devices.n)), hubwire.Identity{})
	c.mu.RUnlock()
	return snapshots(es)
}

// Modules returns the modules of a device, ordered by id.
func (c *Core) Modules(deviceID string) ([]*Device, error) {
	e, err := c.lock("list modules", hubwire.Identity{DeviceID: deviceID})
	if err != nil {
		return nil, err
	}
	e.unlock()
	c.mu.RLock()
	es := c.modulesOf(deviceID)
	c.mu.RUnlock()
	return snapshots(es), nil
}

func snapshots(es []*entity) []*Device {
	ds := make([]*Device, 0, len(es))
	for _, e := range es {
		e.mu.Lock()
		if !e.deleted {
			ds = append(ds, e.snapshot())
		}
		e.unlock()
	}
	return ds
}

// Statistics counts devices; modules do not count.
type Statistics struct{ Total, Enabled, Disabled, Connected int }

// Statistics returns the counts as of now.
func (c *Core) Statistics() Statistics {
	var s Statistics
	c.mu.RLock()
	es := c.devices.after(make([]*entity, 0, c.devices.n), hubwire.Identity{})
	c.mu.RUnlock()
	for _, e := range es {
		e.mu.Lock()
		s.Total++
		if e.dev.Disabled {
			s.Disabled++
		}
		if e.session != nil {
			s.Connected++
		}
		e.unlock()
	}
	s.Enabled = s.Total - s.Disabled
	return s
}
