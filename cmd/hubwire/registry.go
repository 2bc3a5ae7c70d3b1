package main

import (
	"context"
	"errors"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

// service returns the client of the service's side of a hub, for the connection
// string of a shared access policy of it.
func (r *reach) service(policy string) (*service.Client, error) {
	return service.New(policy, r.serviceOptions(false))
}

// serviceOptions are for AMQP as it is, or in a WebSocket.
func (r *reach) serviceOptions(webSocket bool) *service.Options {
	return &service.Options{Dial: r.dial, TLSConfig: r.tls, ProductInfo: "cli", AMQPWebSocket: webSocket}
}

// register registers an identity and returns its connection string. The zero
// authentication has the hub make keys.
func register(ctx context.Context, c *service.Client, id hubwire.Identity, a service.Authentication) (string, error) {
	if id.IsModule() {
		m, err := c.CreateModule(ctx, &service.Module{DeviceID: id.DeviceID, ModuleID: id.ModuleID, Authentication: a})
		if err != nil {
			return "", err
		}
		return connectionStringOf(c, id, &m.Authentication), nil
	}
	d, err := c.CreateDevice(ctx, &service.Device{DeviceID: id.DeviceID, Authentication: a})
	if err != nil {
		return "", err
	}
	return connectionStringOf(c, id, &d.Authentication), nil
}

// registered returns the connection string of an identity that there is.
func registered(ctx context.Context, c *service.Client, id hubwire.Identity) (string, error) {
	if id.IsModule() {
		m, err := c.Module(ctx, id)
		if err != nil {
			return "", err
		}
		return connectionStringOf(c, id, &m.Authentication), nil
	}
	d, err := c.Device(ctx, id.DeviceID)
	if err != nil {
		return "", err
	}
	return connectionStringOf(c, id, &d.Authentication), nil
}

// ensure returns the connection string of an identity, and registers it, and its
// device, when they are missing.
func ensure(ctx context.Context, c *service.Client, id hubwire.Identity) (string, error) {
	s, err := registered(ctx, c, id)
	switch {
	case id.IsModule() && errors.Is(err, hubwire.DeviceNotFound):
		if _, err := register(ctx, c, hubwire.Identity{DeviceID: id.DeviceID}, service.Authentication{}); err != nil {
			return "", err
		}
	case errors.Is(err, hubwire.DeviceNotFound), errors.Is(err, hubwire.ModuleNotFound):
	default:
		return s, err
	}
	return register(ctx, c, id, service.Authentication{})
}

// connectionStringOf returns the connection string of an identity of c's hub.
func connectionStringOf(c *service.Client, id hubwire.Identity, a *service.Authentication) string {
	cs := sas.ConnectionString{Kind: sas.KindDevice, HostName: c.HostName(), DeviceID: id.DeviceID, ModuleID: id.ModuleID}
	if a.Type.Is(service.AuthenticateSAS) {
		cs.SharedAccessKey = a.SymmetricKey.Primary
	} else {
		cs.X509 = true
	}
	return string(cs.AppendTo(nil))
}
