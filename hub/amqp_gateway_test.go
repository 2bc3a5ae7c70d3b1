package hub_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// TestAMQPGateway has a hundred devices on one connection, each with a session and a token of its own,
// of which a few are taken over and a few go by themselves.
func TestAMQPGateway(t *testing.T) {
	const size = 100
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		ids := make([]hubwire.Identity, size)
		for i := range ids {
			ids[i] = hubwire.Identity{DeviceID: fmt.Sprintf("leaf-%d", i)}
		}
		create(t, h, ids...)
		c := dialAMQP(t, h, nil)
		synctest.Wait()
		idle := runtime.NumGoroutine()
		devices := make([]*amqpDevice, size)
		for i, id := range ids {
			c.login(h, id)
			devices[i] = c.open(id)
		}
		synctest.Wait()                                     // until those of the sessions of $cbs have ended
		if n := runtime.NumGoroutine() - idle; n > 5*size { // go-amqp has some for each session and link
			t.Errorf("there are %d goroutines more", n)
		}
		taken := map[int]bool{}
		for i := 0; i < size; i += 10 {
			taken[i] = true
			connect(t, h, ids[i], nil)
		}
		for i := 5; i < size; i += 10 {
			taken[i] = true
			if err := errors.Join(devices[i].d2c.Close(t.Context()), devices[i].c2d.Close(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for i, d := range devices {
			switch {
			case !taken[i]:
				d.works()
				sendC2D(t, h, ids[i], "for "+ids[i].DeviceID)
				if m := receive(t, d.c2d); string(m.GetData()) != "for "+ids[i].DeviceID {
					t.Errorf("%v got %q", ids[i], m.GetData())
				}
			case i%10 == 0:
				d.ended(goamqp.ErrCondStolen)
			case h.Connected(ids[i]):
				t.Errorf("%v is still connected", ids[i])
			}
		}
		c.conn.Close()
		synctest.Wait()
		for i, id := range ids {
			if overMQTT := i%10 == 0; h.Connected(id) != overMQTT {
				t.Errorf("%v is connected: %v", id, !overMQTT)
			}
		}
	})
}

// TestAMQPIdleConnectionsHaveOneGoroutine counts those of the hub.
func TestAMQPIdleConnectionsHaveOneGoroutine(t *testing.T) {
	const size = 50
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		before := runtime.NumGoroutine()
		for range size {
			openFrames(t, h).putToken(h, amqp.Ulong(1))
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > size+size/10 { // one that has just ended may be counted
			t.Errorf("%d connections have %d goroutines", size, n)
		}
	})
}

// TestAMQPCrossProtocols has a service over AMQP send to a device over MQTT and to one over AMQP.
func TestAMQPCrossProtocols(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		service := serviceSession(t, h)
		send := sender(t, service, "/messages/devicebound", nil)
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		d := openAMQPDevice(t, h, other)
		if err := send.Send(t.Context(), toDevice("/devices/dev-1/messages/devicebound", "1", "full"), nil); err != nil {
			t.Fatal(err)
		}
		if err := send.Send(t.Context(), toDevice("/devices/dev-2/messages/devicebound", "2", "full"), nil); err != nil {
			t.Fatal(err)
		}
		m := p.publish()
		p.write(&mqtt.Puback{ID: m.ID})
		got := receive(t, d.c2d)
		if got.Properties.MessageID != "2" {
			t.Errorf("the device over AMQP got %v", got.Properties.MessageID)
		}
		if err := d.c2d.AcceptMessage(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		feedback := receive(t, receiver(t, service, feedbackAddress, nil))
		if ids := original(t, feedback); ids != "1 2 " && ids != "2 1 " {
			t.Errorf("there is feedback about %s", ids)
		}
	})
}

// TestAMQPNestedEdge has an edge device speak for the leaf below the one below it, by a link property.
func TestAMQPNestedEdge(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		nested(t, h)
		c := dialAMQP(t, h, nil)
		c.loginUntil(h, edgeHub(upper), time.Now().Add(time.Minute))
		s := c.session()
		attach := func(chain string) (*goamqp.Sender, error) {
			o := &goamqp.SenderOptions{}
			if chain != "" {
				o.Properties = map[string]any{"com.microsoft:auth-chain": chain}
			}
			return s.NewSender(t.Context(), eventsAddress(leaf), o)
		}
		for name, chain := range map[string]string{"none": "", "one that skips a parent": "leaf;upper", "another's": "dev-1;upper", "one without us": "leaf;lower"} {
			_, err := attach(chain)
			wantCondition(t, "a chain that is "+name, err, goamqp.ErrCondUnauthorizedAccess)
		}
		l, err := attach("leaf;lower;upper")
		if err != nil {
			t.Fatal(err)
		}
		send := func() error { return l.Send(t.Context(), goamqp.NewMessage([]byte("hi")), nil) }
		if err := send(); err != nil || !h.Connected(leaf) || h.Connected(edgeHub(upper)) {
			t.Errorf("sending for the leaf: %v", err)
		}
		c.login(h, edgeHub(upper)) // which renews it for the leaf, too
		time.Sleep(10 * time.Minute)
		if err := send(); err != nil {
			t.Errorf("after the first token's end: %v", err)
		}
	})
}
