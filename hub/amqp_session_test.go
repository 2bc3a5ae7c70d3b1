package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// amqpDevice is a connection with links of one device, that end in one way or another.
type amqpDevice struct {
	*amqpClient
	c2d *goamqp.Receiver
	d2c *goamqp.Sender
}

func openAMQPDevice(t testing.TB, h *hub.Hub, id hubwire.Identity) *amqpDevice {
	c := dialAMQP(t, h, nil)
	c.login(h, id)
	return c.open(id)
}

// open attaches the links of a device, in a session of its own.
func (c *amqpClient) open(id hubwire.Identity) *amqpDevice {
	c.t.Helper()
	s := c.session()
	return &amqpDevice{c, receiver(c.t, s, addressOf(id, "messages/devicebound"), nil), sender(c.t, s, eventsAddress(id), nil)}
}

// ended checks that both links have ended with a condition, or only just ended.
func (d *amqpDevice) ended(want goamqp.ErrCond) {
	d.t.Helper()
	_, err := d.c2d.Receive(d.t.Context(), nil)
	wantCondition(d.t, "the C2D link", err, want)
	wantCondition(d.t, "the telemetry link", d.d2c.Send(d.t.Context(), goamqp.NewMessage(nil), nil), want)
}

// closed checks that the connection is closed with a condition, if only after the moment in which the
// peer may do that itself.
func (c *amqpClient) closed(want goamqp.ErrCond) {
	c.t.Helper()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	_, err := c.conn.NewSession(c.t.Context(), nil)
	wantCondition(c.t, "the connection", err, want)
}

// works checks that telemetry goes through.
func (d *amqpDevice) works() {
	d.t.Helper()
	if err := d.d2c.Send(d.t.Context(), goamqp.NewMessage([]byte("hi")), nil); err != nil {
		d.t.Errorf("telemetry: %v", err)
	}
}

func TestAMQPTakeOver(t *testing.T) {
	t.Run("by another AMQP connection", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			first := openAMQPDevice(t, h, dev)
			second := openAMQPDevice(t, h, dev)
			first.ended(goamqp.ErrCondStolen)
			first.session() // for a moment it still has answers
			first.closed(goamqp.ErrCondStolen)
			second.works()
		})
	})
	t.Run("by MQTT", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			first := openAMQPDevice(t, h, dev)
			second := connect(t, h, dev, nil)
			first.ended(goamqp.ErrCondStolen)
			second.ping()
		})
	})
	t.Run("of MQTT", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			first := connect(t, h, dev, nil)
			second := openAMQPDevice(t, h, dev)
			first.closed()
			second.works()
		})
	})
	t.Run("leaves others alone", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			gateway := openAMQPDevice(t, h, dev)
			gateway.login(h, other)
			sibling := gateway.open(other)
			second := openAMQPDevice(t, h, dev)
			gateway.ended(goamqp.ErrCondStolen)
			sibling.works()
			second.works()
			again := gateway.open(dev) // back on the same connection, by the token of before
			second.ended(goamqp.ErrCondStolen)
			again.works()
		})
	})
	t.Run("not by its own connection", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			first := openAMQPDevice(t, h, dev)
			second := first.open(dev) // in another session, as when a pool connects again
			second.works()
			first.works()
			_, err := first.c2d.Receive(t.Context(), nil)
			wantCondition(t, "the older C2D link", err, goamqp.ErrCondStolen)
			sendC2D(t, h, dev, "hi")
			if m, err := second.c2d.Receive(t.Context(), nil); err != nil || string(m.GetData()) != "hi" {
				t.Errorf("received %v, %v", m, err)
			}
		})
	})
}

func TestAMQPConnectedIsWhoHasLinks(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		c := dialAMQP(t, h, nil)
		c.login(h, dev)
		if h.Connected(dev) {
			t.Error("a token alone connects")
		}
		d := c.open(dev)
		if err := d.c2d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !h.Connected(dev) {
			t.Error("the first link that is detached disconnects")
		}
		if err := d.d2c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h.Connected(dev) {
			t.Error("the last link that is detached does not disconnect")
		}
		c.open(dev)
		c.conn.Close()
		synctest.Wait()
		if h.Connected(dev) {
			t.Error("the end of the connection does not disconnect")
		}
		if h.Disconnect(dev) {
			t.Error("there was somebody to disconnect")
		}
		d = openAMQPDevice(t, h, dev)
		if !h.Disconnect(dev) {
			t.Error("there was nobody to disconnect")
		}
		d.ended("")
	})
}

