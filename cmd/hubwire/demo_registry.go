package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

var registryFeatures = []feature{
	{name: "service: a device, created to deleted", service: byREST, run: registryDevice},
	{name: "service: a module, created to deleted", service: byREST, run: registryModule},
	{name: "service: keys made anew", service: byREST, run: registryKeys},
	{name: "service: a stale ETag is refused: 412", service: byREST, run: registryETag},
	{name: "service: a policy without the right is refused", service: byREST, needs: "the keys of other policies", run: registryPolicy},
}

// registryDevice creates, gets, updates and deletes a device, which each time comes in as it should.
func registryDevice(ctx context.Context, s *stage) error {
	id := s.newID()
	if _, err := s.service.Device(ctx, id); !errors.Is(err, hubwire.DeviceNotFound) {
		return fmt.Errorf("a device that is not there yet: %v", err)
	}
	d, err := s.service.CreateDevice(ctx, &service.Device{DeviceID: id, Status: service.Disabled, StatusReason: "not installed yet"})
	if err != nil {
		return err
	}
	s.removeLater(id)
	_, err = s.service.CreateDevice(ctx, &service.Device{DeviceID: id})
	if err := refusedWith(err, "a second device of the same id", hubwire.DeviceAlreadyExists); err != nil {
		return err
	}
	a := &actor{hubwire.Identity{DeviceID: id}, connectionStringOf(s.service, hubwire.Identity{DeviceID: id}, &d.Authentication)}
	_, err = s.connect(ctx, a)
	if err := refusedWith(err, "a disabled device", hubwire.Unauthorized, hubwire.DeviceDisabled); err != nil {
		return err
	}
	d.Status, d.StatusReason = service.Enabled, ""
	updated, err := s.service.UpdateDevice(ctx, d, d.ETag)
	if err != nil {
		return err
	}
	c, err := s.connect(ctx, a)
	if err != nil {
		return fmt.Errorf("enabled: %w", err)
	}
	if err := errors.Join(s.works(ctx, c), s.awaitState(ctx, a.id, service.Connected)); err != nil {
		return err
	}
	got, err := s.service.Device(ctx, id)
	if err != nil {
		return err
	}
	if err := errors.Join(
		same("the generation", got.GenerationID, d.GenerationID),
		same("the status", got.Status, service.Enabled),
		same("the key is the one of the beginning", got.Authentication.SymmetricKey.Primary.Reveal() == d.Authentication.SymmetricKey.Primary.Reveal(), true),
		same("the ETag", got.ETag, updated.ETag),
	); err != nil {
		return err
	}
	if err := s.service.DeleteDevice(ctx, id, got.ETag); err != nil {
		return err
	}
	_, err = s.connect(ctx, a)
	return refusedWith(err, "a deleted device", hubwire.Unauthorized, hubwire.DeviceNotFound)
}

func registryModule(ctx context.Context, s *stage) error {
	d, err := s.device(ctx)
	if err != nil {
		return err
	}
	id := hubwire.Identity{DeviceID: d.id.DeviceID, ModuleID: "meter"}
	m, err := s.service.CreateModule(ctx, &service.Module{DeviceID: id.DeviceID, ModuleID: id.ModuleID})
	if err != nil {
		return err
	}
	a := &actor{id, connectionStringOf(s.service, id, &m.Authentication)}
	c, err := s.connect(ctx, a)
	if err != nil {
		return err
	}
	if err := s.works(ctx, c); err != nil {
		return err
	}
	m.ManagedBy = "the demo"
	if m, err = s.service.UpdateModule(ctx, m, m.ETag); err != nil {
		return err
	}
	all, err := s.service.Modules(ctx, id.DeviceID)
	if err != nil {
		return err
	}
	if err := same("the number of modules", len(all), 1); err != nil {
		return err
	}
	if err := errors.Join(same("the module's id", all[0].ModuleID, id.ModuleID), same("who manages it", all[0].ManagedBy, "the demo")); err != nil {
		return err
	}
	if err := s.service.DeleteModule(ctx, id, m.ETag); err != nil {
		return err
	}
	_, err = s.service.Module(ctx, id)
	if err := refusedWith(err, "a deleted module", hubwire.ModuleNotFound); err != nil {
		return err
	}
	_, err = s.connect(ctx, a)
	return refusedWith(err, "a connection of a deleted module", hubwire.Unauthorized, hubwire.ModuleNotFound)
}

