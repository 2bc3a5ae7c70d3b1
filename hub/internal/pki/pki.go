// Package pki is a hub's certificate authority: it lives as long as the hub,
// or in a directory, and signs the hub's server certificate.
//
// Keys are ECDSA P-256, which all official SDKs verify and which take no time to make.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The files of an authority in its directory.
const (
	CertFile = "ca.pem"     // certificate
	KeyFile  = "ca-key.pem" // private key, PKCS #8; mode 0600
)

// Lives of the certificates. The server's is made anew at each start, and when half of its life is over.
const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 397 * 24 * time.Hour // the longest that Apple's verifier takes
	backdate   = time.Hour            // for clocks that differ
)

// CA is a certificate authority.
type CA struct {
	Cert *x509.Certificate
	PEM  []byte // the certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority with a new key.
func New() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	now := time.Now()
	der, err := sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: "hubwire CA", Organization: []string{"hubwire"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}, nil, key, key)
	if err != nil {
		return nil, err
	}
	return newCA(der, key)
}

func newCA(der []byte, key *ecdsa.PrivateKey) (*CA, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return &CA{Cert: cert, PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key: key}, nil
}

// sign makes a certificate for key; without a parent it is signed by itself.
func sign(t, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	t.SerialNumber = serial
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return der, nil
}

// Open returns the authority that dir holds, or makes one there. An expired one is
// replaced. One that cannot be read is an error, not replaced: whoever trusts it would be locked out.
func Open(dir string) (*CA, error) {
	ca, err := load(dir)
	switch {
	case err == nil && time.Now().Before(ca.Cert.NotAfter.Add(-serverLife)):
		return ca, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if ca, err = New(); err != nil {
		return nil, err
	}
	return ca, ca.save(dir)
}

func load(dir string) (*CA, error) {
	cert, err := readPEM(filepath.Join(dir, CertFile), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	der, err := readPEM(filepath.Join(dir, KeyFile), "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %s: %w", filepath.Join(dir, KeyFile), err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("pki: %s holds a %T, not an ECDSA key", filepath.Join(dir, KeyFile), parsed)
	}
	ca, err := newCA(cert, key)
	if err != nil {
		return nil, err
	}
	if pub, ok := ca.Cert.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) || !ca.Cert.IsCA {
		return nil, fmt.Errorf("pki: %s is not the certificate of an authority with the key in %s", filepath.Join(dir, CertFile), KeyFile)
	}
	return ca, nil
}

func readPEM(file, kind string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("pki: %s does not hold a PEM block %q", file, kind)
	}
	return block.Bytes, nil
}

// save writes the key first: a certificate without its key would be an
// authority that cannot sign.
func (ca *CA) save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := replaceFile(filepath.Join(dir, KeyFile), key, 0o600); err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, CertFile), ca.PEM, 0o644)
}

// replaceFile writes a file under another name and renames it, so that nobody
// ever sees half of it.
func replaceFile(file string, b []byte, mode fs.FileMode) error {
	tmp := file + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pki: %w", err)
	}
	if err := os.WriteFile(tmp, b, mode); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	return nil
}

// serverNames are the names that every hub's certificate is for: what
// official SDKs check on a local hub.
var serverNames = [...]string{"localhost", "*.azure-devices.net", "*.azure-devices-provisioning.net"}

// Server signs a certificate with a new key for host, localhost, 127.0.0.1,
// *.azure-devices.net and *.azure-devices-provisioning.net. The chain holds
// the authority's certificate too, for clients that look there.
func (ca *CA) Server(host string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	now := time.Now()
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "hubwire hub"},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    serverNames[:],
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = append(t.IPAddresses, ip)
	} else if host != "" && host != "localhost" {
		t.DNSNames = append(serverNames[:len(serverNames):len(serverNames)], host)
	}
	der, err := sign(t, ca.Cert, key, ca.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("pki: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.Cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// Serving returns what a server's [tls.Config] has as its GetCertificate: the certificate of [CA.Server],
// made anew in time, as a hub may run for longer than one is good for.
func (ca *CA) Serving(host string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	cert, err := ca.Server(host)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Now().After(cert.Leaf.NotAfter.Add(-serverLife / 2)) {
			if fresh, err := ca.Server(host); err == nil { // else the old one has time left
				cert = fresh
			}
		}
		return cert, nil
	}, nil
}

// Pool returns a pool that holds the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.Cert)
	return p
}
