package dialled

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"testing"
	"time"
)

func TestRenegotiationIsLetPassUnlessTheProgramSaysHowOften(t *testing.T) {
	for asked, want := range map[tls.RenegotiationSupport]tls.RenegotiationSupport{
		tls.RenegotiateNever:          tls.RenegotiateOnceAsClient,
		tls.RenegotiateOnceAsClient:   tls.RenegotiateOnceAsClient,
		tls.RenegotiateFreelyAsClient: tls.RenegotiateFreelyAsClient,
	} {
		cfg := &tls.Config{Renegotiation: asked}
		(*Conns)(nil).TLS(cfg)
		if cfg.Renegotiation != want {
			t.Errorf("%v became %v", asked, cfg.Renegotiation)
		}
	}
}

// brokenCache is a cache of TLS sessions that panics.
type brokenCache struct{}

func (brokenCache) Get(string) (*tls.ClientSessionState, bool) { panic("cache") }
func (brokenCache) Put(string, *tls.ClientSessionState)        { panic("cache") }

// brokenKey is a key in hardware that is gone.
type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("key") }

func TestTheFunctionsOfATLSConfigurationDoNotPanic(t *testing.T) {
	told := make(chan any, 10)
	for _, c := range []*Conns{nil, {}, {Panicked: func(v any, _ []byte) { told <- v }}} {
		cfg := &tls.Config{
			Certificates:                        []tls.Certificate{{PrivateKey: brokenKey{}}, {}},
			GetClientCertificate:                func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { panic("certificate") },
			EncryptedClientHelloRejectionVerify: func(tls.ConnectionState) error { panic("rejection") },
			VerifyPeerCertificate:               func([][]byte, [][]*x509.Certificate) error { panic("peer") },
			VerifyConnection:                    func(tls.ConnectionState) error { panic("connection") },
			Time:                                func() time.Time { panic("time") },
			ClientSessionCache:                  brokenCache{},
		}
		c.TLS(cfg)
		calls := map[string]func() error{
			"certificate": func() error { _, err := cfg.GetClientCertificate(nil); return err },
			"rejection":   func() error { return cfg.EncryptedClientHelloRejectionVerify(tls.ConnectionState{}) },
			"key": func() error {
				_, err := cfg.Certificates[0].PrivateKey.(crypto.Signer).Sign(nil, nil, nil)
				return err
			},
			"peer":       func() error { return cfg.VerifyPeerCertificate(nil, nil) },
			"connection": func() error { return cfg.VerifyConnection(tls.ConnectionState{}) },
		}
		for name, call := range calls {
			if err := call(); err == nil {
				t.Errorf("%s: no error", name)
			}
			c.heard(t, told, name)
		}
		if now := cfg.Time(); time.Since(now) > time.Minute {
			t.Errorf("the time is %v", now)
		}
		c.heard(t, told, "time")
		if s, ok := cfg.ClientSessionCache.Get(""); s != nil || ok {
			t.Errorf("the cache has %v", s)
		}
		c.heard(t, told, "cache")
		cfg.ClientSessionCache.Put("", nil)
		c.heard(t, told, "cache")
	}
}

// heard fails the test when c was not told of a panic, if it is to be.
func (c *Conns) heard(t *testing.T, told <-chan any, want string) {
	t.Helper()
	if c == nil || c.Panicked == nil {
		return
	}
	if got := <-told; got != want {
		t.Errorf("told of %v, not %s", got, want)
	}
}
