package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

func newDeviceTwin(d *deviceFlags) *cobra.Command {
	return group(&cobra.Command{
		Use:   "twin",
		Short: "Read, report and watch the twin",
	}, newTwinGet(d), newTwinReport(d), newTwinWatch(d))
}

func newTwinGet(d *deviceFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "get",
		Short: "Print the desired and reported properties as JSON",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			client, err := d.dial(c, device.FeatureTwin)
			if err != nil {
				return err
			}
			defer closing(client, &err)
			twin, err := client.Twin(c.Context())
			if err != nil {
				return err
			}
			return printTwin(c.OutOrStdout(), twin)
		},
	}
}

// printTwin writes a twin in the form that the hub sends it to a device.
func printTwin(w io.Writer, t *hubwire.Twin) error {
	doc := map[string]map[string]json.RawMessage{}
	for name, section := range map[string]hubwire.TwinSection{"desired": t.Desired, "reported": t.Reported} {
		members := map[string]json.RawMessage{}
		if err := section.Decode(&members); err != nil {
			return err
		}
		members["$version"] = fmt.Append(nil, section.Version)
		doc[name] = members
	}
	return printJSON(w, doc)
}

// printJSON writes v as people read it.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLine writes v as programs read it, on one line.
func printLine(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func newTwinReport(d *deviceFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "report [JSON]",
		Short: "Patch the reported properties",
		Long: `Patch the reported properties: a JSON object that is merged into them, in which
null deletes. It is the argument; without one, or with "-", it is what stdin has.`,
		Example: `  hubwire device twin report --device-id dev-1 '{"connectivity":"cellular"}'`,
		Args:    maxArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			patch, err := argumentOrStdin(c, args, hubwire.MaxTelemetrySize, d.connectionString == "-")
			if err != nil {
				return err
			}
			client, err := d.dial(c, device.FeatureTwin)
			if err != nil {
				return err
			}
			defer closing(client, &err)
			version, err := client.Report(c.Context(), json.RawMessage(patch))
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "reported; version %d\n", version)
			return nil
		},
	}
}

func newTwinWatch(d *deviceFlags) *cobra.Command {
	var count int
	c := &cobra.Command{
		Use:   "watch",
		Short: "Print the desired properties, then each change",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if count < 0 {
				return fmt.Errorf("--count is %d", count)
			}
			client, err := d.dial(c, device.FeatureTwin)
			if err != nil {
				return err
			}
			defer closing(client, &err)
			fmt.Fprintln(c.ErrOrStderr(), "waiting for changes")
			return untilInterrupted(c.Context(), count == 0, watch(c.Context(), c.OutOrStdout(), client, count))
		},
	}
	c.Flags().IntVar(&count, "count", 0, "end after so many, the whole properties being the first; 0 means when interrupted")
	return c
}

func watch(ctx context.Context, w io.Writer, client *device.Client, count int) error {
	n := 0
	for change, err := range client.Desired(ctx) {
		if err != nil {
			return err
		}
		what := "changed"
		if change.Full {
			what = "whole"
		}
		if _, err := fmt.Fprintf(w, "version %d, %s: %s\n", change.Version, what, change.JSON); err != nil {
			return err
		}
		if n++; n == count {
			break
		}
	}
	return nil
}
