package mqtt

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
)

// TestReleaseComesBeforeTheAcknowledgement has a caller take its memory back, and change it, while its
// call waits; once in every case.
func TestReleaseComesBeforeTheAcknowledgement(t *testing.T) {
	long, cancelled := context.Background(), func() context.Context {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx
	}()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		p    *Publish
		want error // nil for none
	}{
		{"a message that is acknowledged", long, message("12345678"), nil},
		{"no message", long, nil, hubwire.ArgumentInvalid},
		{"a message without a topic", long, &Publish{QoS: AtLeastOnce}, hubwire.ArgumentInvalid},
		{"a context that has ended", cancelled, message("12345678"), context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan string, 1)
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					p, err := c.ReadPacket()
					if err != nil {
						return
					}
					if m, err := ParsePublish(p); err == nil {
						got <- string(m.Payload)
						time.Sleep(time.Second)
						c.send((&Puback{m.ID}).AppendTo(nil))
					}
					for c.step(false) {
					}
				})
				s := f.start(SessionOptions{})
				released, start := 0, time.Now()
				err := s.PublishReleasing(tt.ctx, tt.p, func() {
					released++
					if took := time.Since(start); took != 0 {
						t.Errorf("released after %v", took)
					}
					if tt.p != nil {
						clear(tt.p.Payload)
					}
				})
				if released != 1 {
					t.Errorf("released %d times, want once", released)
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if err == nil {
					if text := <-got; text != "12345678" {
						t.Errorf("%q was sent, want what it was before the release", text)
					}
				}
			})
		})
	}
}
