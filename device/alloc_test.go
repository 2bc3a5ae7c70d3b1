package device

import (
	"context"
	"net"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// acknowledging is a server that acknowledges each PUBLISH, and allocates nothing for it.
func acknowledging(t *testing.T, nc net.Conn) {
	defer nc.Close()
	c := mqtt.NewConn(nc, nil)
	var buf []byte
	for {
		p, err := c.ReadPacket()
		if err != nil {
			return
		}
		switch p.Type() {
		case mqtt.TypeConnect:
			buf = (&mqtt.Connack{}).AppendTo(buf[:0])
		case mqtt.TypePublish:
			m, err := mqtt.ParsePublish(p)
			if err != nil {
				t.Error(err)
			}
			buf = (&mqtt.Puback{ID: m.ID}).AppendTo(buf[:0])
		default:
			return
		}
		if c.Write(buf) != nil {
			return
		}
	}
}

func TestSendingAllocatesNoMoreThanItSays(t *testing.T) {
	served := make(chan struct{})
	dial := func(context.Context) (net.Conn, error) {
		client, server := testkit.Pipe()
		go func() { defer close(served); acknowledging(t, server) }()
		return client, nil
	}
	c, err := DialCredentials(t.Context(), peerCredentials, Transport{name: "peer", open: func(ctx context.Context, cfg *config) (link, error) {
		return openMQTT(ctx, cfg, MQTTOptions{}, dial)
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Close(); <-served }()
	m := &hubwire.Message{Body: make([]byte, 100), ID: "1", ContentType: "application/json", Properties: []hubwire.Property{{Name: "a", Value: "ü/+"}}}
	ctx := context.Background()
	testkit.NoAllocs(t, "Send", func() {
		if err := c.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
	testkit.NoAllocs(t, "SendAsync without done", func() {
		if err := c.SendAsync(ctx, m, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(ctx, m); err != nil { // so that the window stays empty
			t.Fatal(err)
		}
	})
	done := func(error) {}
	testkit.NoAllocs(t, "SendAsync with done", func() {
		if err := c.SendAsync(ctx, m, done); err != nil {
			t.Fatal(err)
		}
		if err := c.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
	})
}
