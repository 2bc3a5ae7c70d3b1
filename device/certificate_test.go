package device

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"
)

func TestWhenACertificateEnds(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	early, late := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	der := func(end time.Time) []byte {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end}
		b, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, tt := range map[string]struct {
		chain [][]byte
		err   error
		want  time.Time
	}{
		"the device's own":                     {[][]byte{der(early)}, nil, early},
		"the device's own ends first":          {[][]byte{der(early), der(late)}, nil, early},
		"an authority's on the way ends first": {[][]byte{der(late), der(early)}, nil, early},
		"no certificate":                       {nil, nil, time.Time{}},
		"an error":                             {[][]byte{der(early)}, errors.New("no"), time.Time{}},
		"what is no certificate":               {[][]byte{{0x30, 0x03}, der(late)}, nil, late},
	} {
		t.Run(name, func(t *testing.T) {
			e := new(certificateEnd)
			if !e.time().IsZero() {
				t.Error("there is an end before there is a certificate")
			}
			given := &tls.Certificate{Certificate: tt.chain}
			got, err := e.watch(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return given, tt.err })(nil)
			if got != given || err != tt.err || !e.time().Equal(tt.want) {
				t.Errorf("%v, and it ends at %v, want %v", err, e.time(), tt.want)
			}
		})
	}
	if new(certificateEnd).watch(nil) != nil {
		t.Error("out of nothing comes a certificate")
	}
}
