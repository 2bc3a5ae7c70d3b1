package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

func newServiceConfiguration(f *serviceFlags) *cobra.Command {
	return group(&cobra.Command{
		Use:     "configuration",
		Aliases: []string{"config"},
		Short:   "Automatic device configurations: create, get, list, update, delete, test, apply",
	}, newConfigurationCreate(f), newConfigurationGet(f), newConfigurationList(f), newConfigurationUpdate(f),
		newConfigurationDelete(f), newConfigurationTest(f), newConfigurationApply(f))
}

// configurationFlags are the flags of what can be said of a configuration.
type configurationFlags struct {
	content         string
	target          string
	priority        int
	labels, metrics []string
	etag            string
}

const contentUsage = `what it sets, JSON: {"deviceContent":{"properties.desired.led":"green"}}, or moduleContent, or modulesContent; "-" reads stdin`

func (x *configurationFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&x.target, "target", "", `which devices: what follows WHERE in a query, or "*" for all; empty for none`)
	fs.IntVar(&x.priority, "priority", 0, "the highest wins where several set the same")
	fs.StringArrayVar(&x.labels, "label", nil, "NAME=VALUE (repeatable)")
	x.addMetrics(c)
}

func (x *configurationFlags) addMetrics(c *cobra.Command) {
	c.Flags().StringArrayVar(&x.metrics, "metric", nil, "NAME=QUERY, whose rows are counted (repeatable)")
}

// change changes what the flags say of cfg.
func (x *configurationFlags) change(c *cobra.Command, cfg *service.Configuration) (err error) {
	fs := c.Flags()
	if fs.Changed("target") {
		cfg.TargetCondition = x.target
	}
	if fs.Changed("priority") {
		cfg.Priority = x.priority
	}
	if fs.Changed("label") {
		if cfg.Labels, err = pairs("label", x.labels); err != nil {
			return err
		}
	}
	if fs.Changed("metric") {
		cfg.Metrics.Queries, err = pairs("metric", x.metrics)
	}
	return err
}

// pairs reads the values NAME=VALUE of a flag.
func pairs(flag string, values []string) (map[string]string, error) {
	m := map[string]string{}
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %q is not NAME=VALUE", flag, v)
		}
		m[name] = value
	}
	return m, nil
}

// readContent reads the content that --content holds.
func (s *session) readContent(value string) (*service.ConfigurationContent, error) {
	text, err := argumentOrStdin(s.cmd, []string{value}, hubwire.MaxTelemetrySize, s.f.connectionString == "-")
	if err != nil {
		return nil, err
	}
	content := new(service.ConfigurationContent)
	if err := json.Unmarshal(text, content); err != nil {
		return nil, errors.New("--content is not an object of deviceContent, moduleContent or modulesContent")
	}
	return content, content.Check()
}

func newConfigurationCreate(f *serviceFlags) *cobra.Command {
	var x configurationFlags
	c := f.does(&cobra.Command{
		Use:   "create CONFIGURATION",
		Short: "Register a configuration, which the hub then applies to its targets",
		Example: `  hubwire service configuration create green --target "tags.room = 'cellar'" --priority 10 \
    --content '{"deviceContent":{"properties.desired.led":"green"}}' \
    --metric "green=SELECT deviceId FROM devices WHERE properties.reported.led = 'green'"`,
		Args: arguments("CONFIGURATION"),
	}, func(ctx context.Context, s *session, args []string) error {
		content, err := s.readContent(x.content)
		if err != nil {
			return err
		}
		cfg := &service.Configuration{ID: args[0], Content: *content}
		if err := x.change(s.cmd, cfg); err != nil {
			return err
		}
		if cfg, err = s.CreateConfiguration(ctx, cfg); err != nil {
			return err
		}
		return s.printConfiguration(cfg)
	})
	x.add(c)
	c.Flags().StringVar(&x.content, "content", "", contentUsage)
	_ = c.MarkFlagRequired("content")
	return c
}

func newConfigurationGet(f *serviceFlags) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "get CONFIGURATION",
		Short: "Print a configuration, with the results of its metrics",
		Args:  arguments("CONFIGURATION"),
	}, func(ctx context.Context, s *session, args []string) error {
		cfg, err := s.Configuration(ctx, args[0])
		if err != nil {
			return err
		}
		return s.printConfiguration(cfg)
	})
}

