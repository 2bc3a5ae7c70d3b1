package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// TestNodeAuthority has devices whose certificates an authority signed that the hub
// trusts. IoT Hub is said to take these over TCP alone.
func TestNodeAuthority(t *testing.T) {
	wanted(t)
	trusted, other := newAuthority(t, "trusted"), newAuthority(t, "other")
	s := openSite(t, hub.Config{VerifiedCAs: []*x509.Certificate{trusted.cert}})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"mqtt", "amqp"} {
		c := &court{s, j, transport}
		enroll := func(t *testing.T) (hubwire.Identity, func(*authority, string) *peer) {
			id := hubwire.Identity{DeviceID: fmt.Sprintf("signed-%d", serial.Add(1))}
			if _, err := s.Create(within(t), &hub.Device{Identity: id, Auth: hub.AuthCA}); err != nil {
				t.Fatal(err)
			}
			return id, func(a *authority, name string) *peer {
				cert, key, _ := a.issue(t, name)
				p := c.client(t, setup{ConnectionString: "HostName=localhost;DeviceId=" + id.DeviceID + ";x509=true", Transport: transport})
				p.do(t, "options", map[string]string{"cert": cert, "key": key})
				return p
			}
		}
		t.Run("a certificate of an authority over "+transport, func(t *testing.T) {
			id, show := enroll(t)
			p := show(trusted, id.DeviceID)
			events := s.events(t, id)
			p.do(t, "send", sdkMessage{Body: []byte("x")})
			ev := arrives(t, events, c.sent(id, hubwire.Message{Body: []byte("x")}))
			sameJSON(t, "auth method", `{"scope":"device","type":"x509","issuer":"iothub","acceptingIpFilterRule":null}`, []byte(ev.AuthMethod))
		})
		t.Run("refused: a certificate of another authority over "+transport, func(t *testing.T) {
			id, show := enroll(t)
			c.denied(t, show(other, id.DeviceID))
		})
		t.Run("refused: a certificate of another name over "+transport, func(t *testing.T) {
			_, show := enroll(t)
			c.denied(t, show(trusted, "somebody"))
		})
		t.Run("refused: a certificate of its own over "+transport, func(t *testing.T) {
			id, show := enroll(t)
			c.denied(t, show(nil, id.DeviceID))
		})
	}
}

// x509 has devices that show a certificate instead of a token.
func (c *court) x509(t *testing.T) {
	id := hubwire.Identity{DeviceID: "x509-" + c.transport}
	cert, key, thumbprint := certificate(t, id.DeviceID)
	otherCert, otherKey, _ := certificate(t, id.DeviceID)
	_, err := c.Create(within(t), &hub.Device{Identity: id, Auth: hub.AuthSelfSigned, PrimaryThumbprint: thumbprint})
	if err != nil {
		t.Fatal(err)
	}
	cs, err := c.ConnectionString(id)
	if err != nil {
		t.Fatal(err)
	}
	sasID, _ := c.device(t)
	login := func(t *testing.T, cs, cert, key string) *peer {
		p := c.client(t, setup{ConnectionString: cs, Transport: c.transport})
		p.do(t, "options", map[string]string{"cert": cert, "key": key})
		return p
	}
	t.Run("the right certificate", func(t *testing.T) {
		p := login(t, cs, cert, key)
		p.do(t, "open", nil)
		events := c.events(t, id)
		p.do(t, "send", sdkMessage{Body: []byte("x")})
		ev := arrives(t, events, c.sent(id, hubwire.Message{Body: []byte("x")}))
		sameJSON(t, "auth method", `{"scope":"device","type":"x509","issuer":"iothub","acceptingIpFilterRule":null}`, []byte(ev.AuthMethod))
		p.gives(t, `{"desired":{"$version":1},"reported":{"$version":1}}`, "twin", nil)
	})
	t.Run("another certificate of the same name", func(t *testing.T) {
		c.denied(t, login(t, cs, otherCert, otherKey))
	})
	t.Run("a certificate for a device that has keys", func(t *testing.T) {
		cs := "HostName=" + c.HostName() + ";DeviceId=" + sasID.DeviceID + ";x509=true"
		c.denied(t, login(t, cs, cert, key))
	})
}

// certificate makes a self-signed client certificate and returns it and its
// key as PEM, and its thumbprint.
func certificate(t *testing.T, name string) (cert, key, thumbprint string) {
	t.Helper()
	return (*authority)(nil).issue(t, name)
}

// authority is who signs certificates; nil has them signed by themselves.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, k}
}

func (a *authority) issue(t *testing.T, name string) (cert, key, thumbprint string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := tmpl, k
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &k.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), hex.EncodeToString(sum[:])
}
