package amqpserver_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// step is what a peer sends in one write, and what the server then sends.
type step struct {
	send []body
	want []string
}

func say(bodies ...body) []body { return bodies }

// started is how an attached sender is answered, with the credit of config.
func started(name string) []string {
	return []string{"attach " + name + " 0 receiver", "flow in=0+10 out=1 link 0 count=0 credit=4"}
}

// config has small numbers.
var config = &amqpserver.Config{Window: 10, Credit: 4, HandleMax: 5, ChannelMax: 2, MaxLinks: 3, MaxMessageSize: 100, MaxPartial: 150}

func TestRules(t *testing.T) {
	for name, steps := range map[string][]step{
		"a sender is answered, and gets credit":                        {{say(sender("a", "sink", 0)), started("a")}},
		"a receiver is answered with the delivery count that it is at": {{say(receiver("a", "source", 0)), []string{"attach a 0 sender from 0"}}},
		"an unknown target is refused with an attach and a detach":     {{say(sender("a", "nowhere", 0)), []string{"attach a 0 receiver refused", "detach 0 closed not-found"}}},
		"an unknown source is refused with an attach and a detach":     {{say(receiver("a", "nowhere", 0)), []string{"attach a 0 sender from 0 refused", "detach 0 closed not-found"}}},
		"a handle in use ends the session":                             {{say(sender("a", "sink", 0)), started("a")}, {say(sender("b", "sink", 0)), []string{"end session:handle-in-use"}}},
		"a name beyond the limit ends the session":                     {{say(sender(string(make([]byte, 1025)), "sink", 0)), []string{"end invalid-field"}}},
		"a handle beyond the limit closes the connection":              {{say(sender("a", "sink", 6)), []string{"close connection:framing-error"}}},
		"a channel beyond the limit closes the connection":             {{say(on{3, &amqp10.Begin{}}), []string{"close connection:framing-error"}}},
		"a channel in use closes the connection":                       {{say(&amqp10.Begin{}), []string{"close not-allowed"}}},
		"a begin that answers none closes the connection":              {{say(on{1, &amqp10.Begin{RemoteChannel: amqp10.Some[uint16](1)}}), []string{"close not-allowed"}}},
		"a second open closes the connection":                          {{say(&amqp10.Open{ContainerID: []byte("peer")}), []string{"close illegal-state"}}},
		"a frame on a channel without a session closes the connection": {{say(on{1, sender("a", "sink", 0)}), []string{"close not-allowed"}}},
		"an end of no session closes the connection":                   {{say(on{1, &amqp10.End{}}), []string{"close not-allowed"}}},
		"a transfer on an unknown handle ends the session":             {{say(message(0, 0, "x")), []string{"end session:unattached-handle"}}},
		"a flow on an unknown handle ends the session":                 {{say(credit(0, 0, 1)), []string{"end session:unattached-handle"}}},
		"a transfer behind the peer's own detach is not":               {{say(sender("a", "sink", 0)), started("a")}, {say(&amqp10.Detach{}, message(0, 0, "x")), []string{"detach 0 closed", "end session:unattached-handle"}}},
		"a detach of an unknown handle ends the session":               {{say(&amqp10.Detach{}), []string{"end session:unattached-handle"}}},
		"an unknown performative closes the connection":                {{say(&amqp10.SASLOutcome{}), []string{"close decode-error"}}},
		"a performative with a wrong field closes the connection":      {{say(amqp10.ValueOf([]byte{0, 0x53, 0x12, 0xc0, 3, 1, 0x50, 1})), []string{"close decode-error"}}},
		"what is no performative closes the connection":                {{say(amqp10.ValueOf([]byte{0x50, 1})), []string{"close decode-error"}}},
		"a fourth link ends the session":                               {{say(sender("a", "nowhere", 0), sender("b", "nowhere", 1), sender("c", "nowhere", 2)), []string{"attach a 0 receiver refused", "detach 0 closed not-found", "attach b 1 receiver refused", "detach 1 closed not-found", "attach c 2 receiver refused", "detach 2 closed not-found"}}, {say(sender("d", "sink", 3)), []string{"end resource-limit-exceeded"}}},
		"a transaction coordinator is not implemented":                 {{say(&amqp10.Attach{Name: []byte("a"), Target: amqp10.Some(amqp10.Target{Coordinator: true})}), []string{"attach a 0 receiver refused", "detach 0 closed not-implemented"}}},
		"an end is answered, and the channel is free":                  {{say(&amqp10.End{}), []string{"end"}}, {say(&amqp10.Begin{}), []string{"begin 0 next=1"}}},
		"a detach is answered, and handle and name are free":           {{say(sender("a", "sink", 0)), started("a")}, {say(&amqp10.Detach{Closed: amqp10.Some(true)}), []string{"detach 0 closed"}}, {say(sender("a", "sink", 0)), started("a")}},
		"a detach that does not say closed is one all the same":        {{say(sender("a", "sink", 0)), started("a")}, {say(&amqp10.Detach{}), []string{"detach 0 closed"}}},
		"the same name attached again in a session steals the link":    {{say(sender("a", "sink", 0)), started("a")}, {say(sender("a", "sink", 1)), []string{"detach 0 closed link:stolen", "attach a 1 receiver", "flow in=0+10 out=1 link 1 count=0 credit=4"}}},
		"the same name in the other direction steals nothing":          {{say(sender("a", "sink", 0)), started("a")}, {say(receiver("a", "source", 1)), []string{"attach a 1 sender from 0"}}},
		"the same name in another session steals nothing":              {{say(sender("a", "sink", 0)), started("a")}, {say(on{1, &amqp10.Begin{}}, on{1, sender("a", "sink", 0)}), []string{"1: begin 1 next=1", "1: attach a 0 receiver", "1: flow in=0+10 out=1 link 0 count=0 credit=4"}}},
		"what the peer sent before it knew of the detach is ignored":   {{say(sender("a", "nowhere", 0), message(0, 0, "x"), credit(0, 0, 1), &amqp10.Detach{Closed: amqp10.Some(true)}), []string{"attach a 0 receiver refused", "detach 0 closed not-found"}}, {say(sender("a", "sink", 0)), []string{"attach a 0 receiver", "flow in=1+10 out=1 link 0 count=0 credit=4"}}},
		"a flow behind the detach of its link counts for the session":  {{say(receiver("a", "source", 0)), []string{"attach a 0 sender from 0"}}, {say(&amqp10.Detach{Closed: amqp10.Some(true)}, credit(0, 0, 1), &amqp10.Flow{Echo: amqp10.Some(true)}), []string{"detach 0 closed", "flow in=0+10 out=1"}}},
		"what the peer sent before it knew of the end is ignored":      {{say(message(0, 0, "x"), sender("a", "sink", 0), message(0, 0, "x"), &amqp10.End{}), []string{"end session:unattached-handle"}}, {say(&amqp10.Begin{}), []string{"begin 0 next=1"}}},
		"what the peer sent before it knew of the close is ignored":    {{say(&amqp10.Open{}, sender("a", "sink", 0), &amqp10.Begin{}), []string{"close illegal-state"}}, {say(&amqp10.Close{}), []string{"EOF"}}},
		"a close is answered, and ends the connection":                 {{say(&amqp10.Close{}), []string{"close", "EOF"}}},
		"a message is delivered and settled":                           {{say(sender("a", "sink", 0)), started("a")}, {say(message(0, 7, "x")), []string{"disposition receiver 7 settled accepted"}}},
		"neighbours are settled together, and credit is topped up":     {{say(sender("a", "sink", 0)), started("a")}, {say(message(0, 0, "x"), message(0, 1, "x"), message(0, 2, "x")), []string{"disposition receiver 0-2 settled accepted", "flow in=3+10 out=1 link 0 count=3 credit=4"}}},
		"a gap between delivery-ids, as uAMQP leaves, is no neighbour": {{say(sender("a", "sink", 0)), started("a")}, {say(message(0, 0, "x"), message(0, 4, "x")), []string{"disposition receiver 0 settled accepted", "disposition receiver 4 settled accepted", "flow in=2+10 out=1 link 0 count=2 credit=4"}}},
		"a delivery-id that comes again ends the session":              {{say(sender("a", "sink", 0)), started("a")}, {say(message(0, 3, "x"), message(0, 3, "x")), []string{"disposition receiver 3 settled accepted", "end invalid-field"}}},
		"a transfer without credit detaches the link":                  {{say(sender("a", "hold", 0)), started("a")}, {say(message(0, 0, "x"), message(0, 1, "x"), message(0, 2, "x"), message(0, 3, "x"), message(0, 4, "x")), []string{"detach 0 closed link:transfer-limit-exceeded", "flow in=5+10 out=1"}}},
		"a message that is too large detaches the link":                {{say(sender("a", "sink", 0)), started("a")}, {say(message(0, 0, string(make([]byte, 101)))), []string{"detach 0 closed link:message-size-exceeded"}}},
		"a message of just the size is taken":                          {{say(sender("a", "sink", 0)), started("a")}, {say(message(0, 0, string(make([]byte, 100)))), []string{"disposition receiver 0 settled accepted"}}},
		"a transfer to the sending end detaches the link":              {{say(receiver("a", "source", 0)), []string{"attach a 0 sender from 0"}}, {say(message(0, 0, "x")), []string{"detach 0 closed not-allowed"}}},
		"a first transfer without a delivery-id detaches the link":     {{say(sender("a", "sink", 0)), started("a")}, {say(transfer{amqp10.Transfer{DeliveryTag: []byte{1}}, "x"}), []string{"detach 0 closed invalid-field"}}},
		"a first transfer without a tag detaches the link":             {{say(sender("a", "sink", 0)), started("a")}, {say(transfer{amqp10.Transfer{DeliveryID: amqp10.Some[uint32](0)}, "x"}), []string{"detach 0 closed invalid-field"}}},
		"an echo is answered with the state of the session":            {{say(&amqp10.Flow{Echo: amqp10.Some(true)}), []string{"flow in=0+10 out=1"}}},
		"an echo for a link is answered with the state of the link":    {{say(sender("a", "sink", 0)), started("a")}, {say(&amqp10.Flow{Handle: amqp10.Some[uint32](0), Echo: amqp10.Some(true)}), []string{"flow in=0+10 out=1 link 0 count=0 credit=4"}}},
		"a sender that gives up credit gets it anew":                   {{say(sender("a", "sink", 0)), started("a")}, {say(&amqp10.Flow{Handle: amqp10.Some[uint32](0), DeliveryCount: amqp10.Some[uint32](3)}), []string{"flow in=0+10 out=1 link 0 count=3 credit=4"}}},
		"a disposition whose end is before its start ends the session": {{say(&amqp10.Disposition{Role: amqp10.RoleReceiver, First: 5, Last: amqp10.Some[uint32](4)}), []string{"end invalid-field"}}},
		"a disposition of deliveries that there are not is ignored":    {{say(&amqp10.Disposition{Role: amqp10.RoleReceiver, Last: amqp10.Some[uint32](1 << 30), Settled: amqp10.Some(true)}), nil}},
		"settled by the sender before it was settled by us is settled": {{say(sender("a", "hold", 0)), started("a")}, {say(message(0, 0, "x"), message(0, 1, "x"), message(0, 2, "x"), message(0, 3, "x")), nil}, {say(&amqp10.Disposition{First: 0, Last: amqp10.Some[uint32](9), Settled: amqp10.Some(true)}), []string{"flow in=4+10 out=1 link 0 count=4 credit=4"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &space{sinks: map[string]*sink{"sink": {settle: accept}, "hold": {}}, sources: map[string]*source{"source": {}}}
				p, _ := meet(t, config, s.handler())
				for _, step := range steps {
					p.send(step.send...)
					p.want(step.want...)
				}
			})
		})
	}
}

