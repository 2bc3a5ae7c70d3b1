package device

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire/internal/dialled"
)

// certificateEnd is when the client certificate ends that was shown last.
type certificateEnd struct{ at atomic.Pointer[time.Time] }

// watch returns get with a note taken of what it gives, which crypto/tls takes to be a certificate where there is no error. nil stays nil.
func (e *certificateEnd) watch(get func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if get == nil {
		return nil
	}
	return func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, err := get(info)
		err = dialled.Sound(err)
		var end time.Time
		switch {
		case err != nil:
		case cert == nil:
			err = errNoCertificate
		default:
			end = notAfter(cert)
		}
		e.at.Store(&end)
		return cert, err
	}
}

var errNoCertificate = errors.New("device: GetClientCertificate gave neither a certificate nor an error")

// time returns that end, or the zero time when there is none, or nobody knows it.
func (e *certificateEnd) time() time.Time {
	if at := e.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// notAfter returns when the first of a chain's certificates ends. What cannot
// be read, TLS or the hub will refuse.
func notAfter(cert *tls.Certificate) (end time.Time) {
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err == nil && (end.IsZero() || c.NotAfter.Before(end)) {
			end = c.NotAfter
		}
	}
	return end
}
