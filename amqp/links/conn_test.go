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
		cfg, came := bodies(c2d(dev))
		r := e.receiver(cfg)
		opened(t, e)
		if b.dialled() != 1 || c.State() != Connected || e.current() != Connected {
			t.Errorf("%d connections, Conn %v, entity %v", b.dialled(), c.State(), e.current())
		}
		sent(t, s, "one")
		for i := range 3 {
			if err := b.hub.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("c2d")}); err != nil {
				t.Fatal(err)
			}
			_, gen, err := r.link(t.Context(), 0)
			if err != nil || gen != generation(i+1) {
				t.Fatalf("generation %d: %v", gen, err)
			}
			if body := <-came; body != "c2d" {
				t.Errorf("%q came", body)
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
