package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// serviceModuleFlag adds the flag --module-id.
func serviceModuleFlag(c *cobra.Command, id *string) {
	c.Flags().StringVar(id, "module-id", "", "of this module of the device")
}

func newServiceTwin(f *serviceFlags) *cobra.Command {
	return group(&cobra.Command{
		Use:   "twin",
		Short: "The twins of devices and modules: get, patch, replace",
	}, newServiceTwinGet(f), newServiceTwinPatch(f), newServiceTwinReplace(f))
}

func newServiceTwinGet(f *serviceFlags) *cobra.Command {
	var module string
	c := f.does(&cobra.Command{
		Use:   "get DEVICE",
		Short: "Print a twin as JSON",
		Args:  arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		tw, err := s.Twin(ctx, hubwire.Identity{DeviceID: args[0], ModuleID: module})
		if err != nil {
			return err
		}
		return printJSON(s.out, tw)
	})
	serviceModuleFlag(c, &module)
	return c
}

// twinFlags are the flags of what writes a twin.
type twinFlags struct {
	module        string
	tags, desired string
	etag          string
}

func (t *twinFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&t.tags, "tags", "", "a JSON object")
	fs.StringVar(&t.desired, "desired", "", "a JSON object: desired properties")
}

// update reads the flags. There has to be one of them.
func (t *twinFlags) update(s *session) (*service.TwinUpdate, error) {
	tags, err := s.object("tags", t.tags)
	if err != nil {
		return nil, err
	}
	desired, err := s.object("desired", t.desired)
	if err != nil {
		return nil, err
	}
	if tags == nil && desired == nil {
		return nil, errors.New("what is to be written? Say --desired, --tags or both")
	}
	return &service.TwinUpdate{Tags: tags, Desired: desired}, nil
}

func newServiceTwinPatch(f *serviceFlags) *cobra.Command {
	return twinWriter(f, &cobra.Command{
		Use:     "patch DEVICE",
		Short:   "Merge into tags and desired properties; null deletes",
		Example: `  hubwire service twin patch pump --desired '{"interval":60}' --tags '{"room":"cellar"}'`,
	}, (*service.Client).PatchTwin)
}

func newServiceTwinReplace(f *serviceFlags) *cobra.Command {
	return twinWriter(f, &cobra.Command{
		Use:   "replace DEVICE",
		Short: "Write tags and desired properties anew; what no flag names becomes empty",
	}, (*service.Client).ReplaceTwin)
}

// twinWriter completes a command that writes a twin.
func twinWriter(
	f *serviceFlags, c *cobra.Command,
	write func(*service.Client, context.Context, hubwire.Identity, *service.TwinUpdate, string) (*service.Twin, error),
) *cobra.Command {
	var t twinFlags
	c.Args = arguments("DEVICE")
	f.does(c, func(ctx context.Context, s *session, args []string) error {
		u, err := t.update(s)
		if err != nil {
			return err
		}
		tw, err := write(s.Client, ctx, hubwire.Identity{DeviceID: args[0], ModuleID: t.module}, u, t.etag)
		if err != nil {
			return err
		}
		return s.say(tw, "written; version %d of the desired properties, etag %s", tw.Desired.Version, tw.ETag)
	})
	t.add(c)
	serviceModuleFlag(c, &t.module)
	etagFlag(c, &t.etag)
	return c
}

func newServiceQuery(f *serviceFlags) *cobra.Command {
	var o service.QueryOptions
	var top int
	c := f.does(&cobra.Command{
		Use:   "query QUERY",
		Short: "Print the rows of a query, a line of JSON each",
		Long: `Print the rows of a query in IoT Hub's query language, a line of JSON each, or with
--json one array. They come page by page, as they are printed.`,
		Example: `  hubwire service query "SELECT deviceId, tags.room AS room FROM devices WHERE tags.room = 'cellar'"
  hubwire service query "SELECT COUNT() AS n FROM devices WHERE properties.reported.connectivity = 'cellular'"`,
		Args: arguments("QUERY"),
	}, func(ctx context.Context, s *session, args []string) error {
		if o.PageSize < 0 || top < 0 {
			return fmt.Errorf("--page-size is %d, --top is %d", o.PageSize, top)
		}
		return s.printRows(s.Query(ctx, args[0], &o), top)
	})
	fs := c.Flags()
	fs.IntVar(&o.PageSize, "page-size", 0, "how many rows to ask for at a time; 0 leaves it to the hub")
	fs.IntVar(&top, "top", 0, "at most so many rows; 0 means all")
	return c
}

