package links

import (
	"testing"

	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// TestAQuestionWithoutALinkForItsAnswer has the connection lost between the two links of $management: the question goes over the
// next one, which has no link for its answer yet, and is refused for that.
func TestAQuestionWithoutALinkForItsAnswer(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		const management = "hub/$management"
		refused := false
		p.script = func(c *peerConn, channel uint16, what amqp10.Descriptor, body []byte) bool {
			switch l := c.linkTo(channel, body); {
			case what == amqp10.DescAttach && p.dialled() == 1 && !linkOf(channel, body).receives && linkOf(channel, body).address == management:
				c.nc.Close()
				return true
			case what != amqp10.DescTransfer || l.address != management:
				return false
			}
			for _, l := range c.links {
				if l.receives && l.address == management {
					m, err := amqp.ParseMessage(c.accept(channel, body))
					if err != nil {
						t.Error(err)
					}
					c.deliver(l, amqp.AppendEventHubInfo(nil, m.MessageID(), &amqp.EventHubInfo{Name: "hub", Partitions: []string{"0"}}))
					return true
				}
			}
			refused = true
			var transfer amqp10.Transfer
			_, _ = transfer.Parse(body)
			c.send(channel, &amqp10.Disposition{
				Role: amqp10.RoleReceiver, First: transfer.DeliveryID.Value, Settled: amqp10.Some(true),
				State: amqp10.Rejected(fault(amqp.Condition(amqp10.PreconditionFailed))),
			})
			return true
		}
		h, err := p.conn(nil).EventHub(t.Context(), "hub", &ServiceOptions{Tokens: fixed("token")})
		if err != nil {
			t.Fatal(err)
		}
		if i, err := h.Info(t.Context()); err != nil || i.Name != "hub" {
			t.Errorf("%+v, %v", i, err)
		}
		if !refused {
			t.Error("the question was not refused")
		}
	})
}
