package core

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Configurations imitate the guides "Automatic device management" and "IoT Edge automatic
// deployments": content that is written into the desired properties of all twins that a
// condition picks, as soon as it picks them, where the service looks every few minutes.
// Of two that write the same place the one of higher priority does, and of two of the same
// priority the younger. What was written stays when a twin is picked no longer. Without a
// condition a configuration is for nobody.
//
// Where the guides are silent: a configuration is Applied when at least something of it is
// written, else Targeted; a twin that cannot take the content, for its size, stays as it is and
// is Targeted. Two whose conditions undo each other are left as they are after a few rounds.

// Bounds of configurations. Those that are this hub's own are marked.
const (
	maxConfigurations      = 100     // of deployments, and of all others
	maxConfigurationID     = 128     // bytes
	maxConfigurationText   = 8 << 10 // own: bytes of labels, and of the names of metrics
	maxMetrics             = 20      // own
	maxPlaces              = 200     // own: of the content for one twin, for each goes over the whole twin
	maxModulesOfDeployment = 20
)

// Configuration is a configuration as a service makes and sees it. ID and Content cannot
// change after its creation.
type Configuration struct {
	ID              string               `json:"id"`
	SchemaVersion   string               `json:"schemaVersion"`
	Labels          map[string]string    `json:"labels,omitempty"`
	Content         ConfigurationContent `json:"content"`
	TargetCondition string               `json:"condition"` // as [query.ParseCondition] takes it, or empty
	Priority        int                  `json:"priority"`
	Metrics         map[string]string    `json:"metrics,omitempty"` // queries by name

	// Set by the hub.
	Created       time.Time         `json:"created"`
	Updated       time.Time         `json:"updated"`
	ETag          string            `json:"-"`
	SystemMetrics map[string]string `json:"-"` // queries, as the service has them
	SystemResults map[string]int64  `json:"-"` // how many each finds
	MetricResults map[string]int64  `json:"-"`
}

// configurations are all that the Core knows.
type configurations struct {
	changes sync.Mutex // serialises what adds, changes or removes one

	mu    sync.RWMutex // a leaf; guards what follows
	byID  map[string]*configuration
	rules []*rule // of all, the lowest priority first; a new slice for each change

	sweeper sweeper
}

// CreateConfiguration makes a configuration and keeps nothing of want. It is carried out in
// the background. Codes: ConfigurationAlreadyExists, ArgumentInvalid, InvalidConfigurationContent,
// InvalidConfigurationCondition, InvalidConfigurationMetricsQuery, TooManyConfigurations.
func (c *Core) CreateConfiguration(ctx context.Context, want *Configuration) (*Configuration, error) {
	r, err := c.createRule(ctx, "create configuration", want)
	if err != nil {
		return nil, err
	}
	return c.describe(ctx, r)
}

func (c *Core) createRule(ctx context.Context, op string, want *Configuration) (*rule, error) {
	r, err := newRule(op, want)
	if err != nil {
		return nil, err
	}
	c.configs.changes.Lock()
	defer c.configs.changes.Unlock()
	if err := c.mayConfigure(op, r); err != nil {
		return nil, err
	}
	r.info.Created = time.Now().UTC()
	r.of = &configuration{id: r.info.ID}
	return r, c.putRule(ctx, op, r)
}

func (c *Core) mayConfigure(op string, r *rule) error {
	if err := c.Open(op); err != nil {
		return err
	}
	if c.configuration(r.info.ID) != nil {
		return refuse(op, hubwire.ConfigurationAlreadyExists, "configuration %q exists", r.info.ID)
	}
	n := 0
	for _, have := range c.allRules() {
		if (have.kind == forEdge) == (r.kind == forEdge) {
			n++
		}
	}
	if n >= maxConfigurations {
		return refuse(op, hubwire.TooManyConfigurations, "%d configurations, which is the limit", n)
	}
	return nil
}

// UpdateConfiguration replaces all of a configuration but its content, which want may
// leave out. ifMatch is the etag that it must have (PreconditionFailed), or "*" for any. Codes besides
// those of CreateConfiguration: ConfigurationNotFound, ImmutableConfigurationContent.
func (c *Core) UpdateConfiguration(ctx context.Context, want *Configuration, ifMatch string) (*Configuration, error) {
	r, err := c.updateRule(ctx, "update configuration", want, ifMatch)
	if err != nil {
		return nil, err
	}
	return c.describe(ctx, r)
}

func (c *Core) updateRule(ctx context.Context, op string, want *Configuration, ifMatch string) (*rule, error) {
	if want == nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the configuration is nil")
	}
	c.configs.changes.Lock()
	defer c.configs.changes.Unlock()
	old, err := c.matchRule(op, want.ID, ifMatch)
	if err != nil {
		return nil, err
	}
	own := *want
	if own.Content.isZero() {
		own.Content = old.info.Content
	}
	r, err := newRule(op, &own)
	if err != nil {
		return nil, err
	}
	if r.kind != old.kind || !r.content.equal(old.content) {
		return nil, refuse(op, hubwire.ImmutableConfigurationContent, "the content of %q cannot change", want.ID)
	}
	r.of, r.info.Created, r.counter = old.of, old.info.Created, old.counter
	return r, c.putRule(ctx, op, r)
}

