package dps

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Attestation imitates the documents on symmetric keys and on X.509. A device with
// an enrollment of its own cannot come in by a group. The peer of a refused login
// learns nothing but that.

// policy is the one that a device's token may name; or none.
const policy = "registration"

// Login is what a peer showed. A Token goes before Certificates.
type Login struct {
	RegistrationID string
	Token          sas.Secret
	Certificates   []*x509.Certificate // of the TLS peer, leaf first
}

// Grant is a login that succeeded. It holds as long as its enrollment does.
type Grant struct {
	RegistrationID string
	Expires        time.Time // of the token; zero for a certificate

	enrollment         *Enrollment
	commonName         string     // of the certificate
	primary, secondary sas.Secret // the device's own, also of a group
	thumbprint         string
}

// Authenticate checks a login. Every refusal is one and the same: code UnauthorizedAccess.
func (s *Service) Authenticate(l *Login) (*Grant, error) {
	const op = "connect"
	if err := checkRegistrationID(op, l.RegistrationID); err != nil {
		return nil, s.unauthorized(op, err)
	}
	why := errors.New("there is no enrollment for it")
	for _, e := range s.candidates(l.RegistrationID) {
		g, err := s.attest(e, l)
		if err == nil {
			return g, nil
		}
		if why = err; e.Group {
			why = errors.New("no group takes it")
		}
	}
	return nil, s.unauthorized(op, why)
}

func (s *Service) unauthorized(op string, why error) error {
	s.cfg.Log.Warn("provisioning: login refused", "reason", why)
	return refuse(op, hubwire.UnauthorizedAccess, "Unauthorized")
}

func (s *Service) attest(e *Enrollment, l *Login) (*Grant, error) {
	g := &Grant{RegistrationID: l.RegistrationID, enrollment: e}
	if !l.Token.IsZero() {
		return g, s.checkToken(l.Token.Reveal(), e, g)
	}
	return g, checkCertificates(l.Certificates, e, g)
}

// deviceID is the name that the device gets in the hub, which does tell cases apart:
// one that the registration id's case does not change, or who spells it in a thousand
// ways would be a thousand devices. A derived key is for one spelling alone.
func (g *Grant) deviceID() string {
	if e := g.enrollment; !e.Group {
		return cmp.Or(e.DeviceID, e.ID)
	}
	return cmp.Or(g.commonName, g.RegistrationID)
}

// checkToken checks a token, and fills in g.
func (s *Service) checkToken(token string, e *Enrollment, g *Grant) error {
	t, err := sas.ParseToken(token)
	if err != nil {
		return err
	}
	if err := t.CheckExpiry(time.Now(), s.cfg.Skew); err != nil {
		return err
	}
	if t.Policy != "" && t.Policy != policy {
		return fmt.Errorf("the token names a policy of %d bytes", len(t.Policy))
	}
	if e.byCertificate() {
		return errors.New("a token was shown, where a certificate is due")
	}
	g.primary, g.secondary = e.deviceKeys(g.RegistrationID)
	first, _ := sas.NewKey(g.primary)
	second, _ := sas.NewKey(g.secondary)
	if _, err := t.SignedBy(first, second); err != nil {
		return err
	}
	g.Expires = t.Expires
	return t.CheckResource(s.cfg.IDScope, "registrations", g.RegistrationID)
}

// deviceKeys returns the keys of the device that registers.
func (e *Enrollment) deviceKeys(registrationID string) (primary, secondary sas.Secret) {
	if !e.Group {
		return e.Primary, e.Secondary
	}
	first, _ := sas.NewKey(e.Primary) // both were checked
	second, _ := sas.NewKey(e.Secondary)
	return sas.DeriveKey(first, registrationID), sas.DeriveKey(second, registrationID)
}

// checkCertificates checks what a TLS peer showed, and fills in g.
func checkCertificates(chain []*x509.Certificate, e *Enrollment, g *Grant) error {
	if len(chain) == 0 {
		return errors.New("neither a token nor a certificate was shown")
	}
	leaf, now := chain[0], time.Now()
	sum1, sum256 := sha1.Sum(leaf.Raw), sha256.Sum256(leaf.Raw)
	g.thumbprint, g.commonName = hex.EncodeToString(sum256[:]), leaf.Subject.CommonName
	switch {
	case !e.byCertificate():
		return errors.New("a certificate was shown, where a token is due")
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate is valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
	case !strings.EqualFold(leaf.Subject.CommonName, g.RegistrationID):
		return fmt.Errorf("the certificate's common name, of %d bytes, is not the registration id", len(leaf.Subject.CommonName))
	case e.Group:
		return e.checkChain(chain)
	case e.hasThumbprint(hex.EncodeToString(sum1[:])) || e.hasThumbprint(g.thumbprint):
		return nil
	}
	return errors.New("the certificate is another")
}

func (e *Enrollment) hasThumbprint(t string) bool {
	return strings.EqualFold(t, e.PrimaryThumbprint) || strings.EqualFold(t, e.SecondaryThumbprint)
}

func (e *Enrollment) checkChain(chain []*x509.Certificate) error {
	if chain[0].IsCA {
		return errors.New("the certificate is an authority's")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range e.Authorities {
		roots.AddCert(ca)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}
