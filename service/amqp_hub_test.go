package service_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/service"
)

// overAMQP runs a test with a hub and a Client, once over each way of AMQP.
func overAMQP(t *testing.T, cfg hub.Config, test func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled)) {
	for name, web := range map[string]bool{"amqp": false, "amqp-ws": true} {
		t.Run(name, func(t *testing.T) {
			onHub(t, cfg, func(t *testing.T, h *hub.Hub, _ *service.Client) {
				d := &dialled{dial: h.Dial}
				test(t, h, clientOf(t, h, "service", func(o *service.Options) { o.Dial, o.AMQPWebSocket = d.Dial, web }), d)
			})
		})
	}
}

// dialled is a dial function that knows what it has opened.
type dialled struct {
	dial  dialFunc
	mu    sync.Mutex
	addrs []string
	conns []net.Conn
}

func (d *dialled) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := d.dial(ctx, network, addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addrs = append(d.addrs, addr)
	if err == nil {
		d.conns = append(d.conns, nc)
	}
	return nc, err
}

// cut ends what was opened.
func (d *dialled) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, nc := range d.conns {
		nc.Close()
	}
	d.conns = nil
}

func (d *dialled) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.addrs)
}

// TestAMessageAndItsFeedback is scenario T9h: messages to a device, and what became of them.
func TestAMessageAndItsFeedback(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
		hubtest.Device(t, h, "dev-1")
		d := online(t, h, dev)
		ctx := t.Context()
		sent := &hubwire.Message{ID: "m-1", Body: []byte("hello"), Ack: hubwire.AckFull, CorrelationID: "c", Properties: []hubwire.Property{{Name: "a", Value: "1"}}}
		if err := c.SendC2D(ctx, dev, sent); err != nil {
			t.Fatal(err)
		}
		got, err := d.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got.To = ""
		if diff := cmp.Diff(*sent, got.Message); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if err := got.Complete(ctx); err != nil {
			t.Fatal(err)
		}
		f, err := c.ReceiveFeedback(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Records) != 1 || f.EnqueuedTime.IsZero() {
			t.Fatalf("%+v", f)
		}
		r := f.Records[0]
		if r.OriginalMessageID != "m-1" || !r.Status.Is(service.FeedbackSuccess) || r.DeviceID != "dev-1" || r.DeviceGenerationID == "" || r.Enqueued.IsZero() {
			t.Errorf("%+v", r)
		}
		for range 2 {
			if err := f.Complete(ctx); err != nil {
				t.Error(err)
			}
		}
		if n := dials.count(); n != 1 {
			t.Errorf("%d connections: %v", n, dials.addrs)
		}
	})
}

// TestEvents reads what devices have sent, from all partitions, by following the hub's redirect.
func TestEvents(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, _ *dialled) {
		ctx := t.Context()
		want := map[hubwire.Identity][]string{}
		for i := range 5 {
			id := hubwire.Identity{DeviceID: fmt.Sprint("dev-", i)}
			hubtest.Device(t, h, id.DeviceID)
			d := online(t, h, id)
			for j := range 20 {
				text := fmt.Sprint(j)
				if err := d.Send(ctx, &hubwire.Message{Body: []byte(text), ContentType: "text/plain", ContentEncoding: "utf-8"}); err != nil {
					t.Fatal(err)
				}
				want[id] = append(want[id], text)
			}
		}
		info, err := c.EventHubInfo(ctx)
		if err != nil || info.Name != "localhost" || len(info.Partitions) != 4 {
			t.Fatalf("%+v, %v", info, err)
		}
		got := map[hubwire.Identity][]string{}
		n := 0
		for ev, err := range c.Events(ctx, nil) {
			if err != nil {
				t.Fatal(err)
			}
			got[ev.Source] = append(got[ev.Source], string(ev.Body))
			if ev.MessageSource != service.SourceTelemetry || ev.EnqueuedTime.IsZero() || ev.StoredTime.IsZero() || ev.GenerationID == "" ||
				!strings.Contains(ev.AuthMethod, "device") || ev.Offset == "" || ev.Partition == "" || ev.ContentType != "text/plain" {
				t.Fatalf("%+v", ev)
			}
			if n++; n == 100 {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		p, err := c.PartitionInfo(ctx, info.Partitions[0])
		if err != nil || p.Partition != info.Partitions[0] {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestTheOutcomesOfSending(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
		ctx := t.Context()
		hubtest.Device(t, h, "dev-1")
		for name, tt := range map[string]struct {
			to      hubwire.Identity
			m       *hubwire.Message
			code    hubwire.Code
			outcome hubwire.Outcome
		}{
			"no such device":     {hubwire.Identity{DeviceID: "nobody"}, &hubwire.Message{}, hubwire.DeviceNotFound, hubwire.Refused},
			"no such module":     {hubwire.Identity{DeviceID: "dev-1", ModuleID: "none"}, &hubwire.Message{}, hubwire.ModuleNotFound, hubwire.Refused},
			"no identity":        {hubwire.Identity{}, &hubwire.Message{}, hubwire.ArgumentInvalid, hubwire.NotSent},
			"no message":         {dev, nil, hubwire.ArgumentInvalid, hubwire.NotSent},
			"an ack there isn't": {dev, &hubwire.Message{Ack: "some"}, hubwire.ArgumentInvalid, hubwire.NotSent},
			"too large":          {dev, &hubwire.Message{Body: make([]byte, hubwire.MaxC2DSize+1)}, hubwire.MessageTooLarge, hubwire.NotSent},
			"expired already":    {dev, &hubwire.Message{Expiry: time.Now().Add(-time.Hour)}, 0, 0},
		} {
			err := c.SendC2D(ctx, tt.to, tt.m)
			if tt.code == 0 && err == nil {
				continue
			}
			if e := errorOf(t, err); e.Code != tt.code || e.Outcome != tt.outcome || e.Op != "send c2d" {
				t.Errorf("%s: %v", name, err)
			}
		}
		for range hubwire.MaxC2DQueue {
			if err := c.SendC2D(ctx, dev, &hubwire.Message{Body: make([]byte, 40<<10)}); err != nil {
				t.Fatal(err)
			}
		}
		e := errorOf(t, c.SendC2D(ctx, dev, &hubwire.Message{}))
		if e.Code != hubwire.QueueDepthExceeded || e.Outcome != hubwire.Refused {
			t.Errorf("into a full queue: %v", e)
		}
		if err := c.SendC2D(ctx, hubwire.Identity{DeviceID: "nobody"}, &hubwire.Message{}); !errors.Is(err, hubwire.DeviceNotFound) {
			t.Error(err)
		}
		if n := dials.count(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}
