package service

import (
	"context"

	"github.com/hubwire/hubwire/httpsx"
)

// CreateConfiguration registers an automatic device management configuration, or with content for
// edge modules a deployment. The hub applies it to all devices, now and later, that its target
// condition holds for. Codes: ConfigurationAlreadyExists, InvalidConfigurationCondition,
// InvalidConfigurationContent, InvalidConfigurationMetricsQuery, TooManyConfigurations,
// ArgumentInvalid.
func (c *Client) CreateConfiguration(ctx context.Context, cfg *Configuration) (*Configuration, error) {
	r, err := putConfiguration(cfg)
	if err != nil {
		return nil, err
	}
	return ask[Configuration](ctx, c, r)
}

// UpdateConfiguration changes labels, target condition, priority and metrics; the content cannot be
// changed. etag is that of the Configuration which was got, or [Any]. Codes: ConfigurationNotFound,
// PreconditionFailed, ImmutableConfigurationContent and those of [Client.CreateConfiguration].
func (c *Client) UpdateConfiguration(ctx context.Context, cfg *Configuration, etag string) (*Configuration, error) {
	r, err := putConfiguration(cfg)
	if err != nil {
		return nil, err
	}
	return askIf[Configuration](ctx, c, r, etag)
}

func putConfiguration(cfg *Configuration) (*request, error) {
	if cfg == nil {
		return nil, invalid(httpsx.PutConfiguration.String(), "there is no configuration")
	}
	return named(httpsx.PutConfiguration, cfg.ID).with(cfg), nil
}

// Configuration returns a configuration, with the results of its metrics. Code: ConfigurationNotFound.
func (c *Client) Configuration(ctx context.Context, id string) (*Configuration, error) {
	return ask[Configuration](ctx, c, named(httpsx.GetConfiguration, id))
}

// Configurations returns at most top configurations. 0 means as many as there may be.
func (c *Client) Configurations(ctx context.Context, top int) ([]Configuration, error) {
	r := named(httpsx.ListConfigurations, "")
	r.Top = top
	return askAll[httpsx.Configurations](ctx, c, r)
}

// DeleteConfiguration removes a configuration; what it has set stays. etag is that of
// the Configuration which was got, or [Any]. Codes: ConfigurationNotFound, PreconditionFailed.
func (c *Client) DeleteConfiguration(ctx context.Context, id, etag string) error {
	return c.delete(ctx, named(httpsx.DeleteConfiguration, id), etag)
}

// TestConfigurationQueries has the hub look at a target condition and at metrics. What is wrong
// with them is in the result.
func (c *Client) TestConfigurationQueries(ctx context.Context, q *ConfigurationQueries) (*ConfigurationQueryErrors, error) {
	if q == nil {
		return nil, invalid(httpsx.TestConfigurationQueries.String(), "there are no queries")
	}
	return ask[ConfigurationQueryErrors](ctx, c, named(httpsx.TestConfigurationQueries, "").with(q))
}

// ApplyConfiguration sets the desired properties of one device, or of the modules of an edge device, as
// a configuration with this content would, once and at once. Codes: DeviceNotFound,
// InvalidConfigurationContent, ConfigurationBeingApplied.
func (c *Client) ApplyConfiguration(ctx context.Context, deviceID string, content *ConfigurationContent) error {
	if err := content.Check(); err != nil {
		return unsent(err)
	}
	_, err := c.do(ctx, ofDevice(httpsx.ApplyConfiguration, deviceID).with(content))
	return err
}
