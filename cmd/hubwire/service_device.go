package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

func newServiceDevice(f *serviceFlags) *cobra.Command {
	var show bool
	c := group(&cobra.Command{
		Use:   "device",
		Short: "The registry of devices: create, get, list, update, delete, keys, bulk, purge, statistics",
	}, newDeviceCreate(f, &show), newDeviceGet(f, &show), newDeviceList(f, &show), newDeviceUpdate(f, &show), newDeviceDelete(f),
		newDeviceKeys(f, &show), newDeviceBulk(f), newDevicePurge(f), newDeviceStatistics(f))
	c.PersistentFlags().BoolVar(&show, "show-keys", false, "show keys, and the connection string")
	return c
}

// identityFlags are the flags of what can be said of a device or module.
type identityFlags struct {
	auth                    string
	primary, secondary      string // keys
	thumbprint, secondThumb string
	status, reason          string // of a device
	edge                    bool   // of a device
	managed                 string // of a module
	etag                    string
}

// authentications are the values of --auth.
var authentications = map[string]service.AuthenticationType{
	"sas": service.AuthenticateSAS, "thumbprint": service.AuthenticateSelfSigned, "ca": service.AuthenticateCA, "none": service.AuthenticateNone,
}

func (i *identityFlags) addAuthentication(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&i.auth, "auth", "sas", "how it proves who it is: sas (a key), thumbprint or ca (a certificate), none")
	fs.StringVar(&i.primary, "primary-key", "", "its key, base64; the hub makes what is not given"+secretUsage)
	fs.StringVar(&i.secondary, "secondary-key", "", "the other key"+secretUsage)
	fs.StringVar(&i.thumbprint, "thumbprint", "", "of its certificate, hex digits, with --auth thumbprint")
	fs.StringVar(&i.secondThumb, "secondary-thumbprint", "", "of its other certificate")
}

func (i *identityFlags) addStatus(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&i.status, "status", "enabled", "enabled or disabled")
	fs.StringVar(&i.reason, "status-reason", "", "why, for people")
}

// authentication changes what the flags say of a.
func (i *identityFlags) authentication(c *cobra.Command, a *service.Authentication) error {
	fs := c.Flags()
	if fs.Changed("auth") {
		t, ok := authentications[i.auth]
		if !ok {
			return fmt.Errorf("--auth %q is none of sas, thumbprint, ca, none", i.auth)
		}
		a.Type = t
	}
	for _, k := range []struct {
		flag, value string
		to          *sas.Secret
	}{{"primary-key", i.primary, &a.SymmetricKey.Primary}, {"secondary-key", i.secondary, &a.SymmetricKey.Secondary}} {
		if !fs.Changed(k.flag) {
			continue
		}
		key, err := readSecret(c, "--"+k.flag, k.value)
		if err != nil {
			return err
		}
		*k.to = key
	}
	for _, t := range []struct {
		flag, value string
		to          *string
	}{{"thumbprint", i.thumbprint, &a.X509Thumbprint.Primary}, {"secondary-thumbprint", i.secondThumb, &a.X509Thumbprint.Secondary}} {
		if fs.Changed(t.flag) {
			*t.to = t.value
		}
	}
	switch thumbprints := a.X509Thumbprint != (service.Thumbprints{}); {
	case a.Type.Is(service.AuthenticateSelfSigned) && !thumbprints:
		return errors.New("--auth thumbprint needs --thumbprint")
	case !a.Type.Is(service.AuthenticateSelfSigned) && (fs.Changed("thumbprint") || fs.Changed("secondary-thumbprint")):
		return errors.New("--thumbprint needs --auth thumbprint")
	}
	return nil
}

func (i *identityFlags) change(c *cobra.Command, d *service.Device) error {
	if c.Flags().Changed("status") {
		d.Status = service.Status(i.status)
		if !d.Status.Is(service.Enabled) && !d.Status.Is(service.Disabled) {
			return fmt.Errorf("--status %q is neither enabled nor disabled", i.status)
		}
	}
	if c.Flags().Changed("status-reason") {
		d.StatusReason = i.reason
	}
	return i.authentication(c, &d.Authentication)
}

