package core

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
)

// The states of a configuration in a twin, as queries have them.
const (
	stateTargeted = "Targeted"
	stateApplied  = "Applied"
)

// maxRounds is how often a twin is looked at anew because configurations have changed it.
const maxRounds = 8

// sweeper carries configurations out, one entity after the other, on a goroutine that is there
// only as long as there is something to do: entities that have changed, first, and
// all of them when a configuration has.
type sweeper struct {
	mu      sync.Mutex   // a leaf
	changed []*entity    // each once: see entity.dirty
	all     query.Source // where the sweep over all is, or 0
	after   hubwire.Identity
	running bool
}

// look has the configurations look at an entity that has changed. It may be locked.
func (c *Core) look(e *entity) {
	if len(c.allRules()) == 0 || e.dirty.Swap(true) {
		return
	}
	s := &c.configs.sweeper
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = append(s.changed, e)
	c.startSweeper()
}

// sweepAll has the configurations look at all entities.
func (c *Core) sweepAll() {
	s := &c.configs.sweeper
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.after = query.Devices, hubwire.Identity{}
	c.startSweeper()
}

// startSweeper starts the goroutine, if there is none. The caller holds the sweeper's lock.
func (c *Core) startSweeper() {
	if s := &c.configs.sweeper; !s.running {
		s.running = c.timers.run(c.sweep)
	}
}

func (c *Core) sweep() {
	for c.life.Err() == nil {
		es := c.nextToSweep()
		if len(es) == 0 {
			return
		}
		for _, e := range es {
			e.dirty.Store(false)
			c.configure(e)
		}
	}
}

// nextToSweep returns what to look at next, or nothing, and then the goroutine must end.
func (c *Core) nextToSweep() []*entity {
	s := &c.configs.sweeper
	s.mu.Lock()
	defer s.mu.Unlock()
	if es := s.changed; len(es) > 0 {
		s.changed = nil
		return es
	}
	for ; s.all == query.Devices || s.all == query.Modules; s.all, s.after = s.all+1, (hubwire.Identity{}) {
		c.mu.RLock()
		es := c.source(s.all).after(make([]*entity, 0, queryBatch), s.after)
		c.mu.RUnlock()
		if len(es) > 0 {
			s.after = es[len(es)-1].id
			return es
		}
	}
	s.all, s.running = 0, false
	return nil
}

// ruled is what a rule is to one entity.
type ruled struct {
	*rule
	applied bool
}

// configure makes the twin of an entity, and its states, what the configurations say.
func (c *Core) configure(e *entity) {
	rules := c.allRules()
	var deployed []ruled
	if e.id.IsModule() {
		deployed = c.deployedOn(e.id.DeviceID)
	}
	e.mu.Lock()
	if e.deleted {
		e.unlock()
		return
	}
	before := e.deployed()
	for range maxRounds {
		found := e.rules(rules, deployed)
		wrote := e.write(found)
		e.become(found)
		if !wrote {
			break
		}
	}
	now := e.deployed()
	e.unlock()
	if !e.id.IsModule() && len(before)+len(now) > 0 {
		c.deploy(e.id.DeviceID, now, !slices.Equal(before, now))
	}
}

// rules returns those that are for the entity, the lowest priority first. deployed are, for a
// module, the deployments of its device. The caller holds the lock.
func (e *entity) rules(all []*rule, deployed []ruled) (found []ruled) {
	var row twinRow
	row.point(e)
	for _, r := range all {
		fits := r.kind == forModules
		if !e.id.IsModule() {
			fits = r.kind == forDevices || r.kind == forEdge && e.dev.Edge
		}
		if fits && r.target != nil && r.target.Match(&row) {
			found = append(found, ruled{r, true})
		}
	}
	for _, d := range deployed {
		if _, ok := d.content[e.id.ModuleID]; ok || e.id.ModuleID == "$edgeAgent" {
			found = append(found, d)
		}
	}
	slices.SortStableFunc(found, func(a, b ruled) int { return a.compare(b.rule) })
	e.decide(found)
	return found
}

