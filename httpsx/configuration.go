package httpsx

import (
	"encoding/json"

	"github.com/hubwire/hubwire"
)

// Configuration is an automatic device configuration, or with content for edge modules a
// deployment: the body of [PutConfiguration] and the answer of all that is done with
// configurations. ID and Content cannot be changed later. What the hub sets (Created, Updated,
// SystemMetrics, the results of Metrics, ETag) is ignored in a request.
// Source: REST, "Configuration - Get"; IoT Hub developer guide, "Automatic device management".
type Configuration struct {
	ID              string               `json:"id"`                 // at most 128 characters, in lower case
	SchemaVersion   string               `json:"schemaVersion"`      // "1.0"
	Labels          map[string]string    `json:"labels"`             // for people and queries
	Content         ConfigurationContent `json:"content"`            // what it sets; it cannot change
	TargetCondition string               `json:"targetCondition"`    // which devices: what follows WHERE in a query, or "*"
	Priority        int                  `json:"priority"`           // the highest wins where several set the same
	Created         Time                 `json:"createdTimeUtc"`     // set by the hub
	Updated         Time                 `json:"lastUpdatedTimeUtc"` // set by the hub
	SystemMetrics   ConfigurationMetrics `json:"systemMetrics"`      // the hub's own: how many are targeted, and applied
	Metrics         ConfigurationMetrics `json:"metrics"`            // the user's
	ETag            string               `json:"etag"`               // for conditional writes
}

// ConfigurationContent is what a configuration sets, and the body of [ApplyConfiguration]: exactly
// one of its three. Keys of the inner maps are paths of desired properties, as
// "properties.desired.led".
type ConfigurationContent struct {
	Device  map[string]json.RawMessage            `json:"deviceContent,omitzero"`  // of devices
	Module  map[string]json.RawMessage            `json:"moduleContent,omitzero"`  // of modules that the condition is about
	Modules map[string]map[string]json.RawMessage `json:"modulesContent,omitzero"` // of an edge device, by their ids
}

// Check reports whether c is one of its three; beside it the others may be there when they are
// empty. The error is an [*hubwire.Error] with code [hubwire.InvalidConfigurationContent].
func (c *ConfigurationContent) Check() error {
	if c == nil {
		c = &ConfigurationContent{}
	}
	full := count(len(c.Device) > 0, len(c.Module) > 0, len(c.Modules) > 0)
	if full == 0 {
		full = count(c.Device != nil, c.Module != nil, c.Modules != nil)
	}
	if full == 1 {
		return nil
	}
	return refused(ApplyConfiguration, hubwire.InvalidConfigurationContent, "content has %d of deviceContent, moduleContent and modulesContent, not one", full)
}

func count(bs ...bool) (n int) {
	for _, b := range bs {
		if b {
			n++
		}
	}
	return n
}

// ConfigurationMetrics are queries that are run now and then, and how many devices each found.
type ConfigurationMetrics struct {
	Results map[string]int64  `json:"results"` // how many devices, by the name of the metric
	Queries map[string]string `json:"queries"` // by the name of the metric
}

func (c *Configuration) append(dst []byte, full bool) []byte {
	o := open(dst, full)
	o.str("id", c.ID)
	o.str("schemaVersion", c.SchemaVersion)
	if full || len(c.Labels) > 0 {
		o.any("labels", nonNilMap(c.Labels))
	}
	o.any("content", c.Content)
	o.str("targetCondition", c.TargetCondition)
	o.full = true // 0 is a priority
	o.int("priority", int64(c.Priority))
	o.full = full
	o.time("createdTimeUtc", c.Created)
	o.time("lastUpdatedTimeUtc", c.Updated)
	o.metrics("systemMetrics", c.SystemMetrics)
	o.metrics("metrics", c.Metrics)
	o.str("etag", c.ETag)
	return o.close()
}

func (o *object) metrics(name string, m ConfigurationMetrics) {
	if o.full || len(m.Results)+len(m.Queries) > 0 {
		o.any(name, ConfigurationMetrics{nonNilMap(m.Results), nonNilMap(m.Queries)})
	}
}

// nonNilMap makes an object that is not there an empty one.
func nonNilMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Check reports whether c can be what [PutConfiguration] registers as id, the one of the path. The
// error is an [*hubwire.Error] that names the member. The content, the condition and the metrics
// are for the hub to judge.
func (c *Configuration) Check(id string) error {
	if c != nil && (c.ID == "" || c.ID == id) {
		return nil
	}
	if c == nil {
		return refused(PutConfiguration, hubwire.ArgumentInvalid, "there is no configuration")
	}
	return refused(PutConfiguration, hubwire.ArgumentInvalid, "id %.140q is not the %.140q of the path", c.ID, id)
}

// Configurations is the answer of [ListConfigurations].
type Configurations []Configuration

func (cs Configurations) append(dst []byte, full bool) []byte { return appendAll(dst, cs, full) }

// ConfigurationQueries is the body of [TestConfigurationQueries].
type ConfigurationQueries struct {
	TargetCondition string            `json:"targetCondition"`     // as in [Configuration]
	MetricQueries   map[string]string `json:"customMetricQueries"` // by the name of the metric
}

// ConfigurationQueryErrors is the answer of [TestConfigurationQueries]: what is wrong with
// the condition, and with each of the queries that something is wrong with.
type ConfigurationQueryErrors struct {
	TargetCondition string            `json:"targetConditionError"`    // empty, on the wire null, when nothing is
	MetricQueries   map[string]string `json:"customMetricQueryErrors"` // by the name of the metric; only of those at fault
}

func (e *ConfigurationQueryErrors) append(dst []byte, _ bool) []byte {
	o := open(dst, true)
	o.strOrNull("targetConditionError", e.TargetCondition)
	o.any("customMetricQueryErrors", nonNilMap(e.MetricQueries))
	return o.close()
}
