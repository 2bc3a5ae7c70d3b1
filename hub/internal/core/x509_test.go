package core

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
)

// issuer makes certificates.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns a certificate signed by parent, or by itself.
func issue(t *testing.T, parent *issuer, name string, ca bool) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true,
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	self := &issuer{template, key}
	if parent == nil {
		parent = self
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, &key.PublicKey, parent.key)
	must(t, err)
	self.cert, err = x509.ParseCertificate(der)
	must(t, err)
	return self
}

func TestCertificates(t *testing.T) {
	root, foreign := issue(t, nil, "root", true), issue(t, nil, "foreign", true)
	middle := issue(t, root, "middle", true)
	self, other := issue(t, nil, "anything", false), issue(t, nil, "anything", false)
	leaf := func(i *issuer, name string) *x509.Certificate { return issue(t, i, name, false).cert }
	sum1, sum256 := sha1.Sum(self.cert.Raw), sha256.Sum256(self.cert.Raw)
	by1, by256 := strings.ToUpper(hex.EncodeToString(sum1[:])), hex.EncodeToString(sum256[:])
	otherSum := sha256.Sum256(other.cert.Raw)

	id := func(name string) hubwire.Identity { return hubwire.Identity{DeviceID: name} }
	devices := []Device{
		{ID: id("sha1"), Auth: Auth{Type: AuthSelfSigned, PrimaryThumbprint: by1}},
		{ID: id("sha256-second"), Auth: Auth{Type: AuthSelfSigned, SecondaryThumbprint: by256}},
		{ID: id("other"), Auth: Auth{Type: AuthSelfSigned, PrimaryThumbprint: hex.EncodeToString(otherSum[:])}},
		{ID: id("ca"), Auth: Auth{Type: AuthCA}},
		{ID: hubwire.Identity{DeviceID: "ca", ModuleID: "m"}, Auth: Auth{Type: AuthCA}},
		{ID: id("off"), Auth: Auth{Type: AuthCA}, Disabled: true},
		{ID: id("sas")},
		{ID: id("none"), Auth: Auth{Type: AuthNone}},
	}
	cases := []struct {
		name  string
		id    hubwire.Identity
		chain []*x509.Certificate
		later time.Duration
		ok    bool
	}{
		{"the configured SHA-1 thumbprint", id("sha1"), []*x509.Certificate{self.cert}, 0, true},
		{"the configured SHA-256 thumbprint, as secondary", id("sha256-second"), []*x509.Certificate{self.cert}, 0, true},
		{"another thumbprint", id("other"), []*x509.Certificate{self.cert}, 0, false},
		{"a thumbprint after the certificate's end", id("sha1"), []*x509.Certificate{self.cert}, 2 * time.Hour, false},
		{"a thumbprint before the certificate's begin", id("sha1"), []*x509.Certificate{self.cert}, -time.Hour, false},
		{"signed by the root", id("ca"), []*x509.Certificate{leaf(root, "ca")}, 0, true},
		{"signed through an intermediate", id("ca"), []*x509.Certificate{leaf(middle, "ca"), middle.cert}, 0, true},
		{"an intermediate that is not shown", id("ca"), []*x509.Certificate{leaf(middle, "ca")}, 0, false},
		{"signed by an authority that is not verified", id("ca"), []*x509.Certificate{leaf(foreign, "ca"), foreign.cert}, 0, false},
		{"self-signed instead of CA-signed", id("ca"), []*x509.Certificate{leaf(nil, "ca")}, 0, false},
		{"another device's name", id("ca"), []*x509.Certificate{leaf(root, "CA")}, 0, false},
		{"a module's name", hubwire.Identity{DeviceID: "ca", ModuleID: "m"}, []*x509.Certificate{leaf(root, "ca/m")}, 0, true},
		{"a device's name for its module", hubwire.Identity{DeviceID: "ca", ModuleID: "m"}, []*x509.Certificate{leaf(root, "ca")}, 0, false},
		{"an authority's own certificate", id("ca"), []*x509.Certificate{issue(t, root, "ca", true).cert}, 0, false},
		{"a chain after its end", id("ca"), []*x509.Certificate{leaf(root, "ca")}, 2 * time.Hour, false},
		{"a disabled device", id("off"), []*x509.Certificate{leaf(root, "off")}, 0, false},
		{"a device of type sas", id("sas"), []*x509.Certificate{leaf(root, "sas")}, 0, false},
		{"a device of type none", id("none"), []*x509.Certificate{leaf(root, "none")}, 0, false},
		{"an unknown device", id("nobody"), []*x509.Certificate{leaf(root, "nobody")}, 0, false},
		{"nothing at all", id("ca"), nil, 0, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var log strings.Builder
			c := newCore(t, &Config{VerifiedCAs: []*x509.Certificate{root.cert}, Log: slog.New(slog.NewTextHandler(&log, nil))})
			for _, d := range devices {
				create(t, c, &d)
			}
			chain := tc.chain
			if tc.later != 0 {
				moved := *chain[0] // the clock only goes forward, so the certificate moves
				moved.NotBefore, moved.NotAfter = moved.NotBefore.Add(-tc.later), moved.NotAfter.Add(-tc.later)
				chain = []*x509.Certificate{&moved}
			}
			g, err := c.Authenticate(ctx, &Login{Identity: tc.id, Protocol: "mqtt", Certificates: chain})
			if !tc.ok {
				wantUniformRefusal(t, err, log.String())
				return
			}
			if err != nil {
				t.Fatalf("Authenticate: %v\n%s", err, log.String())
			}
			s, _ := connectWith(t, c, g, nil)
			if !g.Expires.IsZero() || !strings.Contains(string(s.stamp.Load().head), `"type":"x509"`) {
				t.Errorf("grant expires %v, stamp %q", g.Expires, s.stamp.Load().head)
			}
			must(t, s.Telemetry(ctx, &hubwire.Message{}))
		})
	}
}

