package links

import (
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// FuzzPeer sends whatever it likes to an open connection, in frames of a session that there is:
// nothing must panic, and Close must end all.
func FuzzPeer(f *testing.F) {
	some := func(n uint32) amqp10.Opt[uint32] { return amqp10.Some(n) }
	for _, p := range []appender{
		&amqp10.Flow{NextIncomingID: some(0), IncomingWindow: 1, OutgoingWindow: 1, Handle: some(1), LinkCredit: some(5)},
		&amqp10.Transfer{Handle: 2, DeliveryID: some(1), DeliveryTag: []byte{1}, MessageFormat: some(0)},
		&amqp10.Disposition{Role: amqp10.RoleReceiver, Last: some(3), Settled: amqp10.Some(true), State: amqp10.Accepted()},
		&amqp10.Detach{Handle: 1, Closed: amqp10.Some(true), Error: fault("amqp:internal-error")},
		&amqp10.Attach{Name: []byte("hubwire-1"), Properties: oddMap()}, &amqp10.End{}, &amqp10.Close{}, &amqp10.Begin{RemoteChannel: amqp10.Some[uint16](1)},
	} {
		f.Add(uint8(0), p.AppendTo(nil))
		f.Add(uint8(1), p.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, channel uint8, body []byte) {
		if len(body) > 4096 {
			return
		}
		withPeer(t, func(t *testing.T, p *peer) {
			c := p.conn(nil)
			e, _ := p.device(c, "d1", nil)
			opened(t, e)
			last := p.last()
			last.do(func() {
				b := append(amqp10.OpenFrame(nil, amqp10.FrameAMQP, uint16(channel)), body...)
				last.raw(amqp10.CloseFrame(b, 0))
			})
			time.Sleep(time.Millisecond)
		})
	})
}
