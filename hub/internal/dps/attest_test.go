package dps

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// signed returns a certificate and its key; a nil signer is the certificate itself.
func signed(t *testing.T, cn string, ca bool, signer *x509.Certificate, signerKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, IsCA: ca, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if signer == nil {
		signer, signerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// TestTheNearestAuthorityCounts has a certificate that two groups take. Many times: groups have no order.
func TestTheNearestAuthorityCounts(t *testing.T) {
	root, rootKey := signed(t, "root", true, nil, nil)
	between, betweenKey := signed(t, "between", true, root, rootKey)
	leaf, _ := signed(t, "a", false, between, betweenKey)
	s := newService(t, nil)
	for _, e := range []*Enrollment{
		{ID: "all", Group: true, Authorities: []*x509.Certificate{root}},
		{ID: "none", Group: true, Authorities: []*x509.Certificate{between}, Disabled: true},
	} {
		if _, err := s.Enroll(e); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		g, err := s.Authenticate(&Login{RegistrationID: "a", Certificates: []*x509.Certificate{leaf, between}})
		if err != nil || g.enrollment.ID != "none" {
			t.Fatalf("%+v, %v", g, err)
		}
	}
	s.Unenroll("none", true)
	g, err := s.Authenticate(&Login{RegistrationID: "a", Certificates: []*x509.Certificate{leaf, between}})
	if err != nil || g.enrollment.ID != "all" {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := s.Authenticate(&Login{RegistrationID: "a", Certificates: []*x509.Certificate{leaf}}); err == nil {
		t.Error("nobody knows where it comes from")
	}
}
