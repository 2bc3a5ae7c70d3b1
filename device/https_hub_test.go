package device_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// overHTTPS runs a test with a hub and a client's transport to it that polls each second.
func overHTTPS(t *testing.T, o device.HTTPSOptions, cfg hub.Config, test func(*testing.T, *bench)) {
	t.Helper()
	o.PollInterval = time.Second
	over(t, device.HTTPS(&o), cfg, test)
}

func TestHTTPSTelemetryArrivesAsItWasSent(t *testing.T) {
	moment := time.Date(2024, 2, 29, 23, 59, 59, 123456700, time.UTC)
	messages := map[string]*hubwire.Message{
		"plain":   {Body: []byte(`{"temperature":21}`)},
		"nothing": {},
		"every system property": {
			Body: []byte("b"), ID: "id 1/+", CorrelationID: "c&=%", UserID: "u", To: "/there", ContentType: "application/json",
			ContentEncoding: "utf-8", CreationTime: moment, Expiry: moment.Add(time.Hour), Component: "thermostat",
			InterfaceID: "urn:azureiot:Security:SecurityAgent:1", Schema: "s",
		},
		"all characters there are":          {Properties: []hubwire.Property{{Name: "!#$%&'*+-.^_`|~09az", Value: "!#$%&'*+-.^_`|~09azAZ"}, {Name: "empty"}}},
		"a system property without a field": {Properties: []hubwire.Property{{Name: "$.xyz", Value: "kept"}}},
		"duplicates":                        {Properties: []hubwire.Property{{Name: "b", Value: "1"}, {Name: "b", Value: "3"}}},
		"the largest body":                  {Body: make([]byte, hubwire.MaxTelemetrySize)},
	}
	for name, linger := range map[string]time.Duration{"alone": -1, "together": time.Second} {
		t.Run(name, func(t *testing.T) {
			overHTTPS(t, device.HTTPSOptions{Linger: linger}, hub.Config{}, func(t *testing.T, b *bench) {
				for _, who := range []struct {
					id hubwire.Identity
					by string
				}{{dev, b.device}, {mod, b.module}} {
					c := b.dial(who.by, nil)
					for name, m := range messages {
						if err := c.SendAll(t.Context(), []*hubwire.Message{m, m}); err != nil {
							t.Errorf("%s: %v", name, err)
							continue
						}
						for range 2 {
							ev := b.next()
							if !bytes.Equal(m.Body, ev.Body) {
								t.Errorf("%s: the body has changed", name)
							}
							if diff := cmp.Diff(*m, ev.Message, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(*m, "Body")); diff != "" {
								t.Errorf("%s (-want +got):\n%s", name, diff)
							}
							if ev.Source != who.id {
								t.Errorf("%s is from %v", name, ev.Source)
							}
						}
					}
				}
				b.noMore()
			})
		})
	}
}

func TestHTTPSAMessageIsReceivedAsItWasSent(t *testing.T) {
	want := hubwire.Message{
		Body: []byte("b"), ID: "id", CorrelationID: "c", UserID: "u", ContentType: "text/plain", ContentEncoding: "utf-8",
		Expiry: time.Date(2100, 1, 1, 0, 0, 0, 123456700, time.UTC), Ack: hubwire.AckFull, Properties: []hubwire.Property{{Name: "a", Value: "v"}, {Name: "empty"}},
	}
	overHTTPS(t, device.HTTPSOptions{}, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		go b.hub.SendC2D(t.Context(), dev, &want)
		m := b.receive(c, "b")
		if diff := cmp.Diff(want, m.Message, cmpopts.IgnoreFields(hubwire.Message{}, "To")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if m.To == "" || m.LockToken == "" || m.SequenceNumber == 0 || m.EnqueuedTime.IsZero() || m.DeliveryCount != 0 || m.Redelivered {
			t.Errorf("%+v", m)
		}
	})
}

func TestHTTPSWhatTheSenderHears(t *testing.T) {
	overHTTPS(t, device.HTTPSOptions{}, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		send := func(id string) *hubwire.Received {
			t.Helper()
			if err := b.hub.SendC2D(t.Context(), dev, &hubwire.Message{ID: id, Body: []byte(id), Ack: hubwire.AckFull}); err != nil {
				t.Fatal(err)
			}
			return b.receive(c, id)
		}
		if err := send("completed").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		if err := send("rejected").Reject(t.Context()); err != nil {
			t.Error(err)
		}
		if err := send("abandoned").Abandon(t.Context()); err != nil {
			t.Error(err)
		}
		if m := b.receive(c, "abandoned"); m.DeliveryCount != 1 || !m.Redelivered {
			t.Errorf("the second time: %+v", m)
		} else if err := m.Complete(t.Context()); err != nil {
			t.Error(err)
		}
		m := send("forgotten")
		time.Sleep(2 * time.Minute)
		if err := m.Complete(t.Context()); !errors.Is(err, hubwire.MessageLockLost) || m.Settled() {
			t.Errorf("after its lock: %v", err)
		}
		if err := b.receive(c, "forgotten").Complete(t.Context()); err != nil {
			t.Error(err)
		}
		got := map[string]string{}
		feedback, err := b.hub.Feedback(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range feedback {
			got[f.MessageID] = fmt.Sprint(f.Status)
		}
		want := map[string]string{"completed": "Success", "rejected": "Rejected", "abandoned": "Success", "forgotten": "Success"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
	})
}

func TestHTTPSALongerLock(t *testing.T) {
	overHTTPS(t, device.HTTPSOptions{LockTimeout: 5 * time.Minute}, hub.Config{}, func(t *testing.T, b *bench) {
		c := b.dial(b.device, nil)
		b.tell(dev, "a")
		m := b.receive(c, "a")
		time.Sleep(4 * time.Minute)
		if err := m.Complete(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHTTPSADeviceThatIsShutOut(t *testing.T) {
	for name, shut := range map[string]func(*bench) error{
		"disabled": func(b *bench) error {
			d, err := b.hub.Device(dev)
			if err == nil {
				d.Disabled = true
				_, err = b.hub.Update(b.t.Context(), d, "")
			}
			return err
		},
		"deleted": func(b *bench) error { return b.hub.Delete(b.t.Context(), dev) },
		"another key": func(b *bench) error {
			d, err := b.hub.Device(dev)
			if err == nil {
				d.PrimaryKey, d.SecondaryKey = hub.Secret{}, hub.Secret{}
				_, err = b.hub.Update(b.t.Context(), d, "")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			overHTTPS(t, device.HTTPSOptions{}, hub.Config{}, func(t *testing.T, b *bench) {
				c := b.dial(b.device, nil)
				received := make(chan error, 1)
				go func() { _, err := c.Receive(t.Context()); received <- err }()
				synctest.Wait()
				if err := shut(b); err != nil {
					t.Fatal(err)
				}
				err := <-received // by its next poll
				e, ok := errors.AsType[*hubwire.Error](err)
				if !ok || e.Retryable || e.Op != "receive" || e.Code == 0 {
					t.Errorf("%v", err)
				}
				<-c.Done()
				if c.State() != device.Closed || c.Err() == nil {
					t.Errorf("%v, %v", c.State(), c.Err())
				}
			})
		})
	}
}
