package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

func newServiceModule(f *serviceFlags) *cobra.Command {
	var show bool
	c := group(&cobra.Command{
		Use:   "module",
		Short: "The modules of a device: create, get, list, update, delete",
	}, newModuleCreate(f, &show), newModuleGet(f, &show), newModuleList(f, &show), newModuleUpdate(f, &show), newModuleDelete(f))
	c.PersistentFlags().BoolVar(&show, "show-keys", false, "show keys, and the connection string")
	return c
}

func (i *identityFlags) changeModule(c *cobra.Command, m *service.Module) error {
	if c.Flags().Changed("managed-by") {
		m.ManagedBy = i.managed
	}
	return i.authentication(c, &m.Authentication)
}

func (i *identityFlags) addManagedBy(c *cobra.Command) {
	c.Flags().StringVar(&i.managed, "managed-by", "", "who manages it, such as IotEdge")
}

func newModuleCreate(f *serviceFlags, show *bool) *cobra.Command {
	var i identityFlags
	c := f.does(&cobra.Command{
		Use:   "create DEVICE MODULE",
		Short: "Register a module of a device",
		Args:  arguments("DEVICE", "MODULE"),
	}, func(ctx context.Context, s *session, args []string) error {
		m := &service.Module{DeviceID: args[0], ModuleID: args[1]}
		if err := i.changeModule(s.cmd, m); err != nil {
			return err
		}
		m, err := s.CreateModule(ctx, m)
		if err != nil {
			return err
		}
		return s.printModule(m, *show)
	})
	i.addAuthentication(c)
	i.addManagedBy(c)
	return c
}

func newModuleGet(f *serviceFlags, show *bool) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "get DEVICE MODULE",
		Short: "Print what is registered of a module",
		Args:  arguments("DEVICE", "MODULE"),
	}, func(ctx context.Context, s *session, args []string) error {
		m, err := s.Module(ctx, hubwire.Identity{DeviceID: args[0], ModuleID: args[1]})
		if err != nil {
			return err
		}
		return s.printModule(m, *show)
	})
}

func newModuleList(f *serviceFlags, show *bool) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "list DEVICE",
		Short: "Print the modules of a device, a line each",
		Args:  arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		all, err := s.Modules(ctx, args[0])
		if err != nil {
			return err
		}
		return s.print(all, *show, func(w io.Writer) {
			var rows [][]string
			for _, m := range all {
				rows = append(rows, []string{m.ModuleID, string(m.ConnectionState), string(m.Authentication.Type), m.ManagedBy, timeText(m.LastActivity.Time)})
			}
			columns(w, []string{"module", "connection", "auth", "managed by", "last activity"}, rows)
		})
	})
}

func newModuleUpdate(f *serviceFlags, show *bool) *cobra.Command {
	var i identityFlags
	c := f.does(&cobra.Command{
		Use:   "update DEVICE MODULE",
		Short: "Change what is registered of a module; what no flag names stays",
		Args:  arguments("DEVICE", "MODULE"),
	}, func(ctx context.Context, s *session, args []string) error {
		m, err := s.Module(ctx, hubwire.Identity{DeviceID: args[0], ModuleID: args[1]})
		if err != nil {
			return err
		}
		if err := i.changeModule(s.cmd, m); err != nil {
			return err
		}
		if m, err = s.UpdateModule(ctx, m, i.match(m.ETag)); err != nil {
			return err
		}
		return s.printModule(m, *show)
	})
	i.addAuthentication(c)
	i.addManagedBy(c)
	etagFlag(c, &i.etag)
	return c
}

func newModuleDelete(f *serviceFlags) *cobra.Command {
	var etag string
	c := f.does(&cobra.Command{
		Use:   "delete DEVICE MODULE",
		Short: "Remove a module with its twin and the messages for it",
		Args:  arguments("DEVICE", "MODULE"),
	}, func(ctx context.Context, s *session, args []string) error {
		id := hubwire.Identity{DeviceID: args[0], ModuleID: args[1]}
		if err := s.DeleteModule(ctx, id, etag); err != nil {
			return err
		}
		return s.say(map[string]string{"deleted": id.String()}, "deleted %s", id)
	})
	etagFlag(c, &etag)
	return c
}

func (s *session) printModule(m *service.Module, show bool) error {
	return s.print(m, show, func(w io.Writer) {
		sheet(w, "device", m.DeviceID, "module", m.ModuleID, "managed by", m.ManagedBy, "connection", string(m.ConnectionState),
			"last activity", timeText(m.LastActivity.Time), "generation", m.GenerationID, "etag", m.ETag)
		s.sheetAuthentication(w, hubwire.Identity{DeviceID: m.DeviceID, ModuleID: m.ModuleID}, &m.Authentication, show)
	})
}
