package hub_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

func TestAMQPPutToken(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	tests := []struct {
		name   string
		token  func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string
		status int32
		opens  []hubwire.Identity // whose telemetry links are then accepted
	}{
		{"of a device", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(key(dev), audience(dev), "", in(time.Hour))
		}, 200, []hubwire.Identity{dev}},
		{"of a module", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(key(mod), audience(mod), "", in(time.Hour))
		}, 200, []hubwire.Identity{mod}},
		{"of a policy for devices", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(policyKey(t, h, "device"), "localhost", "device", in(time.Hour))
		}, 200, []hubwire.Identity{dev, other, mod}},
		{"of that policy for one device", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(policyKey(t, h, "device"), audience(other), "device", in(time.Hour))
		}, 200, []hubwire.Identity{other}},
		{"of a policy for services", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(policyKey(t, h, "service"), "localhost", "service", in(time.Hour))
		}, 200, nil},
		{"expired within the skew", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(key(dev), audience(dev), "", in(-4*time.Minute))
		}, 200, []hubwire.Identity{dev}},
		{"expired", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(key(dev), audience(dev), "", in(-6*time.Minute))
		}, 401, nil},
		{"signed by another", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(key(other), audience(dev), "", in(time.Hour))
		}, 401, nil},
		{"of an unknown device", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(key(dev), "localhost/devices/x", "", in(time.Hour))
		}, 401, nil},
		{"of an unknown policy", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return token(key(dev), "localhost", "x", in(time.Hour))
		}, 401, nil},
		{"of Entra ID", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string {
			return "Bearer e30.e30.e30"
		}, 401, nil},
		{"that is none", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string { return "secret" }, 401, nil},
		{"that is empty", func(t *testing.T, h *hub.Hub, key func(hubwire.Identity) hub.Secret) string { return "" }, 400, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				key := func(id hubwire.Identity) hub.Secret {
					d, err := h.Device(id)
					if err != nil {
						t.Fatal(err)
					}
					return d.PrimaryKey
				}
				c := dialAMQP(t, h, nil)
				if got := c.put("localhost", tt.token(t, h, key)); got != tt.status {
					t.Errorf("status %d, want %d", got, tt.status)
				}
				wantTelemetryLinks(t, h, c, tt.opens...)
			})
		})
	}
}

// wantTelemetryLinks checks whose links are accepted: of these identities, and of no other.
func wantTelemetryLinks(t *testing.T, h *hub.Hub, c *amqpClient, allowed ...hubwire.Identity) {
	t.Helper()
	s := c.session()
	for _, id := range []hubwire.Identity{dev, other, mod} {
		_, err := s.NewSender(t.Context(), eventsAddress(id), nil)
		want := goamqp.ErrCondUnauthorizedAccess
		for _, a := range allowed {
			if a == id {
				want = ""
			}
		}
		wantCondition(t, "a link of "+id.String(), err, want)
		if connected := h.Connected(id); connected != (want == "") {
			t.Errorf("%v is connected: %v", id, connected)
		}
	}
}

func TestAMQPWithoutAToken(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		wantTelemetryLinks(t, h, c)
		for _, source := range []string{"devices/dev-1/messages/devicebound", "devices/dev-1/methods/devicebound", "devices/dev-1/twin"} {
			_, err := c.session().NewReceiver(t.Context(), source, nil)
			wantCondition(t, source, err, goamqp.ErrCondUnauthorizedAccess)
		}
		c.login(h, dev) // it is not too late
		wantTelemetryLinks(t, h, c, dev)
	})
}

func TestAMQPWithoutAnyCredentialIsClosedInTime(t *testing.T) {
	bubble(t, &hub.Config{ConnectTimeout: time.Minute}, func(t *testing.T, h *hub.Hub) {
		c, l := dialAMQP(t, h, nil), dialAMQP(t, h, nil)
		l.login(h, dev)
		time.Sleep(61 * time.Second)
		_, err := c.conn.NewSession(t.Context(), nil)
		wantCondition(t, "a connection that showed nothing", err, goamqp.ErrCondUnauthorizedAccess)
		l.session()
	})
}

func TestAMQPUnknownAddresses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		s := c.session()
		for _, address := range []string{"", "x", "/devices/dev-1", "/devices/dev-1/messages/devicebound", "/devices//messages/events", "/devices/a/b/messages/events"} {
			_, err := s.NewSender(t.Context(), address, nil)
			wantCondition(t, "a sender to "+address, err, goamqp.ErrCondNotFound)
		}
		for _, address := range []string{"x", "/devices/dev-1/messages/events"} {
			_, err := s.NewReceiver(t.Context(), address, nil)
			wantCondition(t, "a receiver from "+address, err, goamqp.ErrCondNotFound)
		}
		for _, address := range []string{
			"devices/dev-1/messages/events", "amqps://localhost:5671/devices/dev-1/messages/events", "/Devices/dev%2D1/Messages/EVENTS/",
		} {
			sender(t, s, address, nil)
		}
	})
}

