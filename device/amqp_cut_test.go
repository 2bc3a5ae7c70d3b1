package device_test

import (
	"testing"

	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
)

// TestASendThatIsCutOffWhileItIsWrittenGoesOut on the next connection: go-amqp would not let it go by itself, and all
// that comes later would wait behind it.
func TestASendThatIsCutOffWhileItIsWrittenGoesOut(t *testing.T) {
	for _, tr := range []device.Transport{device.AMQP(nil), device.AMQPWebSocket(nil)} {
		t.Run(tr.String(), func(t *testing.T) {
			over(t, tr, hub.Config{}, func(t *testing.T, b *bench) {
				n := &barrier{up: b.hub.Dial}
				c := b.dial(b.device, func(o *device.Options) { o.Dial = n.dial })
				for range 20 { // which of them it comes to is chance
					b.outlasts(c)
					n.cut()
				}
			})
		})
	}
}