func newDeviceCreate(f *serviceFlags, show *bool) *cobra.Command {
	var i identityFlags
	c := f.does(&cobra.Command{
		Use:     "create DEVICE",
		Short:   "Register a device",
		Example: "  hubwire service device create pump --show-keys",
		Args:    arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		d := &service.Device{DeviceID: args[0]}
		d.Capabilities.IotEdge = i.edge
		if err := i.change(s.cmd, d); err != nil {
			return err
		}
		d, err := s.CreateDevice(ctx, d)
		if err != nil {
			return err
		}
		return s.printDevice(d, *show)
	})
	i.addAuthentication(c)
	i.addStatus(c)
	c.Flags().BoolVar(&i.edge, "edge", false, "it is an IoT Edge device")
	return c
}

func newDeviceGet(f *serviceFlags, show *bool) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "get DEVICE",
		Short: "Print what is registered of a device",
		Args:  arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		d, err := s.Device(ctx, args[0])
		if err != nil {
			return err
		}
		return s.printDevice(d, *show)
	})
}

func newDeviceList(f *serviceFlags, show *bool) *cobra.Command {
	var top int
	c := f.does(&cobra.Command{
		Use:   "list",
		Short: "Print devices, a line each",
		Long: `Print devices, a line each, in no order: 1000 at most, which is all that IoT Hub
lists. For more there is hubwire service query.`,
		Args: noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		all, err := s.Devices(ctx, top)
		if err != nil {
			return err
		}
		return s.print(all, *show, func(w io.Writer) {
			var rows [][]string
			for _, d := range all {
				rows = append(rows, []string{d.DeviceID, string(d.Status), string(d.ConnectionState), string(d.Authentication.Type), timeText(d.LastActivity.Time)})
			}
			columns(w, []string{"device", "status", "connection", "auth", "last activity"}, rows)
		})
	})
	c.Flags().IntVar(&top, "top", 0, "at most so many; 0 means 1000")
	return c
}

func newDeviceUpdate(f *serviceFlags, show *bool) *cobra.Command {
	var i identityFlags
	c := f.does(&cobra.Command{
		Use:     "update DEVICE",
		Short:   "Change what is registered of a device; what no flag names stays",
		Example: "  hubwire service device update pump --status disabled --status-reason stolen",
		Args:    arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		d, err := s.Device(ctx, args[0])
		if err != nil {
			return err
		}
		if err := i.change(s.cmd, d); err != nil {
			return err
		}
		if d, err = s.UpdateDevice(ctx, d, i.match(d.ETag)); err != nil {
			return err
		}
		return s.printDevice(d, *show)
	})
	i.addAuthentication(c)
	i.addStatus(c)
	etagFlag(c, &i.etag)
	return c
}

// match is the ETag for a change of what was read just now, so that a change in between is not lost.
func (i *identityFlags) match(read string) string {
	if i.etag == service.Any {
		return read
	}
	return i.etag
}

func newDeviceDelete(f *serviceFlags) *cobra.Command {
	var etag string
	c := f.does(&cobra.Command{
		Use:   "delete DEVICE",
		Short: "Remove a device with its modules, its twin and the messages for it",
		Args:  arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		if err := s.DeleteDevice(ctx, args[0], etag); err != nil {
			return err
		}
		return s.say(map[string]string{"deleted": args[0]}, "deleted %s", args[0])
	})
	etagFlag(c, &etag)
	return c
}

// policyKeys are the values of --which.
var policyKeys = map[string]service.PolicyKey{"primary": service.PrimaryKey, "secondary": service.SecondaryKey, "both": service.BothKeys}

