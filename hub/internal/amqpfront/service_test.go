package amqpfront

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
)

// serviceHello is what a service says that logs in with a policy's key and begins a session.
func (f *front) serviceHello() []byte {
	b := amqp10.AppendProtocol(nil, amqp10.ProtocolSASL)
	var key string
	for _, p := range f.core.Policies() {
		if p.Name == "service" {
			key = p.Primary.Reveal()
		}
	}
	init := amqp10.SASLInit{Mechanism: []byte("PLAIN"), InitialResponse: []byte("\x00service\x00" + key)}
	b = appendFrame(b, amqp10.FrameSASL, init.AppendTo)
	b = amqp10.AppendProtocol(b, amqp10.ProtocolAMQP)
	b = appendFrame(b, amqp10.FrameAMQP, (&amqp10.Open{ContainerID: []byte("peer")}).AppendTo)
	return appendFrame(b, amqp10.FrameAMQP, (&amqp10.Begin{IncomingWindow: 100, OutgoingWindow: 100}).AppendTo)
}

// reader attaches to partition 0 with a filter and an owner level.
func (s script) reader(handle uint32, start amqp.Start, level int64) script {
	at := amqp10.ValueOf(amqp10.AppendString(nil, "localhost/ConsumerGroups/$Default/Partitions/0"))
	p := amqp.LinkProperties{Epoch: &level, ReceiverName: "reader"}
	a := amqp10.Attach{Name: []byte{'r', byte(handle)}, Handle: handle, Role: amqp10.RoleReceiver,
		Source:              amqp10.Some(amqp10.Source{Address: at, Filter: amqp10.ValueOf(start.AppendFilter(nil))}),
		DesiredCapabilities: amqp10.ValueOf(amqp10.AppendSymbolArray(nil, amqp.RuntimeMetric)),
		Properties:          amqp10.ValueOf(p.AppendTo(nil))}
	s = s.add(a.AppendTo)
	return s.add((&amqp10.Flow{IncomingWindow: 100, OutgoingWindow: 100, Handle: amqp10.Some(handle),
		DeliveryCount: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](10), Drain: amqp10.Some(true)}).AppendTo)
}

// serviceScripts are services of all kinds that mean well.
func serviceScripts() []script {
	const sends, receives = amqp10.RoleSender, amqp10.RoleReceiver
	m := &hubwire.Message{Body: []byte("hi"), ID: "1", Ack: hubwire.AckFull, Properties: []hubwire.Property{{Name: "a", Value: "b"}}}
	id := amqp.String("1").Value()
	word := func(state amqp10.State, settled bool) func([]byte) []byte {
		return (&amqp10.Disposition{Role: receives, First: 0, Last: amqp10.Some[uint32](9), Settled: amqp10.Some(settled), State: state}).AppendTo
	}
	return []script{
		script{}.link(0, sends, "/messages/devicebound").
			transfer(0, 0, 0, amqp.AppendSend(nil, dev, m)).
			transfer(0, 1, 0, amqp.AppendSend(nil, hubwire.Identity{DeviceID: "x"}, m)),
		script{}.link(0, receives, "/messages/serviceBound/feedback").add(word(amqp10.Released(), true)),
		script{}.link(0, receives, "/messages/serviceBound/feedback").add(word(amqp10.Released(), false)),
		script{}.link(0, receives, "/messages/serviceBound/filenotifications").
			add((&amqp10.Detach{Handle: 0, Closed: amqp10.Some(true)}).AppendTo),
		script{}.link(0, sends, "$management").link(1, receives, "$management").
			transfer(0, 0, 0, amqp.AppendReadRequest(nil, &amqp.ReadRequest{ID: id, ReplyTo: "$management", EventHub: "localhost"})).
			transfer(0, 1, 0, amqp.AppendReadRequest(nil, &amqp.ReadRequest{ID: id, EventHub: "localhost", Partition: "1"})),
		script{}.reader(0, amqp.Start{At: amqp.AtSequence}, 1).reader(1, amqp.Start{At: amqp.Latest}, 2),
		script{}.link(0, receives, "messages/events/$management").link(1, sends, "messages/events/$management"),
	}
}

// newServiceFront is newFront with a record of feedback, and events in each partition.
func newServiceFront(t testing.TB) *front {
	fr := newFront(t, core.Config{EventSources: core.EventSources}, slog.New(slog.DiscardHandler))
	ctx := context.Background()
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		if _, err := fr.core.Create(ctx, &core.Device{ID: hubwire.Identity{DeviceID: id}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := fr.core.SendC2D(ctx, dev, &hubwire.Message{ID: "sent", Ack: hubwire.AckFull}); err != nil {
		t.Fatal(err)
	}
	if _, err := fr.core.Purge(ctx, dev); err != nil {
		t.Fatal(err)
	}
	return fr
}

// FuzzService is a service that says anything at all, behind its login.
func FuzzService(f *testing.F) {
	for _, s := range serviceScripts() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		fr := newServiceFront(t)
		defer fr.close()
		play(t, fr, append(fr.serviceHello(), said...))
	})
}

// TestEveryPrefixOfAService cuts each script at each byte. What the service held is given back.
func TestEveryPrefixOfAService(t *testing.T) {
	for i, s := range serviceScripts() {
		fr := newServiceFront(t)
		for n := range len(s) + 1 {
			play(t, fr, append(slices.Clip(fr.serviceHello()), s[:n]...))
		}
		if b := fr.core.Feedback(10); b == nil || b.Records[0].OriginalMessageID != "sent" {
			t.Errorf("script %d: there is no feedback: %+v", i, b)
		}
		for range 5 {
			if _, err := fr.core.Consume(t.Context(), &core.ConsumerOptions{Group: core.DefaultGroup}, nobody{}); err != nil {
				t.Errorf("script %d: a consumer is left: %v", i, err)
			}
		}
		if n := len(fr.server.open); n != 0 {
			t.Errorf("script %d: %d connections are left", i, n)
		}
		fr.close()
	}
}

type nobody struct{}

func (nobody) Arrived()                 {}
func (nobody) Displaced(*hubwire.Error) {}