// wantUniformRefusal checks that a refused login says the same whatever is
// wrong, and that the log says more.
func wantUniformRefusal(t *testing.T, err error, log string) {
	t.Helper()
	wantCode(t, "Authenticate", err, hubwire.Unauthorized)
	const text = "hubwire: connect: 401003 IotHubUnauthorized, refused: authentication failed; renew the token or certificate and connect again"
	if fmt.Sprint(err) != text {
		t.Errorf("refusal = %v", err)
	}
	if !strings.Contains(log, "login refused") || !strings.Contains(log, "reason=") {
		t.Errorf("log: %s", log)
	}
}

func TestAChangedThumbprintEndsTheConnection(t *testing.T) {
	c := newCore(t, nil)
	cert := issue(t, nil, "x", false).cert
	sum := sha256.Sum256(cert.Raw)
	id := hubwire.Identity{DeviceID: "x"}
	d := create(t, c, &Device{ID: id, Auth: Auth{Type: AuthSelfSigned, PrimaryThumbprint: hex.EncodeToString(sum[:])}})
	g, err := c.Authenticate(ctx, &Login{Identity: id, Certificates: []*x509.Certificate{cert}})
	must(t, err)
	_, l := connectWith(t, c, g, nil)
	d.Auth.SecondaryThumbprint = d.Auth.PrimaryThumbprint
	d.Auth.PrimaryThumbprint = strings.Repeat("0", 40)
	d, err = c.Update(ctx, d, d.ETag)
	must(t, err)
	if l.closed() != 0 {
		t.Errorf("closed with %d although the thumbprint is still there", l.closed())
	}
	d.Auth.SecondaryThumbprint = ""
	_, err = c.Update(ctx, d, d.ETag)
	must(t, err)
	if l.closed() != hubwire.Unauthorized {
		t.Errorf("closed with %d", l.closed())
	}
}