func TestAMQPTokenExpires(t *testing.T) {
	const skew = 5 * time.Minute
	soon := func() time.Time { return time.Now().Add(time.Minute) }
	t.Run("of the only device", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			c := dialAMQP(t, h, nil)
			c.loginUntil(h, dev, soon())
			d := c.open(dev)
			time.Sleep(skew + 50*time.Second)
			d.works()
			time.Sleep(20 * time.Second)
			d.ended(goamqp.ErrCondUnauthorizedAccess)
			c.closed(goamqp.ErrCondUnauthorizedAccess)
		})
	})
	t.Run("of one device of two", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			c := dialAMQP(t, h, nil)
			c.loginUntil(h, dev, soon())
			c.login(h, other)
			d, sibling := c.open(dev), c.open(other)
			time.Sleep(skew + 70*time.Second)
			d.ended(goamqp.ErrCondUnauthorizedAccess)
			sibling.works()
			_, err := c.session().NewSender(t.Context(), eventsAddress(dev), nil)
			wantCondition(t, "a new link", err, goamqp.ErrCondUnauthorizedAccess)
		})
	})
	t.Run("of a policy that speaks for several", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			c := dialAMQP(t, h, nil)
			if status := c.put("localhost", token(policyKey(t, h, "device"), "localhost", "device", soon())); status != 200 {
				t.Fatal(status)
			}
			ds := []*amqpDevice{c.open(dev), c.open(other), c.open(mod)}
			time.Sleep(skew + time.Minute)
			synctest.Wait()
			c.session() // for a moment it still has answers
			for _, d := range ds {
				d.ended(goamqp.ErrCondUnauthorizedAccess)
			}
			c.closed(goamqp.ErrCondUnauthorizedAccess)
		})
	})
	t.Run("without any links", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			c := dialAMQP(t, h, nil)
			c.loginUntil(h, dev, soon())
			time.Sleep(skew + 70*time.Second)
			c.closed(goamqp.ErrCondUnauthorizedAccess)
		})
	})
	t.Run("but was renewed", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			c := dialAMQP(t, h, nil)
			c.loginUntil(h, dev, soon())
			d := c.open(dev)
			c.login(h, dev)
			if status := c.put(audience(dev), "none"); status != 401 { // which changes nothing
				t.Errorf("status %d", status)
			}
			time.Sleep(skew + 55*time.Minute)
			d.works()
			time.Sleep(10 * time.Minute)
			d.ended(goamqp.ErrCondUnauthorizedAccess)
		})
	})
	t.Run("but that of the policy was renewed", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			c := dialAMQP(t, h, nil)
			for _, in := range []time.Duration{time.Minute, time.Hour} {
				if status := c.put("localhost", token(policyKey(t, h, "device"), "localhost", "device", time.Now().Add(in))); status != 200 {
					t.Fatal(status)
				}
				if in == time.Minute {
					c.open(dev)
				}
			}
			d := c.open(mod)
			time.Sleep(skew + 10*time.Minute)
			d.works()
			if !h.Connected(dev) {
				t.Error("who connected before the renewal was not renewed")
			}
		})
	})
}

func TestAMQPDeviceIsSentAway(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, h *hub.Hub) error
		want goamqp.ErrCond
	}{
		{"it is disabled", func(t *testing.T, h *hub.Hub) error {
			d, err := h.Device(dev)
			if err != nil {
				return err
			}
			d.Disabled = true
			_, err = h.Update(t.Context(), d, "")
			return err
		}, goamqp.ErrCondUnauthorizedAccess},
		{"it is deleted", func(t *testing.T, h *hub.Hub) error { return h.Delete(t.Context(), dev) }, goamqp.ErrCondNotFound},
		{"its keys are new", func(t *testing.T, h *hub.Hub) error {
			_, err := h.Update(t.Context(), &hub.Device{Identity: dev}, "")
			return err
		}, goamqp.ErrCondUnauthorizedAccess},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				gateway := openAMQPDevice(t, h, dev)
				gateway.login(h, other)
				sibling := gateway.open(other)
				if err := tt.do(t, h); err != nil {
					t.Fatal(err)
				}
				gateway.ended(tt.want)
				sibling.works()
				_, err := gateway.session().NewSender(t.Context(), eventsAddress(dev), nil)
				wantCondition(t, "a new link", err, goamqp.ErrCondUnauthorizedAccess)
			})
		})
	}
}

func TestAMQPHubCloses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		d, idle := openAMQPDevice(t, h, dev), dialAMQP(t, h, nil)
		tunnel := dialAMQPWS(t, h)
		tunnel.login(h, other)
		tunnel.open(other).works()
		start := time.Now()
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v", took)
		}
		// Its links are detached first, but go-amqp may be slower to say so than to hear of the close.
		err := d.d2c.Send(t.Context(), goamqp.NewMessage(nil), nil)
		if got := conditionOf(err); got != goamqp.ErrCondDetachForced && got != goamqp.ErrCondConnectionForced {
			t.Errorf("the telemetry link: %v", err)
		}
		idle.closed(goamqp.ErrCondConnectionForced)
	})
}
