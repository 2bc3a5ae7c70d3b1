package device_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// selfSigned makes a client certificate, and the thumbprint to register.
func selfSigned(t *testing.T) (cert *tls.Certificate, thumbprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, hex.EncodeToString(sum[:])
}

func TestACertificateIsAskedForOnEachConnection(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		first, firstPrint := selfSigned(t)
		second, secondPrint := selfSigned(t)
		id := hubwire.Identity{DeviceID: "x509"}
		d, err := b.hub.Create(t.Context(), &hub.Device{
			Identity: id, Auth: hub.AuthSelfSigned, PrimaryThumbprint: firstPrint, SecondaryThumbprint: firstPrint,
		})
		if err != nil {
			t.Fatal(err)
		}
		cs, err := b.hub.ConnectionString(id)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := device.CredentialsFromConnectionString(cs)
		if err != nil {
			t.Fatal(err)
		}
		var now atomic.Pointer[tls.Certificate]
		now.Store(first)
		cred.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return now.Load(), nil }
		c, err := device.DialCredentials(t.Context(), cred, b.transport, b.options(nil))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}

		d.PrimaryThumbprint, d.SecondaryThumbprint = secondPrint, secondPrint
		now.Store(second)
		if _, err := b.hub.Update(t.Context(), d, ""); err != nil { // cuts the connection of the old one
			t.Fatal(err)
		}
		b.awaitConnected(c)
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
			t.Errorf("after the rotation: %v", err)
		}

		now.Store(first)
		b.hub.Disconnect(id)
		<-c.Done()
		if err := c.Err(); !errors.Is(err, hubwire.Unauthorized) {
			t.Errorf("with a certificate that was retired: %v", err)
		}
	})
}
