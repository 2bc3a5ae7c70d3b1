package faults_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// TestTwoClientsOfOneDeviceOverAMQP has them take the place from each other, which no client can mend: they
// do that at the pace of their back-off, whose waits take five seconds on average, and each still gets its turns.
func TestTwoClientsOfOneDeviceOverAMQP(t *testing.T) {
	for _, p := range amqpProtocols {
		t.Run(p.name, func(t *testing.T) {
			inBubble(t, p, setting{}, func(t *testing.T, v *venue) {
				var logins atomic.Int32
				v.on(1_000_000, func(*hub.Op) hub.Verdict { logins.Add(1); return hub.Verdict{} }, hub.OpConnect)
				var turns [2]atomic.Int32
				for i := range turns {
					v.dial(dev, func(o *device.Options) {
						o.Hooks.State = func(s device.State, err error) {
							if s == device.Connected {
								turns[i].Add(1)
							} else if s == device.Connecting && !v.typed("lost", err).Retryable {
								t.Errorf("lost: %v", err)
							}
						}
					})
				}
				v.pass(10 * time.Minute)
				for i := range turns {
					if n := turns[i].Load(); n < 40 || n > 200 {
						t.Errorf("%d turns of one", n)
					}
				}
				if n := logins.Load(); n > 400 {
					t.Errorf("%d logins", n)
				}
			})
		})
	}
}