func newConfigurationList(f *serviceFlags) *cobra.Command {
	var top int
	c := f.does(&cobra.Command{
		Use:   "list",
		Short: "Print configurations, a line each",
		Args:  noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		all, err := s.Configurations(ctx, top)
		if err != nil {
			return err
		}
		return s.print(all, false, func(w io.Writer) {
			var rows [][]string
			for _, c := range all {
				rows = append(rows, []string{c.ID, fmt.Sprint(c.Priority), c.TargetCondition})
			}
			columns(w, []string{"configuration", "priority", "target"}, rows)
		})
	})
	c.Flags().IntVar(&top, "top", 0, "at most so many; 0 means as many as there may be")
	return c
}

func newConfigurationUpdate(f *serviceFlags) *cobra.Command {
	var x configurationFlags
	c := f.does(&cobra.Command{
		Use:   "update CONFIGURATION",
		Short: "Change target, priority, labels and metrics; what no flag names stays, and so does the content",
		Args:  arguments("CONFIGURATION"),
	}, func(ctx context.Context, s *session, args []string) error {
		cfg, err := s.Configuration(ctx, args[0])
		if err != nil {
			return err
		}
		if err := x.change(s.cmd, cfg); err != nil {
			return err
		}
		etag := x.etag
		if etag == service.Any {
			etag = cfg.ETag
		}
		if cfg, err = s.UpdateConfiguration(ctx, cfg, etag); err != nil {
			return err
		}
		return s.printConfiguration(cfg)
	})
	x.add(c)
	etagFlag(c, &x.etag)
	return c
}

func newConfigurationDelete(f *serviceFlags) *cobra.Command {
	var etag string
	c := f.does(&cobra.Command{
		Use:   "delete CONFIGURATION",
		Short: "Remove a configuration; what it has set stays",
		Args:  arguments("CONFIGURATION"),
	}, func(ctx context.Context, s *session, args []string) error {
		if err := s.DeleteConfiguration(ctx, args[0], etag); err != nil {
			return err
		}
		return s.say(map[string]string{"deleted": args[0]}, "deleted %s", args[0])
	})
	etagFlag(c, &etag)
	return c
}

func newConfigurationTest(f *serviceFlags) *cobra.Command {
	var x configurationFlags
	c := f.does(&cobra.Command{
		Use:   "test",
		Short: "Have the hub look at a target condition and at metrics",
		Args:  noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		metrics, err := pairs("metric", x.metrics)
		if err != nil {
			return err
		}
		wrong, err := s.TestConfigurationQueries(ctx, &service.ConfigurationQueries{TargetCondition: x.target, MetricQueries: metrics})
		if err != nil {
			return err
		}
		err = s.print(wrong, false, func(w io.Writer) {
			sheet(w, "target", wrong.TargetCondition)
			for _, name := range slices.Sorted(maps.Keys(wrong.MetricQueries)) {
				sheet(w, "metric "+name, wrong.MetricQueries[name])
			}
		})
		if wrong.TargetCondition != "" || len(wrong.MetricQueries) > 0 {
			err = errors.Join(err, errors.New("the hub does not understand all of that"))
		}
		return err
	})
	c.Flags().StringVar(&x.target, "target", "", "what follows WHERE in a query")
	x.addMetrics(c)
	return c
}

func newConfigurationApply(f *serviceFlags) *cobra.Command {
	var x configurationFlags
	c := f.does(&cobra.Command{
		Use:   "apply DEVICE",
		Short: "Set what a configuration with this content would set, on one device, once",
		Args:  arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		content, err := s.readContent(x.content)
		if err != nil {
			return err
		}
		if err := s.ApplyConfiguration(ctx, args[0], content); err != nil {
			return err
		}
		return s.say(map[string]string{"applied": args[0]}, "applied to %s", args[0])
	})
	c.Flags().StringVar(&x.content, "content", "", contentUsage)
	_ = c.MarkFlagRequired("content")
	return c
}

func (s *session) printConfiguration(cfg *service.Configuration) error {
	return s.print(cfg, false, func(w io.Writer) {
		sheet(w, "configuration", cfg.ID, "target", cfg.TargetCondition, "priority", fmt.Sprint(cfg.Priority),
			"created", timeText(cfg.Created.Time), "updated", timeText(cfg.Updated.Time), "etag", cfg.ETag)
		for _, name := range slices.Sorted(maps.Keys(cfg.Labels)) {
			sheet(w, "label "+name, cfg.Labels[name])
		}
		for _, results := range []map[string]int64{cfg.SystemMetrics.Results, cfg.Metrics.Results} {
			for _, name := range slices.Sorted(maps.Keys(results)) {
				sheet(w, "metric "+name, fmt.Sprint(results[name]))
			}
		}
	})
}
