package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// configuration is what stays of a configuration while its rule changes.
type configuration struct {
	id                string
	rule              atomic.Pointer[rule]
	version           uint64       // of its record; guarded by configurations.changes
	targeted, applied atomic.Int64 // twins of these states, Targeted including Applied
}

// ruleKind is what a configuration is for.
type ruleKind uint8

const (
	forDevices ruleKind = iota + 1
	forModules
	forEdge // a deployment
)

// rule is a configuration as it was written at one time. It never changes.
type rule struct {
	of      *configuration
	info    Configuration // without what is not stored
	counter uint64        // of the etag
	kind    ruleKind
	target  *query.Condition // nil is for nobody
	content content
	metrics map[string]*query.Query // by kind and name; without those that are counted

	mu     sync.Mutex // guards what follows: the results of metrics
	counts map[string]int64
	good   time.Time // until when they are
}

// newRule checks what is wanted of a configuration, and keeps nothing of it.
func newRule(op string, want *Configuration) (*rule, error) {
	if want == nil {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the configuration is nil")
	}
	var own Configuration // a copy
	b, err := marshal(want)
	if err == nil {
		err = json.Unmarshal(b, &own)
	}
	if err != nil {
		return nil, refuse(op, hubwire.InvalidConfigurationContent, "the content is not JSON")
	}
	own.SchemaVersion = cmp.Or(own.SchemaVersion, "1.0")
	r := &rule{info: own}
	if err := r.check(op); err != nil {
		return nil, err
	}
	if r.content, r.kind, err = own.Content.compile(op); err != nil {
		return nil, err
	}
	if err := r.aim(op); err != nil {
		return nil, err
	}
	return r, r.readMetrics(op)
}

// check checks what is text.
func (r *rule) check(op string) error {
	id := r.info.ID
	bad := strings.ContainsFunc(id, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || c >= 'A' && c <= 'Z' || strings.ContainsRune(`&^[]{}\|"<>/`, c)
	})
	switch {
	case id == "" || len(id) > maxConfigurationID || bad:
		return refuse(op, hubwire.ArgumentInvalid, "the id is not 1 to %d characters of ASCII, without capitals, blanks and & ^ [ ] { } \\ | \" < > /", maxConfigurationID)
	case r.info.Priority < 0:
		return refuse(op, hubwire.ArgumentInvalid, "priority %d is below 0", r.info.Priority)
	case len(r.info.SchemaVersion) > maxConfigurationID:
		return refuse(op, hubwire.ArgumentInvalid, "the schema version has %d bytes, the limit is %d", len(r.info.SchemaVersion), maxConfigurationID)
	case len(r.info.Metrics) > maxMetrics:
		return refuse(op, hubwire.InvalidConfigurationMetricsQuery, "%d metrics, the limit is %d", len(r.info.Metrics), maxMetrics)
	}
	n := 0
	for name, value := range r.info.Labels {
		n += len(name) + len(value)
	}
	for name := range r.info.Metrics {
		n += len(name)
	}
	if n > maxConfigurationText {
		return refuse(op, hubwire.ArgumentInvalid, "labels and names of metrics have %d bytes, the limit is %d", n, maxConfigurationText)
	}
	return nil
}

// aim reads the target condition.
func (r *rule) aim(op string) (err error) {
	if r.info.TargetCondition == "" {
		return nil
	}
	if r.target, err = query.ParseCondition(r.info.TargetCondition); err != nil {
		return refuse(op, hubwire.InvalidConfigurationCondition, "the target condition: %v", err)
	}
	if modules := r.target.Source() == query.Modules; modules != (r.kind == forModules) {
		return refuse(op, hubwire.InvalidConfigurationCondition, "the target condition is over %s, the content is not", r.target.Source())
	}
	return nil
}

// readMetric reads the query of a metric.
func readMetric(text string) (*query.Query, error) {
	q, err := query.Parse(text)
	if err == nil && q.Source() == query.Jobs {
		err = errors.New("it is over devices.jobs")
	}
	return q, err
}

// readMetrics reads the queries that are to be run.
func (r *rule) readMetrics(op string) error {
	r.metrics = map[string]*query.Query{}
	for name, text := range r.info.Metrics {
		q, err := readMetric(text)
		if err != nil || name == "" {
			return refuse(op, hubwire.InvalidConfigurationMetricsQuery, "metric %q is no query over devices or modules: %v", name, err)
		}
		r.metrics["custom "+name] = q
	}
	if r.kind == forEdge {
		for name, text := range r.systemMetrics() {
			if !strings.HasPrefix(name, "reported") {
				continue
			}
			q, err := query.Parse(text)
			if err != nil {
				return refuse(op, hubwire.ArgumentInvalid, "the id: %v", err)
			}
			r.metrics["system "+name] = q
		}
	}
	return nil
}

