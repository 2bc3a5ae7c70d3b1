package core

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hubwire/hubwire/hub/internal/store"
)

// load reads the store into memory. The Core works on memory and writes
// through, so a store is read once. Records of an identity that is not
// registered are left alone.
func (c *Core) load(ctx context.Context) error {
	if err := c.loadPolicies(ctx); err != nil {
		return err
	}
	loaders := []struct {
		kind store.Kind
		load func(store.Record) error
	}{
		{store.Identities, c.loadIdentity},
		{store.Twins, c.loadTwin},
		{store.Subscriptions, c.loadSubscriptions},
		{store.Queue, c.loadQueued},
		{store.Feedback, c.feedback.restore},
		{store.FileNotifications, c.fileNotifications.restore},
		{store.Uploads, c.loadUpload},
		{store.Jobs, c.loadJob},
		{store.DeviceJobs, c.loadDeviceJob},
		{store.Configurations, c.loadConfiguration},
		{store.Transfers, c.loadTransfer},
	}
	for _, l := range loaders {
		if err := c.scan(ctx, l.kind, l.load); err != nil {
			return err
		}
	}
	for _, e := range c.entities {
		e.mu.Lock()
		for _, q := range e.queue.items {
			e.expect(q)
		}
		e.sweep()
		e.unlock()
	}
	if len(c.configs.rules) > 0 {
		c.sweepAll()
	}
	c.resumeJobs()
	return nil
}

func (c *Core) scan(ctx context.Context, kind store.Kind, load func(store.Record) error) error {
	const page = 1000
	from := store.Key{Kind: kind}
	for {
		rs, err := c.store.Scan(ctx, from, page)
		if err != nil {
			return err
		}
		for _, r := range rs {
			if err := load(r); err != nil {
				return fmt.Errorf("record of kind %d of %q, number %d: %w", kind, r.Key.ID, r.Key.Seq, err)
			}
		}
		if len(rs) < page {
			return nil
		}
		from = rs[len(rs)-1].Key
		from.Seq++
	}
}

func (c *Core) loadIdentity(r store.Record) error {
	d, created, err := decodeDevice(r.Key.ID, r.Value)
	if err != nil {
		return err
	}
	c.adopt(&entity{core: c, id: d.ID, dev: d, created: created, version: r.Version})
	return nil
}

func (c *Core) loadTwin(r store.Record) error {
	e := c.entities[r.Key.ID]
	if e == nil {
		return nil
	}
	t := new(twin)
	if err := json.Unmarshal(r.Value, t); err != nil {
		return err
	}
	if t.Tags.Root == nil || t.Desired.Root == nil || t.Reported.Root == nil {
		return errRecord
	}
	e.twin, e.twinVersion = t, r.Version
	return nil
}

func (c *Core) loadSubscriptions(r store.Record) error {
	e := c.entities[r.Key.ID]
	if e == nil {
		return nil
	}
	e.hasKept, e.keptVersion = true, r.Version
	return json.Unmarshal(r.Value, &e.kept)
}

// loadQueued takes in a waiting message. The numbers of a queue go on after
// the highest that waits, so they start again when none did.
func (c *Core) loadQueued(r store.Record) error {
	e := c.entities[r.Key.ID]
	if e == nil {
		return nil
	}
	q, err := decodeQueued(r)
	if err != nil {
		return err
	}
	e.queue.items = append(e.queue.items, q)
	e.queue.next = q.seq
	return nil
}

func (c *Core) loadUpload(r store.Record) error {
	e := c.entities[r.Key.ID]
	if e == nil {
		return nil
	}
	u := &upload{seq: r.Key.Seq}
	if err := json.Unmarshal(r.Value, u); err != nil {
		return err
	}
	e.uploads = append(e.uploads, u)
	return nil
}
