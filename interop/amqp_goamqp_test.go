package interop

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// gopher is a hub, and go-amqp over one of its doors.
type gopher struct {
	*site
	transport string
}

// TestGoAMQP lets go-amqp be a gateway with many devices, and a service.
func TestGoAMQP(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	for _, transport := range []string{"amqp", "amqp-ws"} {
		g := &gopher{s, transport}
		t.Run(transport, func(t *testing.T) {
			t.Run("many devices on one connection", g.gateway)
			t.Run("one of them comes by itself", g.displaced)
			t.Run("a burst, and a batch", g.burst)
			t.Run("messages that both ends settle", g.second)
			t.Run("twin", g.twin)
			t.Run("direct methods", g.methods)
			t.Run("module inputs", g.inputs)
			t.Run("the service sends and hears", g.service)
			t.Run("what is refused", g.refused)
		})
	}
}

// dial connects with or without a layer of SASL, over which nothing is said here.
func (g *gopher) dial(t *testing.T, o amqp.ConnOptions) *amqp.Conn {
	t.Helper()
	var c *amqp.Conn
	var err error
	if o.HostName = g.HostName(); g.transport == "amqp" {
		o.TLSConfig = g.trust(t)
		c, err = amqp.Dial(within(t), "amqps://localhost", &o)
	} else if nc, dialErr := g.tunnel(t, "wss://localhost/$iothub/websocket"); dialErr != nil {
		t.Fatal(dialErr)
	} else {
		c, err = amqp.NewConn(within(t), nc, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func session(t *testing.T, c *amqp.Conn) *amqp.Session {
	t.Helper()
	s, err := c.NewSession(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sender(t *testing.T, s *amqp.Session, address string, o *amqp.SenderOptions) *amqp.Sender {
	t.Helper()
	l, err := s.NewSender(within(t), address, o)
	if err != nil {
		t.Fatalf("sender to %s: %v", address, err)
	}
	return l
}

func receiver(t *testing.T, s *amqp.Session, address string, o *amqp.ReceiverOptions) *amqp.Receiver {
	t.Helper()
	l, err := s.NewReceiver(within(t), address, o)
	if err != nil {
		t.Fatalf("receiver from %s: %v", address, err)
	}
	return l
}

// claims are the two links for tokens.
type claims struct {
	out *amqp.Sender
	in  *amqp.Receiver
}

func newClaims(t *testing.T, s *amqp.Session) *claims {
	t.Helper()
	return &claims{sender(t, s, "$cbs", nil), receiver(t, s, "$cbs", nil)}
}

// put puts a token and returns the status of the answer.
func (c *claims) put(t *testing.T, token string) any {
	t.Helper()
	ask := &amqp.Message{
		Properties:            &amqp.MessageProperties{MessageID: uint64(serial.Add(1))},
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "any"},
		Value:                 token,
	}
	if err := c.out.Send(within(t), ask, nil); err != nil {
		t.Fatal(err)
	}
	answer, err := c.in.Receive(within(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.in.AcceptMessage(within(t), answer); err != nil {
		t.Fatal(err)
	}
	if answer.Properties == nil || answer.Properties.CorrelationID != ask.Properties.MessageID {
		t.Errorf("the answer is to %+v", answer.Properties)
	}
	return answer.ApplicationProperties["status-code"]
}

// enter puts the token of a device or module.
func (g *gopher) enter(t *testing.T, c *claims, id hubwire.Identity, cs string) {
	t.Helper()
	if status := c.put(t, token(t, cs, sas.Audience(g.HostName(), id), "", time.Now().Add(time.Hour))); status != int32(200) {
		t.Fatalf("the token of %v: %v", id, status)
	}
}

// open opens a connection with one session for a new device.
func (g *gopher) open(t *testing.T) (hubwire.Identity, *amqp.Session) {
	t.Helper()
	id, cs := g.device(t)
	s := session(t, g.dial(t, amqp.ConnOptions{}))
	g.enter(t, newClaims(t, s), id, cs)
	return id, s
}

// gateway has a hundred devices, each with a session and links that are named alike.
func (g *gopher) gateway(t *testing.T) {
	c := g.dial(t, amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	all := newClaims(t, session(t, c))
	const n = 100
	var ids [n]hubwire.Identity
	var out [n]*amqp.Sender
	var in [n]*amqp.Receiver
	for i := range n {
		id, cs := g.device(t)
		g.enter(t, all, id, cs)
		s := session(t, c)
		ids[i] = id
		out[i] = sender(t, s, path(id)+"/messages/events", &amqp.SenderOptions{Name: "out"})
		in[i] = receiver(t, s, path(id)+"/messages/devicebound", &amqp.ReceiverOptions{Name: "in", Credit: 5})
	}
	for i, id := range ids {
		events := g.events(t, id)
		body := fmt.Append(nil, i)
		if err := out[i].Send(within(t), amqp.NewMessage(body), nil); err != nil {
			t.Fatal(err)
		}
		if ev := arrives(t, events, hubwire.Message{Body: body}); ev.Source != id {
			t.Errorf("the event of %v is of %v", id, ev.Source)
		}
		g.sendC2D(t, id, hubwire.Message{Body: body})
		m, err := in[i].Receive(within(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.GetData(), body) {
			t.Errorf("the message to %v is %q", id, m.GetData())
		}
		if err := in[i].AcceptMessage(within(t), m); err != nil {
			t.Fatal(err)
		}
		g.queueIsEmpty(t, id)
	}
}

// displaced has one of two devices of a connection connect by itself, which the
// other one is not to notice.
func (g *gopher) displaced(t *testing.T) {
	c := g.dial(t, amqp.ConnOptions{})
	s := session(t, c)
	all := newClaims(t, s)
	one, oneCS := g.device(t)
	two, twoCS := g.device(t)
	g.enter(t, all, one, oneCS)
	g.enter(t, all, two, twoCS)
	in := receiver(t, s, path(one)+"/messages/devicebound", nil)
	other := sender(t, s, path(two)+"/messages/events", nil)

	alone := session(t, g.dial(t, amqp.ConnOptions{}))
	g.enter(t, newClaims(t, alone), one, oneCS)
	receiver(t, alone, path(one)+"/messages/devicebound", nil)
	_, err := in.Receive(within(t), nil)
	var link *amqp.LinkError
	if !errors.As(err, &link) || link.RemoteErr == nil || link.RemoteErr.Condition != "amqp:link:stolen" {
		t.Errorf("the error is %v", err)
	}
	if err := other.Send(within(t), amqp.NewMessage(nil), nil); err != nil {
		t.Errorf("the other device: %v", err)
	}
}

func (g *gopher) burst(t *testing.T) {
	id, s := g.open(t)
	events := g.events(t, id)
	out := sender(t, s, path(id)+"/messages/events", nil)
	const n = 2000
	var receipts [n]amqp.SendReceipt
	for i := range n {
		r, err := out.SendWithReceipt(within(t), amqp.NewMessage(fmt.Append(nil, i)), nil)
		if err != nil {
			t.Fatal(err)
		}
		receipts[i] = r
	}
	for i := range n {
		if state, err := receipts[i].Wait(within(t)); err != nil {
			t.Fatal(err)
		} else if _, ok := state.(*amqp.StateAccepted); !ok {
			t.Fatalf("%d is %T", i, state)
		}
		arrives(t, events, hubwire.Message{Body: fmt.Append(nil, i)})
	}
	batch := &amqp.Message{Format: 0x80013700}
	for i := range 100 {
		b, err := (&amqp.Message{Data: [][]byte{fmt.Append(nil, i)}, ApplicationProperties: map[string]any{"n": fmt.Sprint(i)}}).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		batch.Data = append(batch.Data, b)
	}
	if err := out.Send(within(t), batch, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		arrives(t, events, hubwire.Message{Body: fmt.Append(nil, i), Properties: hubProps(props("n", fmt.Sprint(i)))})
	}
}

// second is settled by the hub after the device has said what became of it.
func (g *gopher) second(t *testing.T) {
	id, s := g.open(t)
	in := receiver(t, s, path(id)+"/messages/devicebound", &amqp.ReceiverOptions{SettlementMode: amqp.ReceiverSettleModeSecond.Ptr(), Credit: 10})
	g.sendC2D(t, id, hubwire.Message{ID: "a"})
	g.sendC2D(t, id, hubwire.Message{ID: "b"})
	for i, want := range []string{"a", "b", "b"} {
		m, err := in.Receive(within(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Properties.MessageID != want || len(m.DeliveryTag) != 16 {
			t.Errorf("message %v with a tag of %d", m.Properties.MessageID, len(m.DeliveryTag))
		}
		settle := in.AcceptMessage
		if i == 1 {
			settle = in.ReleaseMessage
		}
		if err := settle(within(t), m); err != nil { // waits for the hub
			t.Fatal(err)
		}
	}
	g.queueIsEmpty(t, id)
}
