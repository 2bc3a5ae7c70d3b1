// Package site is where the examples play: on an embedded hub, or on one that
// exists. It is what they share, so that each shows only what it is about.
package site

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

// Site is a hub and the way to it.
type Site struct {
	// Service is the back end's client, by the hub's policy iothubowner; ServiceWS is one that speaks AMQP
	// in a WebSocket.
	Service, ServiceWS *service.Client

	// Hub is the embedded hub, or nil when there is another.
	Hub *hub.Hub

	owns bool // Hub
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	tls  *tls.Config
}

// Embedded starts a hub of its own.
func Embedded(ctx context.Context, cfg *hub.Config) (*Site, error) {
	h, err := hub.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s, err := On(h)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	s.owns = true
	return s, nil
}

// On plays on a hub that runs in this process.
func On(h *hub.Hub) (*Site, error) {
	owner, err := h.PolicyConnectionString("iothubowner")
	if err != nil {
		return nil, err
	}
	return at(owner, &Site{Hub: h, dial: h.Dial, tls: h.ClientTLS()})
}

// At plays on the hub of a connection string, of its policy iothubowner. A hub that hubwire hub runs is found by
// the variables of its env file.
func At(owner string) (*Site, error) {
	cs, err := sas.ParseConnectionString(owner)
	if err != nil {
		return nil, err
	}
	s := &Site{dial: (&net.Dialer{Timeout: 30 * time.Second}).DialContext, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if !strings.EqualFold(cs.HostName, os.Getenv("HUBWIRE_HOST")) {
		return at(owner, s)
	}
	pem, err := os.ReadFile(os.Getenv("HUBWIRE_CA_FILE"))
	if err != nil {
		return nil, fmt.Errorf("HUBWIRE_CA_FILE: %w", err)
	}
	s.dial, s.tls.RootCAs = dialLocal, x509.NewCertPool()
	s.tls.RootCAs.AppendCertsFromPEM(pem)
	return at(owner, s)
}

// dialLocal connects to the port on this machine that stands for a protocol's own.
func dialLocal(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	switch port {
	case "8883":
		port = os.Getenv("HUBWIRE_MQTT_PORT")
	case "5671":
		port = os.Getenv("HUBWIRE_AMQP_PORT")
	case "443":
		port = os.Getenv("HUBWIRE_HTTPS_PORT")
	}
	var d net.Dialer
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

func at(owner string, s *Site) (*Site, error) {
	o := service.Options{Dial: s.dial, TLSConfig: s.tls, ProductInfo: "example"}
	var err error
	if s.Service, err = service.New(owner, &o); err != nil {
		return nil, err
	}
	o.AMQPWebSocket = true
	s.ServiceWS, err = service.New(owner, &o)
	return s, err
}

// Close ends what Embedded, On or At began.
func (s *Site) Close() error {
	err := errors.Join(s.Service.Close(), s.ServiceWS.Close())
	if s.owns {
		err = errors.Join(err, s.Hub.Close())
	}
	return err
}

// Device registers a device with keys, and returns its connection string.
func (s *Site) Device(ctx context.Context, deviceID string) (string, error) {
	d, err := s.Service.CreateDevice(ctx, &service.Device{DeviceID: deviceID})
	if err != nil {
		return "", err
	}
	return s.connectionString(hubwire.Identity{DeviceID: deviceID}, &d.Authentication), nil
}

// Module registers a module of a device, and returns its connection string.
func (s *Site) Module(ctx context.Context, id hubwire.Identity) (string, error) {
	m, err := s.Service.CreateModule(ctx, &service.Module{DeviceID: id.DeviceID, ModuleID: id.ModuleID})
	if err != nil {
		return "", err
	}
	return s.connectionString(id, &m.Authentication), nil
}

func (s *Site) connectionString(id hubwire.Identity, a *service.Authentication) string {
	cs := sas.ConnectionString{
		Kind: sas.KindDevice, HostName: s.Service.HostName(), DeviceID: id.DeviceID, ModuleID: id.ModuleID,
		SharedAccessKey: a.SymmetricKey.Primary,
	}
	return string(cs.AppendTo(nil))
}

// Remove removes a device with its modules, also when ctx has ended, and adds what goes wrong to err.
func (s *Site) Remove(ctx context.Context, deviceID string, err *error) {
	*err = errors.Join(*err, s.Service.DeleteDevice(context.WithoutCancel(ctx), deviceID, service.Any))
}

// FromNow has a reader of events begin with what comes from now on, whenever it begins. What an earlier run of
// an example has left is not of interest.
func (s *Site) FromNow(ctx context.Context) (*service.EventOptions, error) {
	info, err := s.Service.EventHubInfo(ctx)
	if err != nil {
		return nil, err
	}
	o := &service.EventOptions{Starts: map[string]service.EventStart{}}
	for _, id := range info.Partitions {
		p, err := s.Service.PartitionInfo(ctx, id)
		if err != nil {
			return nil, err
		}
		if p.LastSequence >= 0 { // else there was none yet
			o.Starts[id] = service.EventStart{At: service.AtOffset, Offset: p.LastOffset}
		}
	}
	return o, nil
}

// Options are what a device needs to find the hub. For one in Azure they can be nil.
func (s *Site) Options() *device.Options {
	return &device.Options{Dial: s.dial, TLSConfig: s.tls, ProductInfo: "example"}
}

// Await calls done again and again until it is, for queries of a hub that is slow to see what was written.
func Await(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