// writes returns what a rule writes into the twin of the entity.
func (e *entity) writes(r *rule) []write {
	if r.kind == forEdge {
		return r.content[e.id.ModuleID] // nothing for the device itself
	}
	return r.content[""]
}

// decide finds out which of the rules are Applied: those of which something is written, and of
// deployments the highest base and those above it.
func (e *entity) decide(found []ruled) {
	var taken []write
	hasBase := false
	for i := len(found) - 1; i >= 0; i-- {
		f := &found[i]
		if f.kind == forEdge {
			if !e.id.IsModule() {
				f.applied = !hasBase
				hasBase = hasBase || f.content.isBase()
			}
			if !f.applied {
				continue
			}
		}
		ws := e.writes(f.rule)
		open := slices.ContainsFunc(ws, func(w write) bool {
			return !slices.ContainsFunc(taken, func(t write) bool { return t.covers(w) })
		})
		f.applied = open || f.kind == forEdge
		taken = append(taken, ws...)
	}
}

// write writes the content of the rules into the twin and reports whether that changed it. When it
// cannot be, none of them is applied. The caller holds the lock.
func (e *entity) write(found []ruled) bool {
	const op = "configuration"
	var ws []write
	for _, f := range found {
		if f.applied {
			ws = append(ws, e.writes(f.rule)...)
		}
	}
	if len(ws) == 0 {
		return false
	}
	old := e.currentTwin()
	root := old.Desired.Root
	for _, w := range ws {
		root = w.to(root)
	}
	w := twinWrite{desired: diff(old.Desired.Root, root)}
	now, err := w.apply(op, old)
	if err == nil {
		err = e.commit(context.Background(), op, w, now)
	}
	if err != nil {
		e.post(func() { e.core.cfg.Log.Error("a configuration was not applied", "device", e.id, "error", err) })
		for i := range found {
			found[i].applied = false
		}
	}
	return err == nil && now != old
}

// become makes the rules those of the entity. The caller holds the lock.
func (e *entity) become(found []ruled) {
	e.count(-1)
	e.ruled = found
	e.count(1)
	states := make(map[string]string, len(found))
	for _, f := range found {
		states[f.of.id] = stateTargeted
		if f.applied {
			states[f.of.id] = stateApplied
		}
	}
	if !maps.Equal(states, e.configurations) {
		e.configurations = states
	}
}

// count counts the entity in the metrics of its rules, or out. Deployments are counted on
// their devices.
func (e *entity) count(n int64) {
	for _, f := range e.ruled {
		if f.kind == forEdge && e.id.IsModule() {
			continue
		}
		f.of.targeted.Add(n)
		if f.applied {
			f.of.applied.Add(n)
		}
	}
}

// deployed returns the deployments of an edge device. The caller holds the lock.
func (e *entity) deployed() []ruled {
	return slices.DeleteFunc(slices.Clone(e.ruled), func(f ruled) bool { return f.kind != forEdge })
}

func (c *Core) deployedOn(deviceID string) []ruled {
	e, err := c.lock("configuration", hubwire.Identity{DeviceID: deviceID})
	if err != nil {
		return nil
	}
	defer e.unlock()
	return e.deployed()
}

// deploy sees that an edge device has the modules of its deployments, and that these are looked at
// when the deployments have changed.
func (c *Core) deploy(deviceID string, deployed []ruled, changed bool) {
	var names []string
	for _, d := range deployed {
		if d.applied {
			names = append(names, d.content.modules()...)
		}
	}
	if err := c.makeModules(context.Background(), "configuration", deviceID, names); err != nil {
		c.cfg.Log.Error("modules of a deployment were not registered", "device", deviceID, "error", err)
	}
	if !changed {
		return
	}
	c.mu.RLock()
	es := c.modulesOf(deviceID)
	c.mu.RUnlock()
	for _, e := range es {
		c.look(e)
	}
}