// Nodes and handler hear of each end once, links before their session.
func TestEndsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(p *peer, c *amqpserver.Conn)
		want []string
	}{
		"a detach":            {func(p *peer, _ *amqpserver.Conn) { p.send(&amqp10.Detach{}) }, []string{"a detached: nil"}},
		"a detach with error": {func(p *peer, _ *amqpserver.Conn) { p.send(&amqp10.Detach{Error: &amqp10.Error{Condition: "x"}}) }, []string{"a detached: x"}},
		"an end":              {func(p *peer, _ *amqpserver.Conn) { p.send(&amqp10.End{}) }, []string{"a detached: nil", "ended 0: <nil>"}},
		"an end with error":   {func(p *peer, _ *amqpserver.Conn) { p.send(&amqp10.End{Error: &amqp10.Error{Condition: "x"}}) }, []string{"a detached: x", "ended 0: x"}},
		"a close":             {func(p *peer, _ *amqpserver.Conn) { p.send(&amqp10.Close{}) }, []string{"a detached: nil", "ended 0: <nil>"}},
		"a violation":         {func(p *peer, _ *amqpserver.Conn) { p.send(&amqp10.Begin{}) }, []string{"a detached: amqp:not-allowed", "ended 0: amqp:not-allowed: channel 0 has a session"}},
		"the end of the line": {func(p *peer, _ *amqpserver.Conn) { p.nc.Close() }, []string{"a detached: no close", "ended 0: amqpserver: the connection ended without a close: EOF"}},
		"our close":           {func(_ *peer, c *amqpserver.Conn) { c.Close(&amqp10.Error{Condition: "x"}) }, []string{"a detached: x", "ended 0: x"}},
		"our cut":             {func(_ *peer, c *amqpserver.Conn) { c.Cut() }, []string{"a detached: amqpserver: cut", "ended 0: amqpserver: cut"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &space{sinks: map[string]*sink{"sink": {settle: accept}}}
				p, conn := meet(t, config, s.handler())
				p.send(sender("a", "sink", 0))
				p.want(started("a")...)
				s.told()
				c.end(p, conn)
				synctest.Wait()
				got := s.told()
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
				p.nc.Close()
				<-p.done
				synctest.Wait()
				if again := s.told(); len(c.want) > 1 && len(again) > 0 {
					t.Errorf("told again: %q", again)
				}
			})
		})
	}
}