func registryKeys(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	result, err := s.service.RegenerateKeys(ctx, service.BothKeys, a.id, hubwire.Identity{DeviceID: s.newID()})
	if err != nil {
		return err
	}
	if err := errors.Join(same("the number of devices with new keys", len(result.Rotated), 1), same("the number of failures", len(result.Errors), 1)); err != nil {
		return err
	}
	_, err = s.connect(ctx, a)
	if err := refusedWith(err, "the old key", hubwire.Unauthorized); err != nil {
		return err
	}
	fresh := service.Authentication{SymmetricKey: result.Rotated[0].SymmetricKey, Type: service.AuthenticateSAS}
	c, err := s.connect(ctx, &actor{a.id, connectionStringOf(s.service, a.id, &fresh)})
	if err != nil {
		return fmt.Errorf("with the new key: %w", err)
	}
	return s.works(ctx, c)
}

// registryETag has two who write at once, of whom the second must not win unawares.
func registryETag(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	d, err := s.service.Device(ctx, a.id.DeviceID)
	if err != nil {
		return err
	}
	mine, theirs := *d, *d
	theirs.StatusReason = "theirs"
	if _, err := s.service.UpdateDevice(ctx, &theirs, d.ETag); err != nil {
		return err
	}
	mine.StatusReason = "mine"
	_, err = s.service.UpdateDevice(ctx, &mine, d.ETag)
	if err := refusedWith(err, "an update under a stale ETag", hubwire.PreconditionFailed); err != nil {
		return err
	}
	if err := refusedWith(s.service.DeleteDevice(ctx, d.DeviceID, d.ETag), "a delete under a stale ETag", hubwire.PreconditionFailed); err != nil {
		return err
	}
	twin, err := s.service.Twin(ctx, a.id)
	if err != nil {
		return err
	}
	if err := s.setDesired(ctx, a.id, `{"whose":"theirs"}`); err != nil {
		return err
	}
	_, err = s.service.PatchTwin(ctx, a.id, &service.TwinUpdate{Desired: []byte(`{"whose":"mine"}`)}, twin.ETag)
	if err := refusedWith(err, "a patch under a stale ETag", hubwire.PreconditionFailed); err != nil {
		return err
	}
	now, err := s.service.Device(ctx, d.DeviceID)
	if err != nil {
		return err
	}
	after, err := s.service.Twin(ctx, a.id)
	if err != nil {
		return err
	}
	return errors.Join(same("the reason", now.StatusReason, "theirs"), sameJSON("desired", after.Desired.JSON, `{"whose":"theirs"}`))
}

// registryPolicy asks by a policy that may read the registry, and nothing else.
func registryPolicy(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	text, err := s.embedded.PolicyConnectionString("registryRead")
	if err != nil {
		return err
	}
	reader, err := s.way.service(text)
	if err != nil {
		return err
	}
	s.later(func(context.Context) error { return reader.Close() })
	if _, err := reader.Device(ctx, a.id.DeviceID); err != nil {
		return fmt.Errorf("what the policy may do: %w", err)
	}
	if err := refusedWith(reader.DeleteDevice(ctx, a.id.DeviceID, service.Any), "a delete by registryRead", hubwire.Unauthorized, hubwire.UnauthorizedAccess); err != nil {
		return err
	}
	_, err = reader.Invoke(ctx, a.id, hubwire.MethodRequest{Name: "m"}, nil)
	if err := refusedWith(err, "a method by registryRead", hubwire.Unauthorized, hubwire.UnauthorizedAccess); err != nil {
		return err
	}
	_, err = s.service.Device(ctx, a.id.DeviceID)
	return err
}
