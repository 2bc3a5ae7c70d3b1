package dialled

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"runtime/debug"
	"time"
)

// Renegotiate has cfg, which is the caller's own copy, let the server ask for a certificate once it has seen what a connection is for,
// as the service does in TLS 1.2, whatever the credentials are. By default crypto/tls ends the connection then.
func Renegotiate(cfg *tls.Config) {
	if cfg.Renegotiation == tls.RenegotiateNever {
		cfg.Renegotiation = tls.RenegotiateOnceAsClient
	}
}

// TLS makes cfg, which is the caller's own copy, fit for a client: it renegotiates, and what is the program's in it does not panic.
// Some of that is called in the middle of a Read, so on goroutines of net/http.
func (c *Conns) TLS(cfg *tls.Config) {
	Renegotiate(cfg)
	g := guard{c}
	if f := cfg.GetClientCertificate; f != nil {
		cfg.GetClientCertificate = func(i *tls.CertificateRequestInfo) (_ *tls.Certificate, err error) {
			defer g.contain("GetClientCertificate", &err)
			return f(i)
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
