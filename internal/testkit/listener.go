package testkit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"time"

	"github.com/hubwire/hubwire/internal/pipe"
)

// Listener is a [net.Listener] of in-memory connections, as [Pipe] makes them. Its address means nothing.
type Listener struct{ *pipe.Listener }

// NewListener returns a listener, which belongs to the bubble that it is made in.
func NewListener() *Listener { return &Listener{pipe.Listen(&net.TCPAddr{})} }

// Dial returns the client's end of a connection, once its other end has been accepted. The
// error is that of ctx, or [net.ErrClosed].
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	client, server := Pipe()
	if err := l.Offer(ctx, server); err != nil {
		return nil, err
	}
	return client, nil
}

// Certificate returns a new certificate of a server with this name, which is its own
// authority: its Leaf is the root to trust. It holds from 1970 to 2242, so also in a
// bubble, whose clock begins in the year 2000.
func Certificate(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
