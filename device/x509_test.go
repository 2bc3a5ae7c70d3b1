package device_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// authority signs certificates. It is valid by any clock, a bubble's too.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // what a peer that trusts the root alone has to be sent
}

func newAuthority(t *testing.T, name string, parent *authority) *authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	a := new(authority)
	a.cert, a.key = sign(t, template, parent)
	if parent != nil {
		a.chain = append([][]byte{a.cert.Raw}, parent.chain...)
	}
	return a
}

// issue makes a client certificate for name.
func (a *authority) issue(t *testing.T, name string, from, to time.Time) *tls.Certificate {
	t.Helper()
	cert, key := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to}, a)
	return &tls.Certificate{Certificate: append([][]byte{cert.Raw}, a.chain...), PrivateKey: key}
}

// sign makes a certificate from template; without a parent it is its own.
func sign(t *testing.T, template *x509.Certificate, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(1), true
	if parent == nil {
		parent = &authority{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, &key.PublicKey, parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// selfSigned makes a client certificate, and the thumbprint to register.
func selfSigned(t *testing.T) (cert *tls.Certificate, thumbprint string) {
	t.Helper()
	c, key := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "device"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}, nil)
	sum := sha256.Sum256(c.Raw)
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}, hex.EncodeToString(sum[:])
}

// x509Device is the identity of devices with certificates.
var x509Device = hubwire.Identity{DeviceID: "x509"}

// dialX509 opens a Client of d that shows what certificate gives.
func (b *bench) dialX509(d *hub.Device, certificate func() *tls.Certificate, change func(*device.Options)) (*device.Client, error) {
	b.t.Helper()
	d.Identity = x509Device
	if d.ETag == "" {
		created, err := b.hub.Create(b.t.Context(), d)
		if err != nil {
			b.t.Fatal(err)
		}
		*d = *created
	}
	cs, err := b.hub.ConnectionString(d.Identity)
	if err != nil {
		b.t.Fatal(err)
	}
	cred, err := device.CredentialsFromConnectionString(cs)
	if err != nil {
		b.t.Fatal(err)
	}
	cred.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate(), nil }
	c, err := device.DialCredentials(b.t.Context(), cred, b.transport, b.options(change))
	if err == nil {
		b.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func (b *bench) update(d *hub.Device) {
	b.t.Helper()
	updated, err := b.hub.Update(b.t.Context(), d, "")
	if err != nil {
		b.t.Fatal(err)
	}
	*d = *updated
}

// works sends a message and expects the hub to have it.
func (b *bench) works(c *device.Client, id string) {
	b.t.Helper()
	if err := c.Send(b.t.Context(), &hubwire.Message{ID: id}); err != nil {
		b.t.Fatalf("%s: %v", id, err)
	}
	if got := b.next().ID; got != id {
		b.t.Errorf("the hub got %q, want %q", got, id)
	}
}

func TestACertificateIsAskedForOnEachConnection(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		first, firstPrint := selfSigned(t)
		second, secondPrint := selfSigned(t)
		var now atomic.Pointer[tls.Certificate]
		now.Store(first)
		d := &hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: firstPrint, SecondaryThumbprint: firstPrint}
		c, err := b.dialX509(d, now.Load, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.works(c, "first")

		d.PrimaryThumbprint, d.SecondaryThumbprint = secondPrint, secondPrint
		now.Store(second)
		b.update(d) // cuts the connection of the old one
		b.awaitConnected(c)
		b.works(c, "second")

		now.Store(first)
		b.hub.Disconnect(x509Device)
		<-c.Done()
		if err := c.Err(); !errors.Is(err, hubwire.Unauthorized) {
			t.Errorf("with a certificate that was retired: %v", err)
		}
	})
}

