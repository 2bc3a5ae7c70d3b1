package dialled

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"
)

// TLS makes cfg, which is the caller's own copy, fit for a client.
//
// The server may ask for a certificate once it has seen what a connection is for, as the service does by a
// renegotiation of TLS 1.2, whatever the credentials are. By default crypto/tls ends the connection then.
//
// The program's functions in it, its cache and the keys of its certificates do not panic: some are called in the middle of a Read,
// so on goroutines of net/http.
func (c *Conns) TLS(cfg *tls.Config) {
	if cfg.Renegotiation == tls.RenegotiateNever {
		cfg.Renegotiation = tls.RenegotiateOnceAsClient
	}
	g := guard{c}
	if len(cfg.Certificates) > 0 {
		cfg.Certificates = slices.Clone(cfg.Certificates)
		for i := range cfg.Certificates {
			cfg.Certificates[i] = *g.certificate(&cfg.Certificates[i])
		}
	}
	if f := cfg.GetClientCertificate; f != nil {
		cfg.GetClientCertificate = func(i *tls.CertificateRequestInfo) (cert *tls.Certificate, err error) {
			defer g.contain("GetClientCertificate", &err)
			cert, err = f(i)
			return g.certificate(cert), err
		}
	}
	if f := cfg.EncryptedClientHelloRejectionVerify; f != nil {
		cfg.EncryptedClientHelloRejectionVerify = func(s tls.ConnectionState) (err error) {
			defer g.contain("EncryptedClientHelloRejectionVerify", &err)
			return f(s)
		}
	}
	if f := cfg.VerifyPeerCertificate; f != nil {
		cfg.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) (err error) {
			defer g.contain("VerifyPeerCertificate", &err)
			return f(raw, chains)
		}
	}
	if f := cfg.VerifyConnection; f != nil {
		cfg.VerifyConnection = func(s tls.ConnectionState) (err error) {
			defer g.contain("VerifyConnection", &err)
			return f(s)
		}
	}
	if f := cfg.Time; f != nil {
		cfg.Time = func() (now time.Time) {
			now = time.Now()
			defer g.contain("Time", nil)
			return f()
		}
	}
	if f := cfg.ClientSessionCache; f != nil {
		cfg.ClientSessionCache = cache{f, g}
	}
}

// guard contains the panics of the functions of a TLS configuration.
type guard struct{ of *Conns }

// contain makes a panic an error, where there is one to be returned. It is to be deferred.
func (g guard) contain(name string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	if err != nil {
		*err = fmt.Errorf("%s of the TLS configuration panicked: %v", name, v)
	}
	if g.of != nil && g.of.Panicked != nil {
		g.of.tell(v, debug.Stack())
	}
}

// certificate is cert with a key that does not panic.
func (g guard) certificate(cert *tls.Certificate) *tls.Certificate {
	if cert == nil {
		return nil
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert
	}
	guarded := *cert
	guarded.PrivateKey = signer{key, g}
	return &guarded
}

// signer is a key that may be in a module of hardware.
type signer struct {
	crypto.Signer
	guard
}

func (s signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) (_ []byte, err error) {
	defer s.contain("a key", &err)
	return s.Signer.Sign(rand, digest, opts)
}

// cache is a cache of TLS sessions which, where it panics, has none.
type cache struct {
	tls.ClientSessionCache
	guard
}

func (c cache) Get(key string) (s *tls.ClientSessionState, ok bool) {
	defer c.contain("ClientSessionCache", nil)
	return c.ClientSessionCache.Get(key)
}

func (c cache) Put(key string, s *tls.ClientSessionState) {
	defer c.contain("ClientSessionCache", nil)
	c.ClientSessionCache.Put(key, s)
}