// systemMetrics returns the queries that the service has for every configuration.
func (r *rule) systemMetrics() map[string]string {
	where := "false" // for nobody
	if r.target != nil {
		where = r.target.String()
	}
	applied := " where configurations.[[" + r.info.ID + "]].status = 'Applied'"
	switch r.kind {
	case forModules:
		if r.target == nil {
			where = "FROM devices.modules WHERE false"
		}
		where = "select deviceId, moduleId from" + strings.TrimPrefix(where, "FROM")
		return map[string]string{"targetedCount": where, "appliedCount": "select deviceId, moduleId from devices.modules" + applied}
	case forEdge:
		agent := "select deviceId from devices.modules where moduleId = '$edgeAgent' and configurations.[[" + r.info.ID + "]].status = 'Applied'"
		reported := agent + " and properties.desired.$version = properties.reported.lastDesiredVersion and properties.reported.lastDesiredStatus.code "
		edges := "select deviceId from devices where capabilities.iotEdge = true"
		if where != "*" {
			edges += " and (" + where + ")"
		}
		return map[string]string{
			"targetedCount": edges, "appliedCount": agent,
			"reportedSuccessfulCount": reported + "= 200", "reportedFailedCount": reported + "!= 200",
		}
	}
	devices := "select deviceId from devices"
	if where == "*" {
		return map[string]string{"targetedCount": devices, "appliedCount": devices + applied}
	}
	return map[string]string{"targetedCount": devices + " where " + where, "appliedCount": devices + applied}
}

// results runs the queries of metrics, unless it was done lately. One that cannot be answered,
// for its groups are too many, has no result: it must not hide its configuration.
func (r *rule) results(ctx context.Context, c *Core) (map[string]int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin := time.Now()
	if r.counts != nil && begin.Before(r.good) {
		return r.counts, nil
	}
	counts := make(map[string]int64, len(r.metrics))
	for name, q := range r.metrics {
		n, err := c.countRows(ctx, q)
		switch {
		case err == nil:
			counts[name] = n
		case !errors.Is(err, query.ErrTooManyGroups):
			return nil, err
		}
	}
	end := time.Now()
	r.counts, r.good = counts, end.Add(10*end.Sub(begin))
	return counts, nil
}

// countRows returns how many rows a query has, or [query.ErrTooManyGroups].
func (c *Core) countRows(ctx context.Context, q *query.Query) (n int64, err error) {
	groups := q.Group()
	var row twinRow
	for e := range c.candidates(&q.Condition, hubwire.Identity{}) {
		if ctx.Err() != nil {
			return 0, &hubwire.Error{Op: "count", Outcome: hubwire.NotSent, Err: ctx.Err()}
		}
		e.mu.Lock()
		if row.point(e); !e.deleted && q.Match(&row) {
			n++
			if q.Grouped() {
				err = groups.Add(&row)
			}
		}
		e.unlock()
		if err != nil {
			return 0, err
		}
	}
	if q.Grouped() {
		n = int64(len(groups.Sorted()))
	}
	if top, ok := q.Top(); ok {
		n = min(n, int64(top))
	}
	return n, nil
}

// compare orders rules by priority, and of the same by age.
func (r *rule) compare(o *rule) int {
	return cmp.Or(cmp.Compare(r.info.Priority, o.info.Priority), r.info.Created.Compare(o.info.Created), cmp.Compare(r.info.ID, o.info.ID))
}

// ruleRecord is a rule as the store keeps it.
type ruleRecord struct {
	Configuration
	Counter uint64 `json:"counter"`
}

func (r *rule) encode() []byte {
	b, _ := marshal(ruleRecord{r.info, r.counter}) // it was JSON before: cannot fail
	return b
}

func (c *Core) loadConfiguration(rec store.Record) error {
	var rr ruleRecord
	if err := json.Unmarshal(rec.Value, &rr); err != nil {
		return err
	}
	r, err := newRule("load configuration", &rr.Configuration)
	if err != nil {
		return err
	}
	r.counter = rr.Counter
	r.of = &configuration{id: r.info.ID, version: rec.Version}
	c.adoptRule(r)
	return nil
}
