// Command t9f-registry is the samples "iothub_registrymanager_sample" and "iothub_registrymanager_modules_sample": a
// back end that registers devices with a key, with the thumbprint of a certificate and with an authority, reads,
// changes, lists and counts them, does the same with a module, and deletes all.
//
//	go run ./examples/t9f-registry
//
// It prints what the registry has after each step; keys never print. Beside the samples, a change that somebody
// else has overtaken is refused, by its ETag, and what is not there is an error that says so. Update of an identity
// in the old packages replaced keys, status and all, whatever had happened since.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

const withKey, withThumbprint, withCA = "t9f-key", "t9f-thumbprint", "t9f-ca"

var deviceIDs = []string{withKey, withThumbprint, withCA}

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	r := &registry{out, s.Service}
	defer func() { err = errors.Join(err, r.clear(context.WithoutCancel(ctx))) }()
	if err := r.create(ctx); err != nil {
		return err
	}
	if err := r.update(ctx); err != nil {
		return err
	}
	if err := r.list(ctx); err != nil {
		return err
	}
	if err := r.modules(ctx); err != nil {
		return err
	}
	return r.delete(ctx)
}

// registry is the back end.
type registry struct {
	out io.Writer
	c   *service.Client
}

// show prints an identity, but for its keys and times.
func (r *registry) show(step string, d *service.Device) {
	fmt.Fprintf(r.out, "%s: %s, %s, authenticates by %s, %s\n", step, d.DeviceID, d.Status, d.Authentication.Type, d.ConnectionState)
}

func (r *registry) create(ctx context.Context) error {
	devices := []service.Device{{DeviceID: withKey}, {DeviceID: withThumbprint}, {DeviceID: withCA}}
	a := &devices[0].Authentication // its zero value would have the hub make keys
	a.Type, a.SymmetricKey = service.AuthenticateSAS, service.SymmetricKey{Primary: key("one"), Secondary: key("two")}
	a = &devices[1].Authentication
	a.Type = service.AuthenticateSelfSigned
	a.X509Thumbprint = service.Thumbprints{Primary: strings.Repeat("0A", 20), Secondary: strings.Repeat("0B", 20)}
	devices[2].Authentication.Type = service.AuthenticateCA
	for _, d := range devices {
		created, err := r.c.CreateDevice(ctx, &d)
		if err != nil {
			return err
		}
		r.show("created", created)
	}
	_, err := r.c.CreateDevice(ctx, &devices[0])
	if !errors.Is(err, hubwire.DeviceAlreadyExists) {
		return fmt.Errorf("a device that is there was created again: %w", err)
	}
	fmt.Fprintf(r.out, "%s is not created again\n", withKey)
	return nil
}

// key makes a key of a text, as nobody should; rand.Read has better ones.
func key(text string) sas.Secret {
	return sas.NewSecret(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%032s", text)))
}

// update gives a device another key and disables it: all that it has, with the ETag of what was read.
func (r *registry) update(ctx context.Context) error {
	d, err := r.c.Device(ctx, withKey)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%s has the key that it was given: %t\n", withKey, d.Authentication.SymmetricKey.Primary.Equal(key("one")))
	stale := d.ETag
	d.Status, d.StatusReason = service.Disabled, "it is being repaired"
	d.Authentication.SymmetricKey.Primary = key("three")
	if d, err = r.c.UpdateDevice(ctx, d, d.ETag); err != nil {
		return err
	}
	r.show("updated", d)
	fmt.Fprintf(r.out, "%s has another key: %t\n", withKey, d.Authentication.SymmetricKey.Primary.Equal(key("three")))
	_, err = r.c.UpdateDevice(ctx, d, stale)
	if !errors.Is(err, hubwire.PreconditionFailed) {
		return fmt.Errorf("a change under a stale ETag ended with %w", err)
	}
	fmt.Fprintln(r.out, "a change under the old ETag is refused")
	return nil
}

// list prints those of the first thousand that are ours, and how many there are.
func (r *registry) list(ctx context.Context) error {
	all, err := r.c.Devices(ctx, 1000)
	if err != nil {
		return err
	}
	for _, d := range all {
		if strings.HasPrefix(d.DeviceID, "t9f-") {
			r.show("listed", &d)
		}
	}
	n, err := r.c.DeviceStatistics(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "the hub has %d devices, %d enabled, %d disabled\n", n.Total, n.Enabled, n.Disabled)
	return nil
}

// modules does all of that with a module.
func (r *registry) modules(ctx context.Context) error {
	m, err := r.c.CreateModule(ctx, &service.Module{DeviceID: withKey, ModuleID: "thermometer"})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "created the module %s/%s, with keys that the hub made: %t\n", m.DeviceID, m.ModuleID, !m.Authentication.SymmetricKey.Primary.IsZero())
	m.ManagedBy = "somebody"
	if _, err := r.c.UpdateModule(ctx, m, m.ETag); err != nil {
		return err
	}
	all, err := r.c.Modules(ctx, withKey)
	if err != nil {
		return err
	}
	for _, m := range all {
		fmt.Fprintf(r.out, "listed: the module %s/%s, managed by %s\n", m.DeviceID, m.ModuleID, m.ManagedBy)
	}
	id := hubwire.Identity{DeviceID: withKey, ModuleID: "thermometer"}
	if err := r.c.DeleteModule(ctx, id, service.Any); err != nil {
		return err
	}
	_, err = r.c.Module(ctx, id)
	if !errors.Is(err, hubwire.ModuleNotFound) {
		return fmt.Errorf("a module that was deleted: %w", err)
	}
	fmt.Fprintln(r.out, "deleted the module")
	return nil
}

func (r *registry) delete(ctx context.Context) error {
	for _, id := range deviceIDs {
		if err := r.c.DeleteDevice(ctx, id, service.Any); err != nil {
			return err
		}
		_, err := r.c.Device(ctx, id)
		if !errors.Is(err, hubwire.DeviceNotFound) {
			return fmt.Errorf("a device that was deleted: %w", err)
		}
		fmt.Fprintf(r.out, "deleted %s\n", id)
	}
	return nil
}

// clear deletes what an error has left.
func (r *registry) clear(ctx context.Context) (err error) {
	for _, id := range deviceIDs {
		if e := r.c.DeleteDevice(ctx, id, service.Any); e != nil && !errors.Is(e, hubwire.DeviceNotFound) {
			err = errors.Join(err, e)
		}
	}
	return err
}