func TestAMQPSASL(t *testing.T) {
	deviceToken := func(t *testing.T, h *hub.Hub, id hubwire.Identity) string {
		d, err := h.Device(id)
		if err != nil {
			t.Fatal(err)
		}
		return token(d.PrimaryKey, audience(id), "", time.Now().Add(time.Hour))
	}
	plain := func(user string, id hubwire.Identity) func(t *testing.T, h *hub.Hub) goamqp.SASLType {
		return func(t *testing.T, h *hub.Hub) goamqp.SASLType {
			return goamqp.SASLTypePlain(user, deviceToken(t, h, id))
		}
	}
	tests := []struct {
		name  string
		sasl  func(t *testing.T, h *hub.Hub) goamqp.SASLType
		ok    bool
		opens []hubwire.Identity
	}{
		{"anonymous", func(*testing.T, *hub.Hub) goamqp.SASLType { return goamqp.SASLTypeAnonymous() }, true, nil},
		{"external without a certificate", func(*testing.T, *hub.Hub) goamqp.SASLType { return goamqp.SASLTypeExternal("") }, true, nil},
		{"plain, of a device", plain("dev-1@sas.localhost", dev), true, []hubwire.Identity{dev}},
		{"plain, of a device in another form", plain("dev-1@localhost", dev), true, []hubwire.Identity{dev}},
		{"plain, of a module", plain("dev-1/modules/mod@sas.localhost", mod), true, []hubwire.Identity{mod}},
		{"plain, of an escaped device", plain("dev%2D1@sas.LOCALHOST", dev), true, []hubwire.Identity{dev}},
		{"plain, of a policy", func(t *testing.T, h *hub.Hub) goamqp.SASLType {
			return goamqp.SASLTypePlain("device@sas.root.localhost", token(policyKey(t, h, "device"), "localhost", "device", time.Now().Add(time.Hour)))
		}, true, []hubwire.Identity{dev, other, mod}},
		{"plain, of a policy with its key", func(t *testing.T, h *hub.Hub) goamqp.SASLType {
			return goamqp.SASLTypePlain("service", policyKey(t, h, "service").Reveal())
		}, true, nil},
		{"plain, with another's token", plain("dev-1@sas.localhost", other), false, nil},
		{"plain, of another hub", plain("dev-1@sas.elsewhere", dev), false, nil},
		{"plain, with the wrong key", func(*testing.T, *hub.Hub) goamqp.SASLType { return goamqp.SASLTypePlain("service", "c2VjcmV0") }, false, nil},
		{"plain, of no identity", plain("@sas.localhost", dev), false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				raw, err := h.Dial(t.Context(), "tcp", "localhost:5671")
				if err != nil {
					t.Fatal(err)
				}
				cfg := h.ClientTLS()
				cfg.ServerName = "localhost"
				conn, err := goamqp.NewConn(t.Context(), tls.Client(raw, cfg), &goamqp.ConnOptions{SASLType: tt.sasl(t, h)})
				if (err == nil) != tt.ok {
					t.Fatalf("connecting: %v", err)
				}
				if err != nil {
					return
				}
				defer conn.Close()
				c := &amqpClient{t, conn}
				wantTelemetryLinks(t, h, c, tt.opens...)
				c.login(h, other) // it may always show more
			})
		})
	}
}

func TestAMQPX509(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		own := certificate(t, "x", nil)
		sum := sha256.Sum256(own.Leaf.Raw)
		id := hubwire.Identity{DeviceID: "x509"}
		d, err := h.Create(t.Context(), &hub.Device{Identity: id, Auth: hub.AuthSelfSigned, PrimaryThumbprint: hex.EncodeToString(sum[:])})
		if err != nil {
			t.Fatal(err)
		}
		c := dialAMQP(t, h, nil, *own)
		s := c.session()
		if err := sender(t, s, eventsAddress(id), nil).Send(t.Context(), goamqp.NewMessage([]byte("hi")), nil); err != nil {
			t.Error(err)
		}
		_, err = s.NewSender(t.Context(), eventsAddress(dev), nil)
		wantCondition(t, "another device", err, goamqp.ErrCondUnauthorizedAccess)
		time.Sleep(50 * time.Minute) // its end would not matter, nor is it late with a token
		r := receiver(t, s, addressOf(id, "messages/devicebound"), nil)
		d.PrimaryThumbprint = strings.Repeat("0", 40)
		if _, err := h.Update(t.Context(), d, ""); err != nil {
			t.Fatal(err)
		}
		_, err = r.Receive(t.Context(), nil)
		wantCondition(t, "a link whose certificate is none of the device's any more", err, goamqp.ErrCondUnauthorizedAccess)
	})
}

func TestAMQPConnectsThrottled(t *testing.T) {
	bubble(t, &hub.Config{Throttle: hub.Throttle{Connects: 1}}, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		c.login(h, other)
		s := c.session()
		sender(t, s, eventsAddress(dev), nil)
		_, err := s.NewSender(t.Context(), eventsAddress(other), nil)
		wantCondition(t, "a second device", err, "com.microsoft:device-container-throttled")
		sender(t, s, eventsAddress(dev), nil) // no new device
		time.Sleep(time.Second)
		sender(t, s, eventsAddress(other), nil)
	})
}
