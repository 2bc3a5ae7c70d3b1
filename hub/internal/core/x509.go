package core

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire/sas"
)

// checkCertificates checks what a TLS peer showed, and fills in g. Possession
// of the key is TLS's business. Thumbprints may be SHA-1 or SHA-256, in either
// slot; dates are checked with both types.
func (c *Core) checkCertificates(chain []*x509.Certificate, d *Device, g *Grant) error {
	if len(chain) == 0 {
		return errors.New("neither a token nor a certificate was shown")
	}
	leaf, now := chain[0], time.Now()
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("the certificate is valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	g.method = authMethod(scopeOf(d.ID), "x509")
	switch d.Auth.Type {
	case AuthSelfSigned:
		sum1, sum256 := sha1.Sum(leaf.Raw), sha256.Sum256(leaf.Raw)
		for _, sum := range [...]string{hex.EncodeToString(sum1[:]), hex.EncodeToString(sum256[:])} {
			if d.Auth.hasThumbprint(sum) {
				g.by = credential{byThumbprint, sas.NewSecret(sum)}
				return nil
			}
		}
		return fmt.Errorf("thumbprints SHA1 %x, SHA256 %x are not the configured ones", sum1, sum256)
	case AuthCA:
		g.by = credential{kind: byAuthority}
		return c.checkChain(chain, d, now)
	}
	return fmt.Errorf("a certificate was shown, the authentication type is %q", d.Auth.Type)
}

// checkChain checks that the leaf is the device's by name, and that it chains
// to a verified authority.
func (c *Core) checkChain(chain []*x509.Certificate, d *Device, now time.Time) error {
	leaf := chain[0]
	if leaf.IsCA {
		return errors.New("the certificate is an authority's")
	}
	if leaf.Subject.CommonName != d.ID.String() {
		return fmt.Errorf("the certificate's common name, of %d bytes, is not the id", len(leaf.Subject.CommonName))
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         c.roots,
		Intermediates: between,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}