// DeleteConfiguration takes a configuration away, and its state off all twins; what it wrote
// stays, unless another configuration takes its place. ifMatch is as for UpdateConfiguration, and
// empty for any.
func (c *Core) DeleteConfiguration(ctx context.Context, id, ifMatch string) error {
	const op = "delete configuration"
	c.configs.changes.Lock()
	defer c.configs.changes.Unlock()
	if ifMatch == "" {
		ifMatch = "*"
	}
	r, err := c.matchRule(op, id, ifMatch)
	if err != nil {
		return err
	}
	if err := c.store.Delete(ctx, r.key()); err != nil {
		return broken(op, err)
	}
	c.configs.mu.Lock()
	delete(c.configs.byID, id)
	c.configs.sort()
	c.configs.mu.Unlock()
	c.sweepAll()
	return nil
}

// matchRule returns the rule of a configuration that has an etag.
func (c *Core) matchRule(op, id, ifMatch string) (*rule, error) {
	if err := c.Open(op); err != nil {
		return nil, err
	}
	k := c.configuration(id)
	if k == nil {
		return nil, noConfiguration(op, id)
	}
	r := k.rule.Load()
	if !matches(ifMatch, r.etag()) {
		return nil, refuse(op, hubwire.PreconditionFailed, "the etag of configuration %q is another", id)
	}
	return r, nil
}

func noConfiguration(op, id string) error {
	return refuse(op, hubwire.ConfigurationNotFound, "there is no configuration %q", id)
}

// Configuration returns a configuration with its metrics. Counts are those of what was carried out
// so far; queries are run, but a result is good for ten times as long as it took. The code is
// ConfigurationNotFound when there is none.
func (c *Core) Configuration(ctx context.Context, id string) (*Configuration, error) {
	const op = "get configuration"
	if err := c.Open(op); err != nil {
		return nil, err
	}
	k := c.configuration(id)
	if k == nil {
		return nil, noConfiguration(op, id)
	}
	return c.describe(ctx, k.rule.Load())
}

// Configurations returns up to limit configurations, ordered by id; none when it is negative.
func (c *Core) Configurations(ctx context.Context, limit int) ([]*Configuration, error) {
	if err := c.Open("list configurations"); err != nil {
		return nil, err
	}
	rs := slices.Clone(c.allRules())
	slices.SortFunc(rs, func(a, b *rule) int { return strings.Compare(a.info.ID, b.info.ID) })
	var out []*Configuration
	for _, r := range rs[:min(len(rs), max(0, limit))] {
		d, err := c.describe(ctx, r)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// TestConfigurationQueries says what is wrong with a target condition, and with which of the queries
// of metrics. Nothing is wrong with what is empty, or not in errs.
func (c *Core) TestConfigurationQueries(condition string, metrics map[string]string) (conditionErr string, errs map[string]string) {
	if condition != "" {
		if _, err := query.ParseCondition(condition); err != nil {
			conditionErr = err.Error()
		}
	}
	errs = map[string]string{}
	for name, text := range metrics {
		if _, err := readMetric(text); err != nil {
			errs[name] = err.Error()
		}
	}
	return conditionErr, errs
}

func (c *Core) configuration(id string) *configuration {
	c.configs.mu.RLock()
	defer c.configs.mu.RUnlock()
	return c.configs.byID[id]
}

func (c *Core) allRules() []*rule {
	c.configs.mu.RLock()
	defer c.configs.mu.RUnlock()
	return c.configs.rules
}

// sort makes the list of rules anew. The caller holds the lock.
func (cs *configurations) sort() {
	cs.rules = make([]*rule, 0, len(cs.byID))
	for _, k := range cs.byID {
		cs.rules = append(cs.rules, k.rule.Load())
	}
	slices.SortFunc(cs.rules, (*rule).compare)
}

// putRule stores a rule as that of its configuration, and has it carried out.
func (c *Core) putRule(ctx context.Context, op string, r *rule) error {
	r.info.Updated = time.Now().UTC()
	r.counter++
	v, err := c.store.Put(ctx, r.key(), r.encode(), r.of.version)
	if err != nil {
		return broken(op, err)
	}
	r.of.version = v
	c.adoptRule(r)
	c.sweepAll()
	return nil
}

func (c *Core) adoptRule(r *rule) {
	c.configs.mu.Lock()
	defer c.configs.mu.Unlock()
	r.of.rule.Store(r)
	c.configs.byID[r.info.ID] = r.of
	c.configs.sort()
}

func (r *rule) key() store.Key {
	k := store.Key{Kind: store.Configurations}
	k.ID.DeviceID = r.info.ID
	return k
}

func (r *rule) etag() string {
	return base64.StdEncoding.EncodeToString(strconv.AppendUint(nil, r.counter, 10))
}

// describe returns what a service sees of a configuration.
func (c *Core) describe(ctx context.Context, r *rule) (*Configuration, error) {
	d := r.info
	d.ETag = r.etag()
	d.Labels, d.Metrics = maps.Clone(d.Labels), maps.Clone(d.Metrics)
	d.SystemMetrics = r.systemMetrics()
	results, err := r.results(ctx, c)
	if err != nil {
		return nil, err
	}
	d.SystemResults = map[string]int64{"targetedCount": r.of.targeted.Load(), "appliedCount": r.of.applied.Load()}
	d.MetricResults = map[string]int64{}
	for name := range d.SystemMetrics {
		if n, ok := results["system "+name]; ok {
			d.SystemResults[name] = n
		}
	}
	for name := range d.Metrics {
		if n, ok := results["custom "+name]; ok {
			d.MetricResults[name] = n
		}
	}
	return &d, nil
}
