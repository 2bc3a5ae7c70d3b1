package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/service"
)

// stage is where one cell plays: a protocol, and devices of its own, so that
// cells do not meet. What it opened is cleared away at the end.
type stage struct {
	*venue
	protocol protocol
	back     *backEnd
	prefix   string // of device ids
	devices  int
	lock     time.Duration // of messages over HTTPS; 0 for the hub's own
	undo     []func(context.Context) error
}

func (v *venue) newStage(x feature, p protocol) *stage {
	plain := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, x.name)
	return &stage{venue: v, protocol: p, back: v.backEndOf(p.name), prefix: fmt.Sprintf("%s%s-%s", v.prefix(), plain, p.name)}
}

// clear undoes what the stage did, the last first.
func (s *stage) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.grace)
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(s.undo) {
		if err := f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("clearing up: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (s *stage) later(f func(context.Context) error) { s.undo = append(s.undo, f) }

// actor is a device or module that is registered for this cell.
type actor struct {
	id               hubwire.Identity
	connectionString string
}

// device registers a device with keys.
func (s *stage) device(ctx context.Context) (*actor, error) {
	return s.deviceBy(ctx, service.Authentication{})
}

func (s *stage) deviceBy(ctx context.Context, a service.Authentication) (*actor, error) {
	id := hubwire.Identity{DeviceID: s.newID()}
	cs, err := register(ctx, s.service, id, a)
	if err != nil {
		return nil, err
	}
	s.removeLater(id.DeviceID)
	return &actor{id, cs}, nil
}

// newID returns the id of a device that is still to be registered.
func (s *stage) newID() string {
	s.devices++
	return fmt.Sprintf("%s-%d", s.prefix, s.devices)
}

// removeLater removes a device at the end, if it is still there.
func (s *stage) removeLater(deviceID string) {
	s.later(func(ctx context.Context) error {
		err := s.service.DeleteDevice(ctx, deviceID, service.Any)
		if errors.Is(err, hubwire.DeviceNotFound) {
			return nil
		}
		return err
	})
}

// module registers a device and a module of it with keys.
func (s *stage) module(ctx context.Context) (*actor, error) {
	d, err := s.device(ctx)
	if err != nil {
		return nil, err
	}
	id := hubwire.Identity{DeviceID: d.id.DeviceID, ModuleID: "module"}
	cs, err := register(ctx, s.service, id, service.Authentication{})
	return &actor{id, cs}, err // goes with its device
}

// party is a connected actor.
type party struct {
	*device.Client
	id     hubwire.Identity
	wire   *wire
	states *stateLog
}

// connect connects an actor by the stage's protocol.
func (s *stage) connect(ctx context.Context, a *actor) (*party, error) {
	return s.connectWith(ctx, a, device.MQTTOptions{}, device.Options{})
}

func (s *stage) connectWith(ctx context.Context, a *actor, m device.MQTTOptions, o device.Options) (*party, error) {
	cred, err := device.CredentialsFromConnectionString(a.connectionString)
	if err != nil {
		return nil, err
	}
	return s.dial(ctx, a, cred, m, o)
}

// connectByCertificate connects an actor that has no key.
func (s *stage) connectByCertificate(ctx context.Context, a *actor, cert *tls.Certificate) (*party, error) {
	cred, err := device.CredentialsFromConnectionString(a.connectionString)
	if err != nil {
		return nil, err
	}
	cred.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	return s.dial(ctx, a, cred, device.MQTTOptions{}, device.Options{})
}

func (s *stage) dial(ctx context.Context, a *actor, cred device.Credentials, m device.MQTTOptions, o device.Options) (*party, error) {
	p := &party{id: a.id, wire: &wire{open: s.way.dial}, states: newStateLog()}
	o.Dial, o.TLSConfig, o.ProductInfo = p.wire.dial, s.way.tls, "demo"
	o.Hooks = &device.Hooks{State: p.states.add}
	o.CloseTimeout = s.grace // a machine that is busy is not a fault of the protocol
	t := transportOptions{mqtt: m, https: device.HTTPSOptions{PollInterval: 50 * time.Millisecond, LockTimeout: s.lock}}
	var err error
	if p.Client, err = device.DialCredentials(ctx, cred, s.protocol.open(t), &o); err != nil {
		return nil, err
	}
	s.later(func(context.Context) error { return p.Close() })
	return p, nil
}

// connected registers a device and connects it.
func (s *stage) connected(ctx context.Context) (*party, error) {
	a, err := s.device(ctx)
	if err != nil {
		return nil, err
	}
	return s.connect(ctx, a)
}