// printRows prints rows as they come, top at most when that is not 0.
func (s *session) printRows(rows func(func(json.RawMessage, error) bool), top int) error {
	open, between, end, none := "", "\n", "\n", ""
	if s.f.json {
		open, between, end, none = "[\n", ",\n", "\n]\n", "[]\n"
	}
	n := 0
	for row, err := range rows {
		if err != nil {
			return err
		}
		before := between
		if n == 0 {
			before = open
		}
		if _, err := fmt.Fprintf(s.out, "%s%s", before, row); err != nil {
			return err
		}
		if n++; n == top {
			break
		}
	}
	if n == 0 {
		end = none
	}
	_, err := io.WriteString(s.out, end)
	return err
}

// invokeFlags are the time-outs of a method.
func invokeFlags(c *cobra.Command, o *service.InvokeOptions) {
	c.Flags().DurationVar(&o.ConnectTimeout, "connect-timeout", 0, "how long to wait for a device that is away, in whole seconds, at most 300s")
	c.Flags().DurationVar(&o.ResponseTimeout, "response-timeout", 0, "how long to wait for its answer, 5s to 300s; 0 means 30s")
}

// methodCall is the method of arguments: its name, and its payload if there is one.
func methodCall(args []string) (hubwire.MethodRequest, error) {
	call := hubwire.MethodRequest{Name: args[0]}
	if len(args) > 1 {
		call.Payload = json.RawMessage(args[1])
		if !json.Valid(call.Payload) {
			return call, errors.New("PAYLOAD is not JSON")
		}
	}
	return call, nil
}

func newServiceMethod(f *serviceFlags) *cobra.Command {
	var o service.InvokeOptions
	var module, component string
	var command bool
	c := f.does(&cobra.Command{
		Use:   "method DEVICE METHOD [PAYLOAD]",
		Short: "Call a direct method of a device or module, and print its answer",
		Long: `Call a direct method of a device or module, and print its answer: the status that the
device gives, whatever it is, and its payload. The payloads are JSON.

With --command it is a command of a Plug and Play device, or of one of its components.`,
		Example: `  hubwire service method pump reboot '{"delay":3}' --connect-timeout 10s`,
		Args:    arguments("DEVICE", "METHOD", "[PAYLOAD]"),
	}, func(ctx context.Context, s *session, args []string) error {
		call, err := methodCall(args[1:])
		switch {
		case err != nil:
			return err
		case component != "" && !command:
			return errors.New("--component needs --command")
		case module != "" && command:
			return errors.New("--module-id and --command exclude each other")
		}
		var answer *hubwire.MethodResponse
		if command {
			answer, err = s.InvokeCommand(ctx, args[0], component, call, &o)
		} else {
			answer, err = s.Invoke(ctx, hubwire.Identity{DeviceID: args[0], ModuleID: module}, call, &o)
		}
		if err != nil {
			return err
		}
		payload := answer.Payload
		if payload == nil {
			payload = json.RawMessage("null")
		}
		return s.say(map[string]any{"status": answer.Status, "payload": payload}, "%d %s", answer.Status, bodyText(payload))
	})
	serviceModuleFlag(c, &module)
	invokeFlags(c, &o)
	c.Flags().BoolVar(&command, "command", false, "it is a command of the digital twin")
	c.Flags().StringVar(&component, "component", "", "with --command: of this component")
	return c
}
