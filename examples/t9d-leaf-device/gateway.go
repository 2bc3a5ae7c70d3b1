package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"time"
)

// gateway stands where an IoT Edge device would: it has a certificate of its own, and hands on what comes over MQTT,
// from whichever device, as it is. (IoT Edge's hub does more: it looks at tokens, keeps messages while
// the hub is away, and routes them.)
type gateway struct {
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error) // to the hub
	end      context.CancelFunc
	serving  sync.WaitGroup
}

// openGateway begins to listen on this machine. root is its certificate, which devices have to trust.
func openGateway(ctx context.Context, name string, dial func(context.Context) (net.Conn, error)) (g *gateway, root *x509.Certificate, err error) {
	cert, err := selfSigned(name)
	if err != nil {
		return nil, nil, err
	}
	ctx, end := context.WithCancel(ctx)
	g = &gateway{dial: dial, end: end}
	g.listener, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		end()
		return nil, nil, err
	}
	g.serving.Go(func() {
		for {
			device, err := g.listener.Accept()
			if err != nil {
				return // it is closed
			}
			g.serving.Go(func() { g.serve(ctx, device) })
		}
	})
	return g, cert.Leaf, nil
}

// addr is where it listens.
func (g *gateway) addr() string { return g.listener.Addr().String() }

// serve hands on what a device and the hub send, until one of them, or the gateway, ends it.
func (g *gateway) serve(ctx context.Context, device net.Conn) {
	defer device.Close()
	if device.(*tls.Conn).HandshakeContext(ctx) != nil {
		return // a device that does not trust it
	}
	hub, err := g.dial(ctx)
	if err != nil {
		return // the device sees that the connection ends, and comes again
	}
	closeBoth := func() { device.Close(); hub.Close() }
	defer closeBoth()
	defer context.AfterFunc(ctx, closeBoth)()
	g.serving.Go(func() {
		defer closeBoth()
		_, _ = io.Copy(device, hub) // the end of one is the end of the other
	})
	_, _ = io.Copy(hub, device)
}

// close ends it, with all its connections.
func (g *gateway) close() error {
	g.end()
	err := g.listener.Close()
	g.serving.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func selfSigned(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
