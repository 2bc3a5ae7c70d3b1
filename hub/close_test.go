package hub_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// TestCloseRacesWithEverything closes hubs, from two sides at once, while peers
// dial both doors, log in, take over from each other and work, and while a
// service uses all of the Go API.
func TestCloseRacesWithEverything(t *testing.T) {
	testkit.LeakCheck(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		h, err := hub.Start(t.Context(), &hub.Config{MaxStrangers: 4})
		if err != nil {
			t.Fatal(err)
		}
		create(t, h, dev, other, mod)
		r := &racer{hub: h, closed: make(chan struct{}), steps: make(chan struct{}, 100)}
		for _, id := range []hubwire.Identity{dev, other, mod} {
			login := slices.Clip(connectPacket(t, h, id).AppendTo(nil))
			r.run(func(ctx context.Context) { r.device(ctx, h.Dial, id, login) })
			r.run(func(ctx context.Context) { r.device(ctx, new(net.Dialer).DialContext, id, login) })
			r.run(func(ctx context.Context) { r.service(ctx, id) })
		}
		r.run(func(ctx context.Context) { // and says nothing
			if nc, err := net.Dial("tcp", h.HTTPSAddr()); err == nil {
				defer nc.Close()
				nc.Read(make([]byte, 1))
			}
		})
		for range rnd.IntN(60) { // to be somewhere in it, wherever
			<-r.steps
		}
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := h.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		both.Wait()
		close(r.closed)
		r.wg.Wait()
		if err := h.Close(); err != nil {
			t.Errorf("Close once more: %v", err)
		}
	}
}

// racer uses a hub over and over, until that is closed.
type racer struct {
	hub    *hub.Hub
	closed chan struct{}
	steps  chan struct{} // something was done, or failed
	wg     sync.WaitGroup
}

func (r *racer) run(f func(ctx context.Context)) {
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		for {
			f(ctx)
			select {
			case r.steps <- struct{}{}:
			default:
			}
			select {
			case <-r.closed:
				return
			case <-ctx.Done():
				return
			default:
			}
		}
	})
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// device logs in, and sends and settles until its connection is cut.
func (r *racer) device(ctx context.Context, dial dialFunc, id hubwire.Identity, login []byte) {
	nc, err := dial(ctx, "tcp", r.hub.MQTTAddr())
	if err != nil {
		return
	}
	cfg := r.hub.ClientTLS()
	cfg.ServerName = "localhost"
	c := mqtt.NewConn(tls.Client(nc, cfg), nil)
	defer c.Close()
	names := "devices/" + id.DeviceID
	if id.IsModule() {
		names += "/modules/" + id.ModuleID
	}
	filters, err := mqtt.AppendFilter(nil, names+"/messages/devicebound/#", mqtt.AtLeastOnce)
	if err != nil {
		return
	}
	err = c.Write((&mqtt.Subscribe{ID: 1, Filters: filters}).AppendTo(login))
	for n := uint16(2); err == nil && n < 1000; n++ {
		event := &mqtt.Publish{Topic: []byte(names + "/messages/events/"), QoS: mqtt.AtLeastOnce, ID: n}
		if err = c.Write(event.AppendTo(nil)); err != nil {
			return
		}
		var p mqtt.Packet
		if p, err = c.ReadPacket(); err != nil || p.Type() != mqtt.TypePublish {
			continue
		}
		if m, err := mqtt.ParsePublish(p); err == nil {
			c.Write((&mqtt.Puback{ID: m.ID}).AppendTo(nil))
		}
	}
}

// service does what a service can.
func (r *racer) service(ctx context.Context, id hubwire.Identity) {
	h := r.hub
	h.SendC2D(ctx, id, &hubwire.Message{Ack: hubwire.AckFull})
	h.PatchTwin(ctx, id, hub.TwinUpdate{Desired: []byte(`{"a":1}`)}, "")
	h.Invoke(ctx, id, hubwire.MethodRequest{Name: "m"}, &hub.InvokeOptions{ResponseTimeout: time.Millisecond})
	h.Disconnect(id)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	h.Feedback(short)
	if reader, err := h.Events(ctx, nil); err == nil {
		reader.Next(short)
	}
}

// TestCloseFromInside has the code that a hub calls close it.
func TestCloseFromInside(t *testing.T) {
	t.Run("the loop over events", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
			r, err := h.Events(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []error
			for _, err := range r.All(t.Context()) {
				if got = append(got, err); err == nil {
					if err := h.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
			}
			if len(got) != 2 || got[1] == nil {
				t.Errorf("the loop gave %v, want an event and an error", got)
			}
		})
	})
	// It must not, for Close waits for what it does. It finds out.
	for _, kind := range []hub.OpKind{hub.OpConnect, hub.OpPublish, hub.OpC2D} {
		t.Run(fmt.Sprintf("the intercept function, which sees %q", kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var h *hub.Hub
				closed := make(chan error, 1)
				intercept := func(_ context.Context, op *hub.Op) hub.Verdict {
					if op.Kind == kind {
						closed <- h.Close()
					}
					return hub.Verdict{}
				}
				var err error
				if h, err = hub.Start(t.Context(), &hub.Config{InMemory: true, Intercept: intercept}); err != nil {
					t.Fatal(err)
				}
				create(t, h, dev)
				sendC2D(t, h, dev, "hi")
				p := open(t, h, nil)
				p.write(connectPacket(t, h, dev), subscribePacket(t, 1, subscription{c2dFilter, 1}),
					&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 2})
				start := time.Now()
				if err := <-closed; err == nil || time.Since(start) != 10*time.Second {
					t.Errorf("Close: %v after %v, want an error after 10 s", err, time.Since(start))
				}
				for err == nil {
					_, err = p.c.ReadPacket()
				}
			})
		})
	}
}
