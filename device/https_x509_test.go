package device_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// TestHTTPSACertificateIsAskedForOnEachConnection has no connection that the hub could cut: a
// certificate that was retired is refused on the one that the client keeps, and the next one shows its successor.
func TestHTTPSACertificateIsAskedForOnEachConnection(t *testing.T) {
	overHTTPS(t, device.HTTPSOptions{}, hub.Config{}, func(t *testing.T, b *bench) {
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

		now.Store(second)
		d.PrimaryThumbprint, d.SecondaryThumbprint = secondPrint, secondPrint
		b.update(d)
		b.works(c, "second")

		now.Store(first)
		d.PrimaryThumbprint = firstPrint // both are good, and then one is
		b.update(d)
		b.works(c, "still the second")
		d.SecondaryThumbprint = ""
		b.update(d)
		b.works(c, "first again")

		d.PrimaryThumbprint = secondPrint
		b.update(d)
		err = c.Send(t.Context(), &hubwire.Message{})
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Code != hubwire.Unauthorized || e.Retryable {
			t.Errorf("with a certificate that was retired: %v", err)
		}
		<-c.Done()
	})
}

// TestHTTPSThumbprintsRoll is TestThumbprintsRoll without connections that stand.
func TestHTTPSThumbprintsRoll(t *testing.T) {
	overHTTPS(t, device.HTTPSOptions{}, hub.Config{}, func(t *testing.T, b *bench) {
		cert, print := selfSigned(t)
		var now atomic.Pointer[tls.Certificate]
		now.Store(cert)
		d := &hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: print}
		c, err := b.dialX509(d, now.Load, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			next, nextPrint := selfSigned(t)
			d.SecondaryThumbprint = nextPrint
			b.update(d)
			b.works(c, "with the old one, "+strconv.Itoa(i))
			now.Store(next)
			b.works(c, "on the same connection, "+strconv.Itoa(i))
			d.PrimaryThumbprint, d.SecondaryThumbprint = nextPrint, ""
			b.update(d)
			b.works(c, "with the new one, "+strconv.Itoa(i))
		}
	})
}

// TestHTTPSThumbprintsRollUnderLoad has all connections in use while certificates are replaced: what one of them
// is refused is asked again by one that shows the new certificate, and not by another old one.
func TestHTTPSThumbprintsRollUnderLoad(t *testing.T) {
	overHTTPS(t, device.HTTPSOptions{Linger: -1, Connections: 10}, hub.Config{}, func(t *testing.T, b *bench) {
		cert, print := selfSigned(t)
		var now atomic.Pointer[tls.Certificate]
		now.Store(cert)
		d := &hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: print}
		c, err := b.dialX509(d, now.Load, nil)
		if err != nil {
			t.Fatal(err)
		}
		var stop atomic.Bool
		var senders sync.WaitGroup
		for range 10 {
			senders.Go(func() {
				for !stop.Load() {
					if err := c.Send(t.Context(), &hubwire.Message{}); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		for range 10 {
			next, nextPrint := selfSigned(t)
			d.SecondaryThumbprint = nextPrint
			b.update(d)
			now.Store(next)
			time.Sleep(20 * time.Millisecond)
			d.PrimaryThumbprint, d.SecondaryThumbprint = nextPrint, ""
			b.update(d)
			time.Sleep(20 * time.Millisecond)
		}
		stop.Store(true)
		senders.Wait()
	})
}

// TestHTTPSTheHubsRootIsReplaced is TestTheHubsRootIsReplaced, without connections that stand.
func TestHTTPSTheHubsRootIsReplaced(t *testing.T) {
	overHTTPS(t, device.HTTPSOptions{}, hub.Config{}, func(t *testing.T, b *bench) {
		old, err := b.hub.Device(dev)
		if err != nil {
			t.Fatal(err)
		}
		other := hubtest.Start(t, &hub.Config{InMemory: true})
		if _, err := other.Create(t.Context(), &hub.Device{Identity: dev, PrimaryKey: old.PrimaryKey, SecondaryKey: old.SecondaryKey}); err != nil {
			t.Fatal(err)
		}
		events, err := other.Events(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var now atomic.Pointer[hub.Hub]
		now.Store(b.hub)
		moving := func(o *device.Options) {
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return now.Load().Dial(ctx, network, addr)
			}
		}
		c := b.dial(b.device, func(o *device.Options) {
			moving(o)
			o.TLSConfig = o.TLSConfig.Clone()
			o.TLSConfig.RootCAs = o.TLSConfig.RootCAs.Clone()
			if !o.TLSConfig.RootCAs.AppendCertsFromPEM(other.CAPEM()) {
				t.Fatal("no second root")
			}
		})
		unready := b.dial(b.device, moving)
		b.works(c, "under the old root")
		b.works(unready, "under the old root")
		now.Store(other)
		time.Sleep(10 * time.Minute) // the connections go
		if err := c.Send(t.Context(), &hubwire.Message{ID: "under the new root"}); err != nil {
			t.Fatal(err)
		}
		if ev, err := events.Next(t.Context()); err != nil || ev.ID != "under the new root" {
			t.Errorf("the other hub got %v, %v", ev, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = unready.Send(ctx, &hubwire.Message{})
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || e.Outcome != hubwire.NotSent {
			t.Errorf("who trusts the old root alone: %v", err)
		}
		now.Store(b.hub)
		time.Sleep(10 * time.Minute)
		b.works(c, "and back")
	})
}

// TestUploadsShowTheCertificate has devices with certificates ask for uploads, beside each protocol. The one
// of the second upload is another.
func TestUploadsShowTheCertificate(t *testing.T) {
	root := newAuthority(t, "root", nil)
	overUploads(t, hub.Config{VerifiedCAs: []*x509.Certificate{root.cert}}, func(t *testing.T, b *bench) {
		var now atomic.Pointer[tls.Certificate]
		renew := func() { now.Store(root.issue(t, "x509", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))) }
		renew()
		c, err := b.dialX509(&hub.Device{Auth: hub.AuthCA}, now.Load, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			u := initiate(t, c, fmt.Sprint(i))
			if err := write(t.Context(), c, u, "body"); err != nil {
				t.Fatal(err)
			}
			if err := c.CompleteUpload(t.Context(), u.CorrelationID); err != nil {
				t.Fatal(err)
			}
			if n := b.notified(); n.DeviceID != "x509" || n.BlobName != u.BlobName {
				t.Errorf("%+v", n)
			}
			time.Sleep(50 * time.Minute)
			renew()
		}
		time.Sleep(2 * time.Hour)
		if _, err := c.InitiateUpload(t.Context(), "x"); !errors.Is(err, hubwire.Unauthorized) {
			t.Errorf("with a certificate that has expired: %v", err)
		}
	})
}
