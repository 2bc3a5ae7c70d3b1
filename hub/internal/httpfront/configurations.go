package httpfront

import (
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Configurations imitate the REST API's "Configuration": create, update, get, list, delete, test their
// queries, and apply a content to one device at once. PUT without If-Match creates, and with one
// updates; both answer 200.

// maxConfigurations is how many a list has at most, and how many without top: as many as there can be.
const maxConfigurations = 200

func (s *Server) getConfiguration(r *request) (*httpsx.Answer, error) {
	return r.withConfiguration(s.core.Configuration(r.http.Context(), r.Target.Name))
}

func (s *Server) putConfiguration(r *request) (*httpsx.Answer, error) {
	var v httpsx.Configuration
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if err := v.Check(r.Target.Name); err != nil {
		return nil, err
	}
	v.ID = r.Target.Name
	if r.IfMatch != "" {
		return r.withConfiguration(s.core.UpdateConfiguration(r.http.Context(), fromConfiguration(&v), r.IfMatch))
	}
	return r.withConfiguration(s.core.CreateConfiguration(r.http.Context(), fromConfiguration(&v)))
}

func (s *Server) deleteConfiguration(r *request) (*httpsx.Answer, error) {
	if err := s.core.DeleteConfiguration(r.http.Context(), r.Target.Name, r.IfMatch); err != nil {
		return nil, err
	}
	return noContent, nil
}

func (s *Server) listConfigurations(r *request) (*httpsx.Answer, error) {
	top := r.Top
	if top < 1 || top > maxConfigurations {
		top = maxConfigurations
	}
	list, err := s.core.Configurations(r.http.Context(), top)
	if err != nil {
		return nil, err
	}
	doc := make(httpsx.Configurations, len(list))
	for i, c := range list {
		doc[i] = *configurationDoc(c)
	}
	return r.with(doc, "")
}

func (s *Server) testConfigurationQueries(r *request) (*httpsx.Answer, error) {
	var v httpsx.ConfigurationQueries
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	condition, metrics := s.core.TestConfigurationQueries(v.TargetCondition, v.MetricQueries)
	return r.with(&httpsx.ConfigurationQueryErrors{TargetCondition: condition, MetricQueries: metrics}, "")
}

func (s *Server) applyConfiguration(r *request) (*httpsx.Answer, error) {
	var v httpsx.ConfigurationContent
	if err := r.decode(&v); err != nil {
		return nil, err
	}
	if err := v.Check(); err != nil {
		return nil, err
	}
	content := core.ConfigurationContent(v)
	if err := s.core.ApplyConfigurationContent(r.http.Context(), r.Target.Identity.DeviceID, &content); err != nil {
		return nil, err
	}
	return noContent, nil
}

func (r *request) withConfiguration(c *core.Configuration, err error) (*httpsx.Answer, error) {
	if err != nil {
		return nil, err
	}
	return r.with(configurationDoc(c), c.ETag)
}

// fromConfiguration is a configuration as the core takes it.
func fromConfiguration(v *httpsx.Configuration) *core.Configuration {
	return &core.Configuration{
		ID: v.ID, SchemaVersion: v.SchemaVersion, Labels: v.Labels, Content: core.ConfigurationContent(v.Content),
		TargetCondition: v.TargetCondition, Priority: v.Priority, Metrics: v.Metrics.Queries,
	}
}

// configurationDoc is a configuration as the REST API has it.
func configurationDoc(c *core.Configuration) *httpsx.Configuration {
	return &httpsx.Configuration{
		ID: c.ID, SchemaVersion: c.SchemaVersion, Labels: c.Labels, Content: httpsx.ConfigurationContent(c.Content),
		TargetCondition: c.TargetCondition, Priority: c.Priority,
		Created: httpsx.NewTime(c.Created), Updated: httpsx.NewTime(c.Updated),
		SystemMetrics: httpsx.ConfigurationMetrics{Results: c.SystemResults, Queries: c.SystemMetrics},
		Metrics:       httpsx.ConfigurationMetrics{Results: c.MetricResults, Queries: c.Metrics},
		ETag:          c.ETag,
	}
}
