// Command t9d-leaf-device is the sample "edge_downstream_client": a device that does not reach the hub, but a gateway
// (IoT Edge) that does. Its connection string names the gateway as GatewayHostName, and it trusts the gateway's
// root certificate.
//
//	go run ./examples/t9d-leaf-device
//
// It prints where the device dials, that each message is confirmed, what the back end reads of it, and that
// without the gateway's root certificate there is no connection. The gateway is part of the program (gateway.go).
// It speaks MQTT alone, and leads to the embedded hub, or to the one of a connection string.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/service"
)

func main() { site.Main(play) }

const (
	deviceID     = "t9d-leaf"
	gatewayName  = "t9d-gateway"
	messageCount = 2
)

func play(ctx context.Context, out io.Writer, s *site.Site) (err error) {
	connectionString, err := s.Device(ctx, deviceID)
	if err != nil {
		return err
	}
	defer s.Remove(ctx, deviceID, &err)
	events, err := s.FromNow(ctx)
	if err != nil {
		return err
	}
	g, root, err := openGateway(ctx, gatewayName, toHub(s))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()

	connectionString += ";GatewayHostName=" + gatewayName
	o := &device.Options{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}}
	o.TLSConfig.RootCAs.AddCert(root)
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) { // what DNS is for
		fmt.Fprintf(out, "device: dials %s\n", addr)
		return new(net.Dialer).DialContext(ctx, network, g.addr())
	}
	if err := send(ctx, out, connectionString, o); err != nil {
		return err
	}
	if err := read(ctx, out, s.Service, events); err != nil {
		return err
	}

	o.TLSConfig.RootCAs = x509.NewCertPool()
	_, err = device.Dial(ctx, connectionString, device.MQTT(nil), o)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		return fmt.Errorf("without the gateway's root certificate it ended with %w", err)
	}
	fmt.Fprintln(out, "device: without the gateway's root certificate, it does not connect")
	return nil
}

// toHub is how the gateway connects to the hub.
func toHub(s *site.Site) func(context.Context) (net.Conn, error) {
	hub := s.Options()
	return func(ctx context.Context) (net.Conn, error) {
		raw, err := hub.Dial(ctx, "tcp", net.JoinHostPort(s.Service.HostName(), "8883"))
		if err != nil {
			return nil, err
		}
		c := hub.TLSConfig.Clone()
		c.ServerName = s.Service.HostName()
		nc := tls.Client(raw, c)
		if err := nc.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, err
		}
		return nc, nil
	}
}

// send is the device. That there is a gateway makes no difference to what it does.
func send(ctx context.Context, out io.Writer, connectionString string, o *device.Options) (err error) {
	c, err := device.Dial(ctx, connectionString, device.MQTT(nil), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for i := range messageCount {
		if err := c.Send(ctx, &hubwire.Message{Body: fmt.Appendf(nil, "test message %d", i+1)}); err != nil {
			return err
		}
		fmt.Fprintf(out, "device: confirmation %d: OK\n", i+1)
	}
	return nil
}

// read is the back end.
func read(ctx context.Context, out io.Writer, c *service.Client, events *service.EventOptions) error {
	n := 0
	for ev, err := range c.Events(ctx, events) {
		if err != nil {
			return err
		}
		if ev.Source.DeviceID != deviceID || ev.MessageSource != service.SourceTelemetry {
			continue
		}
		fmt.Fprintf(out, "service: from %v: %s\n", ev.Source, ev.Body)
		if n++; n == messageCount {
			break
		}
	}
	return nil
}
