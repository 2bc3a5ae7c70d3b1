package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

var accessFeatures = []feature{
	{name: "a wrong key is refused", run: accessWrongKey},
	{name: "a disabled device is cut off", run: accessDisabled},
	{name: "X.509 by thumbprint", run: accessThumbprint},
	// The SDKs' readmes: certificates of an authority do not work over WebSockets and HTTPS.
	{name: "X.509 by an authority", needs: "an authority that the hub has verified", lacks: []string{overMQTTWS, overAMQPWS, overHTTPS}, run: accessAuthority},
}

func accessWrongKey(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	other, err := s.device(ctx)
	if err != nil {
		return err
	}
	cs, err := sas.ParseConnectionString(other.connectionString)
	if err != nil {
		return err
	}
	cs.DeviceID = a.id.DeviceID
	_, err = s.connect(ctx, &actor{a.id, string(cs.AppendTo(nil))})
	if err := refusedWith(err, "a key of another device", hubwire.Unauthorized); err != nil {
		return err
	}
	if s.embedded != nil {
		if err := same("the device is connected", s.embedded.Connected(a.id), false); err != nil {
			return err
		}
	}
	c, err := s.connect(ctx, a)
	if err != nil {
		return fmt.Errorf("with its own key: %w", err)
	}
	return s.works(ctx, c)
}

// works reports whether a client can do something on its hub.
func (s *stage) works(ctx context.Context, c *party) error {
	if s.protocol.name == overHTTPS {
		return c.Send(ctx, &hubwire.Message{Body: []byte("it works")})
	}
	_, err := c.Twin(ctx)
	return err
}

func accessDisabled(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	if err := s.works(ctx, c); err != nil {
		return err
	}
	return s.disable(ctx, c)
}

// disable disables a device and waits until its client has ended.
func (s *stage) disable(ctx context.Context, c *party) error {
	d, err := s.service.Device(ctx, c.id.DeviceID)
	if err != nil {
		return err
	}
	d.Status = service.Disabled
	if _, err := s.service.UpdateDevice(ctx, d, d.ETag); err != nil {
		return err
	}
	if s.protocol.name == overHTTPS { // where a device hears of it when it asks for something
		if err := s.works(ctx, c); err == nil {
			return errors.New("a disabled device can send")
		}
	}
	select {
	case <-c.Done():
		return refusedWith(c.Err(), "a disabled device", hubwire.Unauthorized, hubwire.DeviceDisabled)
	case <-ctx.Done():
		return fmt.Errorf("the client lives on: %w", ctx.Err())
	}
}

func accessThumbprint(ctx context.Context, s *stage) error {
	own, err := issue("any name", nil)
	if err != nil {
		return err
	}
	a, err := s.deviceBy(ctx, service.Authentication{
		Type: service.AuthenticateSelfSigned, X509Thumbprint: service.Thumbprints{Primary: fingerprint(own)},
	})
	if err != nil {
		return err
	}
	other, err := issue("any name", nil)
	if err != nil {
		return err
	}
	return s.byCertificate(ctx, a, own, other)
}

func accessAuthority(ctx context.Context, s *stage) error {
	a, err := s.deviceBy(ctx, service.Authentication{Type: service.AuthenticateCA})
	if err != nil {
		return err
	}
	own, err := issue(a.id.DeviceID, s.root)
	if err != nil {
		return err
	}
	other, err := issue("another device", s.root)
	if err != nil {
		return err
	}
	return s.byCertificate(ctx, a, own, other)
}

// byCertificate lets a device in by its own certificate and not by another.
func (s *stage) byCertificate(ctx context.Context, a *actor, own, other *tls.Certificate) error {
	_, err := s.connectByCertificate(ctx, a, other)
	if err := refusedWith(err, "another certificate", hubwire.Unauthorized); err != nil {
		return err
	}
	c, err := s.connectByCertificate(ctx, a, own)
	if err != nil {
		return err
	}
	if err := c.Send(ctx, &hubwire.Message{Body: []byte("hello")}); err != nil {
		return err
	}
	ev, err := s.events(a.id).next(ctx)
	if err != nil {
		return err
	}
	if !strings.Contains(ev.AuthMethod, "x509") {
		return fmt.Errorf("the hub says that it logged in by %s", ev.AuthMethod)
	}
	return errors.Join(same("the body", string(ev.Body), "hello"), same("the state", c.State(), device.Connected))
}