// TestThumbprintsRoll follows the guide: the new certificate becomes the second
// one, the device goes over to it, and only then the old one is taken out.
func TestThumbprintsRoll(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		var lost atomic.Int32
		now, print := selfSigned(t)
		d := &hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: print}
		c, err := b.dialX509(d, func() *tls.Certificate { return now }, func(o *device.Options) {
			o.Hooks = &device.Hooks{State: func(s device.State, _ error) {
				if s == device.Connecting {
					lost.Add(1)
				}
			}}
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			name := strconv.Itoa(i)
			next, nextPrint := selfSigned(t)
			d.SecondaryThumbprint = nextPrint
			b.update(d)
			b.works(c, "with the old one, "+name)
			if n := lost.Load(); n != int32(i) {
				t.Fatalf("roll %d: %d connections lost, although the old one is still good", i, n)
			}
			now = next
			b.hub.Disconnect(x509Device)
			b.awaitConnected(c)
			d.PrimaryThumbprint, d.SecondaryThumbprint = nextPrint, ""
			b.update(d)
			b.works(c, "with the new one, "+name)
			if n := lost.Load(); n != int32(i+1) {
				t.Fatalf("roll %d: %d connections lost, want one for each roll", i, n)
			}
		}
	})
}

func TestCertificatesOfAnAuthority(t *testing.T) {
	root, foreign := newAuthority(t, "root", nil), newAuthority(t, "root", nil)
	middle := newAuthority(t, "lower", newAuthority(t, "upper", root))
	silent := &authority{cert: middle.cert, key: middle.key} // shows its own certificates to nobody
	const hour = time.Hour
	for _, tt := range []struct {
		name     string
		by       *authority
		cn       string
		from, to time.Duration
		ok       bool
	}{
		{"by the root", root, "x509", -hour, hour, true},
		{"by way of two intermediates", middle, "x509", -hour, hour, true},
		{"by way of intermediates that are not shown", silent, "x509", -hour, hour, false},
		{"by an authority of the same name", foreign, "x509", -hour, hour, false},
		{"for another device", root, "x508", -hour, hour, false},
		{"that has expired", root, "x509", -2 * hour, -hour, false},
		{"that is not valid yet", root, "x509", hour, 2 * hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			overAll(t, hub.Config{VerifiedCAs: []*x509.Certificate{root.cert}}, func(t *testing.T, b *bench) {
				cert := tt.by.issue(t, tt.cn, time.Now().Add(tt.from), time.Now().Add(tt.to))
				start := time.Now()
				c, err := b.dialX509(&hub.Device{Auth: hub.AuthCA}, func() *tls.Certificate { return cert }, nil)
				if tt.ok {
					if err != nil {
						t.Fatal(err)
					}
					b.works(c, "hello")
					return
				}
				var e *hubwire.Error
				if !errors.As(err, &e) || e.Code != hubwire.Unauthorized || e.Retryable || e.Outcome != hubwire.Refused || time.Since(start) > 0 {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// TestACertificateIsReplacedBeforeItEnds has one of ten hours, and a program
// that makes a new one whenever it is asked, or never.
func TestACertificateIsReplacedBeforeItEnds(t *testing.T) {
	root := newAuthority(t, "root", nil)
	const life = 10 * time.Hour
	overEach(t, hub.Config{VerifiedCAs: []*x509.Certificate{root.cert}}, func(t *testing.T, b *bench) {
		var made []time.Time
		var renewals atomic.Int32
		c, err := b.dialX509(&hub.Device{Auth: hub.AuthCA}, func() *tls.Certificate {
			made = append(made, time.Now())
			return root.issue(t, "x509", time.Now(), time.Now().Add(life))
		}, func(o *device.Options) {
			o.Hooks = &device.Hooks{State: func(s device.State, reason error) {
				switch s {
				case device.Renewing:
					renewals.Add(1)
				case device.Connecting:
					t.Errorf("a connection was lost: %v", reason)
				}
			}}
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			b.works(c, strconv.Itoa(i))
			time.Sleep(time.Hour)
		}
		if n := int(renewals.Load()); n != 12 || len(made) != n+1 {
			t.Fatalf("%d renewals and %d certificates in ten times their life", n, len(made))
		}
		for i := range made[1:] {
			if d := made[i+1].Sub(made[i]); d < (life-time.Second)*78/100 || d > life*82/100 { // a certificate ends on a whole second
				t.Errorf("certificate %d was replaced after %v", i, d)
			}
		}
	})
	overEach(t, hub.Config{VerifiedCAs: []*x509.Certificate{root.cert}}, func(t *testing.T, b *bench) {
		cert := root.issue(t, "x509", time.Now(), time.Now().Add(life))
		var asked atomic.Int32
		c, err := b.dialX509(&hub.Device{Auth: hub.AuthCA}, func() *tls.Certificate { asked.Add(1); return cert }, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * life)
		if n := asked.Load(); n > 20 {
			t.Errorf("a certificate that nobody replaced made %d connections", n)
		}
		b.works(c, "the hub lets who is in stay")
		b.hub.Disconnect(x509Device)
		<-c.Done()
		if err := c.Err(); !errors.Is(err, hubwire.Unauthorized) {
			t.Errorf("with a certificate that has expired: %v", err)
		}
	})
}

// TestThumbprintsRollAlsoWhereSessionsCouldBeResumed has a program that keeps TLS sessions. One that is resumed has
// the certificate of the connection that it began with.
func TestThumbprintsRollAlsoWhereSessionsCouldBeResumed(t *testing.T) {
	overAll(t, hub.Config{}, func(t *testing.T, b *bench) {
		now, print := selfSigned(t)
		d := &hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: print}
		c, err := b.dialX509(d, func() *tls.Certificate { return now }, func(o *device.Options) {
			o.TLSConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		})
		if err != nil {
			t.Fatal(err)
		}
		b.works(c, "with the old one")
		now, d.PrimaryThumbprint = selfSigned(t)
		b.update(d)
		b.hub.Disconnect(x509Device)
		b.works(c, "with the new one")
	})
}

func TestACertificateThatIsNotGivenIsAnError(t *testing.T) {
	for _, tr := range append(everywhere(), device.Auto(nil)) {
		over(t, tr, hub.Config{}, func(t *testing.T, b *bench) {
			cred := device.Credentials{HostName: "localhost", Identity: dev}
			cred.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil }
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := device.DialCredentials(ctx, cred, tr, b.options(nil)); !strings.Contains(err.Error(), "GetClientCertificate gave neither") {
				t.Errorf("over %s: %v", tr, err)
			}
		})
	}
}

// TestTheHubsRootIsReplaced moves the hub to another one, with an authority of
// its own: a client that trusts both does not mind.
func TestTheHubsRootIsReplaced(t *testing.T) {
	overEach(t, hub.Config{}, func(t *testing.T, b *bench) {
		old, err := b.hub.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		other := hubtest.Start(t, &hub.Config{InMemory: true})
		if _, err := other.Create(t.Context(), &hub.Device{Identity: dev, PrimaryKey: old.PrimaryKey, SecondaryKey: old.SecondaryKey}); err != nil {
			t.Fatal(err)
		}
		var now atomic.Pointer[hub.Hub]
		now.Store(b.hub)
		c := b.dial(b.device, func(o *device.Options) {
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return now.Load().Dial(ctx, network, addr)
			}
			if !o.TLSConfig.RootCAs.AppendCertsFromPEM(other.CAPEM()) {
				t.Fatal("no second root")
			}
		})
		b.works(c, "under the old root")
		now.Store(other)
		b.hub.Disconnect(dev)
		if err := c.Send(t.Context(), &hubwire.Message{ID: "under the new root"}); err != nil {
			t.Fatal(err)
		}
		if !other.Connected(dev) || b.hub.Connected(dev) {
			t.Error("the client did not move")
		}
		now.Store(b.hub)
		other.Disconnect(dev)
		b.works(c, "and back")
	})
}
