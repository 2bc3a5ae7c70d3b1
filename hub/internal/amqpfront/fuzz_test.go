package amqpfront

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/sas"
)

// closeWith is the close of a peer that gives a reason.
func closeWith(condition string) func([]byte) []byte {
	return (&amqp10.Close{Error: &amqp10.Error{Condition: amqp10.Condition(condition)}}).AppendTo
}

// script is what a peer says behind its hello, frame by frame.
type script []byte

func (s script) add(body func([]byte) []byte) script { return appendFrame(s, amqp10.FrameAMQP, body) }

// link attaches a link, with credit if it is one to receive on.
func (s script) link(handle uint32, role amqp10.Role, address string) script {
	at := amqp10.ValueOf(amqp10.AppendString(nil, address))
	a := amqp10.Attach{Name: []byte(address), Handle: handle, Role: role,
		Source: amqp10.Some(amqp10.Source{Address: at}), Target: amqp10.Some(amqp10.Target{Address: at}), InitialDeliveryCount: amqp10.Some[uint32](0)}
	s = s.add(a.AppendTo)
	if role == amqp10.RoleReceiver {
		s = s.add((&amqp10.Flow{IncomingWindow: 100, OutgoingWindow: 100, Handle: amqp10.Some(handle),
			DeliveryCount: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](10)}).AppendTo)
	}
	return s
}

// transfer sends a message.
func (s script) transfer(handle, id uint32, format uint32, message []byte) script {
	t := amqp10.Transfer{Handle: handle, DeliveryID: amqp10.Some(id), DeliveryTag: []byte{byte(id)}, MessageFormat: amqp10.Some(format)}
	return s.add(func(dst []byte) []byte { return append(t.AppendTo(dst), message...) })
}

// scripts are peers of all kinds that mean well.
func scripts() []script {
	const sends, receives = amqp10.RoleSender, amqp10.RoleReceiver
	m := &hubwire.Message{Body: []byte("hi"), ID: "1", Properties: []hubwire.Property{{Name: "a", Value: "b"}}}
	id := amqp.String("1")
	settle := amqp10.Disposition{Role: receives, First: 0, Last: amqp10.Some[uint32](9), Settled: amqp10.Some(true), State: amqp10.Released()}
	return []script{
		script{}.link(0, sends, "/devices/dev/messages/events").
			transfer(0, 0, 0, amqp.AppendTelemetry(nil, m)).
			transfer(0, 1, amqp.BatchFormat, amqp.AppendToBatch(amqp.AppendToBatch(nil, m), m)),
		script{}.link(0, receives, "/devices/dev/messages/devicebound").add(settle.AppendTo).
			add((&amqp10.Detach{Handle: 0, Closed: amqp10.Some(true)}).AppendTo),
		script{}.link(0, receives, "/devices/dev/twin").link(1, sends, "/devices/dev/twin").
			transfer(1, 0, 0, amqp.AppendTwinRequest(nil, &amqp.TwinRequest{ID: id.Value(), Operation: amqp.TwinGet})).
			transfer(1, 1, 0, amqp.AppendTwinRequest(nil, &amqp.TwinRequest{ID: id.Value(), Operation: amqp.TwinReport, Body: []byte(`{"a":1}`)})).
			transfer(1, 2, 0, amqp.AppendTwinRequest(nil, &amqp.TwinRequest{ID: id.Value(), Operation: amqp.TwinSubscribe})),
		script{}.link(0, receives, "/devices/dev/methods/devicebound").link(1, sends, "/devices/dev/methods/devicebound").
			transfer(1, 0, 0, amqp.AppendMethodResponse(nil, callID(1), &hubwire.MethodResponse{Status: 200, Payload: []byte("{}")})),
		script{}.link(0, sends, "$cbs").link(1, receives, "$cbs").
			transfer(0, 0, 0, amqp.AppendPutToken(nil, &amqp.PutToken{ID: id.Value(), Name: "x", Token: sas.NewSecret("SharedAccessSignature sr=localhost&sig=x&se=9999999999")})),
		script{}.link(0, receives, "messages/events").link(1, receives, "localhost/ConsumerGroups/$Default/Partitions/0").link(2, sends, "/messages/devicebound"),
		script{}.add((&amqp10.End{}).AppendTo).add(closeWith("x")),
	}
}

// FuzzPeer is a device that says anything at all, before or after its login. The hub answers with
// whole frames only, and is done with it when it leaves.
func FuzzPeer(f *testing.F) {
	for _, s := range scripts() {
		f.Add(true, []byte(s))
		f.Add(false, []byte(s))
	}
	f.Fuzz(func(t *testing.T, login bool, said []byte) {
		fr := newFront(t, core.Config{}, slog.New(slog.DiscardHandler))
		defer fr.close()
		if err := fr.core.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("for you")}); err != nil {
			t.Fatal(err)
		}
		if login {
			said = append(fr.hello(), said...)
		}
		play(t, fr, said)
	})
}

// play has a peer say something and leave, and looks at what the hub says.
func play(t *testing.T, fr *front, said []byte) [][]byte {
	peer := fr.dial()
	go func() {
		defer peer.CloseWrite()
		peer.Write(said)
	}()
	bodies := listen(t, peer)
	fr.server.conns.Wait()
	return bodies
}

// TestEveryPrefix cuts each script at each byte. What was sent away is connected no more.
func TestEveryPrefix(t *testing.T) {
	for _, s := range scripts() {
		fr := newFront(t, core.Config{}, slog.New(slog.DiscardHandler))
		for n := range s {
			play(t, fr, append(slices.Clip(fr.hello()), s[:n]...))
		}
		if d, err := fr.core.Device(dev); err != nil || d.Connected {
			t.Errorf("the device is still connected, %v", err)
		}
		if n := len(fr.server.open) + fr.server.current.Len(); n != 0 {
			t.Errorf("%d connections and identities are left", n)
		}
		fr.close()
	}
}
