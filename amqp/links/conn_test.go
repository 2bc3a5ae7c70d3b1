package links

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

func TestADeviceSendsAndReceivesAcrossConnections(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		var ofConn, ofDevice states
		c := b.conn(func(o *Options) { o.OnState = ofConn.on })
		e, s := b.device(c, dev, func(cfg *entityConfig) { cfg.onState = ofDevice.on })
		r := e.receiver(c2d(dev))
		opened(t, e)
		if b.dialled() != 1 || c.State() != Connected || e.current() != Connected {
			t.Errorf("%d connections, Conn %v, entity %v", b.dialled(), c.State(), e.current())
		}
		sent(t, s, "one")
		for i := range 3 {
			if err := b.hub.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("c2d")}); err != nil {
				t.Fatal(err)
			}
			h, gen, err := r.link(t.Context())
			if err != nil || gen != generation(i+1) {
				t.Fatalf("generation %d: %v", gen, err)
			}
			msg, err := h.Receive(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.AcceptMessage(t.Context(), msg); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			b.cut()
			synctest.Wait()
			sent(t, s, "more")
		}
		time.Sleep(time.Minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		lost := []string{"connecting", "connected"}
		want := append([]string{"connected"}, lost...)
		want = append(append(append(want, lost...), lost...), "closed")
		if diff := cmp.Diff(want, ofDevice.seen()); diff != "" {
			t.Errorf("states of the device (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, ofConn.seen()); diff != "" {
			t.Errorf("states of the Conn (-want +got):\n%s", diff)
		}
	})
}
