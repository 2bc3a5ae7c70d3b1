package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// dialFunc has the form of [net.Dialer.DialContext].
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// reach is the way to a hub: how to dial it and whom to trust.
type reach struct {
	dial dialFunc
	tls  *tls.Config
}

// dialTimeout bounds the opening of a network connection.
const dialTimeout = 30 * time.Second

// localPlace is what the environment says of a hub on this machine.
func localPlace() *place {
	p := new(place)
	for _, v := range p.vars() {
		*v.value = os.Getenv(v.name)
	}
	return p
}

// envFileUsage is the usage of --env-file, where a hub is looked for.
const envFileUsage = "the env file of hubwire hub, to be read in place of the environment"

// findPlace is localPlace with what an env file says in the place of the environment, if there is one.
func findPlace(envFile string) (*place, error) {
	if envFile == "" {
		return localPlace(), nil
	}
	p := new(place)
	return p, p.readEnvFile(envFile)
}

// isLocal reports whether host names the hub that p is of. Host names carry no
// port, so this is how a connection string is known to mean it.
func (p *place) isLocal(host string) bool {
	return p.host != "" && strings.EqualFold(host, p.host)
}

// reachHub returns the way to the hub of that name: when it is p's, to p's ports on
// loopback, trusting p's authority; else to the protocols' own ports. An
// authority in caFile is trusted beside the system's.
func reachHub(p *place, host, caFile string) (*reach, error) {
	source := "--ca-file"
	r := &reach{dial: (&net.Dialer{Timeout: dialTimeout}).DialContext, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if p.isLocal(host) {
		r.dial = p.dial
		if caFile == "" {
			source, caFile = "HUBWIRE_CA_FILE", p.caFile
		}
	}
	if caFile == "" {
		return r, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // this system has none
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no certificate in %s", source, caFile)
	}
	r.tls.RootCAs = pool
	return r, nil
}

// dial connects to the port of p that stands for the port of addr, which is
// the protocol's own.
func (p *place) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	switch port {
	case "8883":
		port = p.mqttPort
	case "5671":
		port = p.amqpPort
	case "443":
		port = p.httpsPort
	}
	if port == "" {
		return nil, fmt.Errorf("the hub %s has no port in place of that of %s", p.host, addr)
	}
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}
