package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// serverName is whom the certificate of a server here is for.
const serverName = "localhost"

// listen opens a server's two doors on free ports of this machine alone, and
// has serve deal with each connection in a goroutine of its own.
func listen(serve func(net.Conn)) (door, error) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return door{}, err
	}
	secret, d, err := listenTLS()
	if err != nil {
		return door{}, err
	}
	for _, l := range []net.Listener{plain, secret} {
		go accept(l, serve)
	}
	d.TCP = plain.Addr().String()
	return d, nil
}

// listenTLS opens a door that has TLS.
func listenTLS() (net.Listener, door, error) {
	cfg, ca, err := newServerTLS()
	if err != nil {
		return nil, door{}, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		return nil, door{}, err
	}
	return l, door{TLS: l.Addr().String(), CA: ca}, nil
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			serve(nc)
		}()
	}
}

// newServerTLS makes a configuration for TLS 1.3, with a P-256 certificate that
// signs itself, and is returned as PEM.
func newServerTLS() (*tls.Config, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		DNSNames:              []string{serverName},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS13,
	}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// clientConfigs has the configuration for each door's CA.
var clientConfigs sync.Map

// clientTLS is the configuration of the clients of d: one for all of this
// process, as in any program that has many connections.
func (d door) clientTLS() (*tls.Config, error) {
	if cfg, ok := clientConfigs.Load(string(d.CA)); ok {
		return cfg.(*tls.Config), nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(d.CA) {
		return nil, errors.New("the door's certificate is none")
	}
	cfg := &tls.Config{RootCAs: pool, ServerName: serverName, MinVersion: tls.VersionTLS13}
	clientConfigs.Store(string(d.CA), cfg)
	return cfg, nil
}

// addr is where a client of s connects to.
func (s setup) addr() string {
	if s.TLS {
		return s.Door.TLS
	}
	return s.Door.TCP
}

// dial connects a client of s to its server.
func (s setup) dial() (net.Conn, error) {
	nc, err := net.Dial("tcp", s.addr())
	if err != nil || !s.TLS {
		return nc, err
	}
	cfg, err := s.Door.clientTLS()
	if err != nil {
		return nil, err
	}
	tc := tls.Client(nc, cfg)
	if err := tc.Handshake(); err != nil {
		nc.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return tc, nil
}
