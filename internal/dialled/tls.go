package dialled

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
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
	if len(cfg.Certificates) > 0 {
		cfg.Certificates = slices.Clone(cfg.Certificates)
		for i := range cfg.Certificates {
			cfg.Certificates[i] = *c.certificate(&cfg.Certificates[i])
		}
	}
	if f := cfg.GetClientCertificate; f != nil {
		cfg.GetClientCertificate = func(i *tls.CertificateRequestInfo) (cert *tls.Certificate, err error) {
			defer c.containTLS("GetClientCertificate", &err)
			cert, err = f(i)
			return c.certificate(cert), err
		}
	}
	if f := cfg.EncryptedClientHelloRejectionVerify; f != nil {
		cfg.EncryptedClientHelloRejectionVerify = func(s tls.ConnectionState) (err error) {
			defer c.containTLS("EncryptedClientHelloRejectionVerify", &err)
			return f(s)
		}
	}
	if f := cfg.VerifyPeerCertificate; f != nil {
		cfg.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) (err error) {
			defer c.containTLS("VerifyPeerCertificate", &err)
			return f(raw, chains)
		}
	}
	if f := cfg.VerifyConnection; f != nil {
		cfg.VerifyConnection = func(s tls.ConnectionState) (err error) {
			defer c.containTLS("VerifyConnection", &err)
			return f(s)
		}
	}
	if f := cfg.Time; f != nil {
		cfg.Time = func() (now time.Time) {
			now = time.Now()
			defer c.containTLS("Time", nil)
			return f()
		}
	}
	if f := cfg.ClientSessionCache; f != nil {
		cfg.ClientSessionCache = cache{f, c}
	}
}

// containTLS is [conn.contain] for what has a name in a TLS configuration.
func (c *Conns) containTLS(name string, err *error) {
	if v := recover(); v != nil {
		c.contained(v, name+" of the TLS configuration", err)
	}
}

// certificate is cert with a key that does not panic.
func (c *Conns) certificate(cert *tls.Certificate) *tls.Certificate {
	if cert == nil {
		return nil
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert
	}
	guarded := *cert
	guarded.PrivateKey = signer{key, c}
	return &guarded
}

// signer is a key that may be in a module of hardware.
type signer struct {
	crypto.Signer
	of *Conns
}

func (s signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) (_ []byte, err error) {
	defer s.of.containTLS("a key", &err)
	return s.Signer.Sign(rand, digest, opts)
}

// cache is a cache of TLS sessions which, where it panics, has none.
type cache struct {
	tls.ClientSessionCache
	of *Conns
}

func (c cache) Get(key string) (s *tls.ClientSessionState, ok bool) {
	defer c.of.containTLS("ClientSessionCache", nil)
	return c.ClientSessionCache.Get(key)
}

func (c cache) Put(key string, s *tls.ClientSessionState) {
	defer c.of.containTLS("ClientSessionCache", nil)
	c.ClientSessionCache.Put(key, s)
}
