package hub_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/mqtt"
)

// certificate makes a certificate for cn; without a parent it is its own authority.
func certificate(t *testing.T, cn string, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true,
	}
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestX509(t *testing.T) {
	root := certificate(t, "root", nil)
	own := certificate(t, "anything", nil)
	sum1, sum256 := sha1.Sum(own.Leaf.Raw), sha256.Sum256(own.Leaf.Raw)
	thumbprint := func(s []byte) *hub.Device {
		return &hub.Device{Identity: dev, Auth: hub.AuthSelfSigned, SecondaryThumbprint: hex.EncodeToString(s)}
	}
	byCA := &hub.Device{Identity: dev, Auth: hub.AuthCA}
	tests := []struct {
		name   string
		device *hub.Device
		cert   *tls.Certificate
		code   mqtt.ReturnCode
	}{
		{"the SHA-1 thumbprint", thumbprint(sum1[:]), own, mqtt.Accepted},
		{"the SHA-256 thumbprint", thumbprint(sum256[:]), own, mqtt.Accepted},
		{"another certificate", thumbprint(sum256[:]), certificate(t, "anything", nil), mqtt.NotAuthorized},
		{"no certificate", thumbprint(sum256[:]), nil, mqtt.NotAuthorized},
		{"a verified authority's", byCA, certificate(t, "dev-1", root), mqtt.Accepted},
		{"a verified authority's for another device", byCA, certificate(t, "dev-2", root), mqtt.NotAuthorized},
		{"another authority's", byCA, certificate(t, "dev-1", certificate(t, "root", nil)), mqtt.NotAuthorized},
		{"a certificate for a device with keys", &hub.Device{Identity: dev}, own, mqtt.NotAuthorized},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := hubtest.Start(t, &hub.Config{InMemory: true, VerifiedCAs: []*x509.Certificate{root.Leaf}})
			if _, err := h.Create(t.Context(), tt.device); err != nil {
				t.Fatal(err)
			}
			p := open(t, h, func(cfg *tls.Config) {
				if tt.cert != nil {
					cfg.Certificates = []tls.Certificate{*tt.cert}
				}
			})
			p.write(&mqtt.Connect{
				ClientID: []byte("dev-1"), KeepAlive: 60,
				UserName: []byte("localhost/dev-1/?api-version=2021-04-12"),
			})
			if ack := p.connack(); ack.Code != tt.code {
				t.Errorf("CONNACK %d, want %d", ack.Code, tt.code)
			}
		})
	}
}