func newDeviceKeys(f *serviceFlags, show *bool) *cobra.Command {
	var which string
	c := f.does(&cobra.Command{
		Use:   "keys DEVICE…",
		Short: "Have the hub make new keys for devices",
		Args:  arguments("DEVICE…"),
	}, func(ctx context.Context, s *session, args []string) error {
		key, ok := policyKeys[which]
		if !ok {
			return fmt.Errorf("--which %q is none of primary, secondary, both", which)
		}
		ids := make([]hubwire.Identity, len(args))
		for i, id := range args {
			ids[i] = hubwire.Identity{DeviceID: id}
		}
		result, err := s.RegenerateKeys(ctx, key, ids...)
		if err != nil {
			return err
		}
		err = s.print(result, *show, func(w io.Writer) {
			for _, r := range result.Rotated {
				sheet(w, "device", r.ID)
				if *show {
					sheet(w, "primary key", r.Primary.Reveal(), "secondary key", r.Secondary.Reveal())
				}
			}
		})
		for _, e := range result.Errors {
			err = errors.Join(err, fmt.Errorf("%s: %s %s", printable(e.ID), hubwire.Code(e.Code).Name(), printable(e.Status)))
		}
		return err
	})
	c.Flags().StringVar(&which, "which", "primary", "the key: primary, secondary, or both")
	return c
}

func newDevicePurge(f *serviceFlags) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "purge DEVICE",
		Short: "Remove the messages that wait for a device",
		Args:  arguments("DEVICE"),
	}, func(ctx context.Context, s *session, args []string) error {
		n, err := s.PurgeQueue(ctx, args[0])
		if err != nil {
			return err
		}
		return s.say(map[string]any{"deviceId": args[0], "totalMessagesPurged": n}, "purged %s", plural(n, "message"))
	})
}

func newDeviceStatistics(f *serviceFlags) *cobra.Command {
	return f.does(&cobra.Command{
		Use:   "statistics",
		Short: "Count the devices, by their status, and those that are connected",
		Args:  noArgs,
	}, func(ctx context.Context, s *session, _ []string) error {
		d, err := s.DeviceStatistics(ctx)
		if err != nil {
			return err
		}
		online, err := s.ServiceStatistics(ctx)
		if err != nil {
			return err
		}
		both := struct {
			service.DeviceStatistics
			service.ServiceStatistics
		}{*d, *online}
		return s.print(both, false, func(w io.Writer) {
			sheet(w, "devices", fmt.Sprint(d.Total), "enabled", fmt.Sprint(d.Enabled), "disabled", fmt.Sprint(d.Disabled), "connected", fmt.Sprint(online.Connected))
		})
	})
}

func (s *session) printDevice(d *service.Device, show bool) error {
	return s.print(d, show, func(w io.Writer) {
		edge := ""
		if d.Capabilities.IotEdge {
			edge = "yes"
		}
		sheet(w, "device", d.DeviceID, "status", string(d.Status), "status reason", d.StatusReason, "edge", edge,
			"connection", string(d.ConnectionState), "last activity", timeText(d.LastActivity.Time),
			"messages waiting", fmt.Sprint(d.C2DCount), "generation", d.GenerationID, "etag", d.ETag)
		s.sheetAuthentication(w, hubwire.Identity{DeviceID: d.DeviceID}, &d.Authentication, show)
	})
}

// sheetAuthentication writes how an identity proves who it is, with its keys when show is set.
func (s *session) sheetAuthentication(w io.Writer, id hubwire.Identity, a *service.Authentication, show bool) {
	sheet(w, "auth", string(a.Type), "thumbprint", a.X509Thumbprint.Primary, "secondary thumbprint", a.X509Thumbprint.Secondary)
	if show {
		sheet(w, "primary key", a.SymmetricKey.Primary.Reveal(), "secondary key", a.SymmetricKey.Secondary.Reveal(),
			"connection string", connectionStringOf(s.Client, id, a))
	}
}
