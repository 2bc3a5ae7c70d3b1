package hub_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/ws"
)

// The AMQP door is tested with go-amqp, which nobody here wrote; what it cannot do is
// written frame by frame, in amqp_frames_test.go.

// amqpClient is a connection to the AMQP door.
type amqpClient struct {
	t    testing.TB
	conn *goamqp.Conn
}

// dialAMQP connects over TLS, with the SASL layer of o if it has one.
func dialAMQP(t testing.TB, h *hub.Hub, o *goamqp.ConnOptions, certs ...tls.Certificate) *amqpClient {
	t.Helper()
	raw, err := h.Dial(t.Context(), "tcp", "localhost:5671")
	if err != nil {
		t.Fatal(err)
	}
	cfg := h.ClientTLS()
	cfg.ServerName, cfg.Certificates = "localhost", certs
	return newAMQP(t, func(ctx context.Context) (*goamqp.Conn, error) { return goamqp.NewConn(ctx, tls.Client(raw, cfg), o) })
}

// dialAMQPWS is dialAMQP through a WebSocket.
func dialAMQPWS(t testing.TB, h *hub.Hub) *amqpClient {
	t.Helper()
	nc, err := ws.Dial(t.Context(), "localhost:443", &ws.DialOptions{Subprotocol: ws.AMQP, Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		t.Fatal(err)
	}
	return newAMQP(t, func(ctx context.Context) (*goamqp.Conn, error) { return goamqp.NewConn(ctx, nc, nil) })
}

func newAMQP(t testing.TB, dial func(context.Context) (*goamqp.Conn, error)) *amqpClient {
	t.Helper()
	c, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &amqpClient{t, c}
}

func (c *amqpClient) session() *goamqp.Session {
	c.t.Helper()
	s, err := c.conn.NewSession(c.t.Context(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// put puts a token and returns the status of the answer.
func (c *amqpClient) put(audience, token string) int32 {
	c.t.Helper()
	ctx, s := c.t.Context(), c.session()
	defer s.Close(ctx)
	in, err := s.NewReceiver(ctx, "$cbs", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := s.NewSender(ctx, "$cbs", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	m := goamqp.NewMessage(nil)
	m.Data, m.Value = nil, token
	m.Properties = &goamqp.MessageProperties{MessageID: "1"}
	m.ApplicationProperties = map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": audience}
	if err := out.Send(ctx, m, nil); err != nil {
		c.t.Fatal(err)
	}
	answer, err := in.Receive(ctx, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := in.AcceptMessage(ctx, answer); err != nil {
		c.t.Fatal(err)
	}
	if answer.Properties == nil || answer.Properties.CorrelationID != "1" {
		c.t.Errorf("the answer's properties are %+v", answer.Properties)
	}
	return answer.ApplicationProperties["status-code"].(int32)
}

// login puts a token of an identity's own, for an hour.
func (c *amqpClient) login(h *hub.Hub, id hubwire.Identity) {
	c.t.Helper()
	c.loginUntil(h, id, time.Now().Add(time.Hour))
}

func (c *amqpClient) loginUntil(h *hub.Hub, id hubwire.Identity, expires time.Time) {
	c.t.Helper()
	d, err := h.Device(id)
	if err != nil {
		c.t.Fatal(err)
	}
	if status := c.put(audience(id), token(d.PrimaryKey, audience(id), "", expires)); status != 200 {
		c.t.Fatalf("put-token: status %d", status)
	}
}

// sender and receiver attach a link, which must be accepted.
func sender(t testing.TB, s *goamqp.Session, target string, o *goamqp.SenderOptions) *goamqp.Sender {
	t.Helper()
	l, err := s.NewSender(t.Context(), target, o)
	if err != nil {
		t.Fatalf("sender to %s: %v", target, err)
	}
	return l
}

func receiver(t testing.TB, s *goamqp.Session, source string, o *goamqp.ReceiverOptions) *goamqp.Receiver {
	t.Helper()
	l, err := s.NewReceiver(t.Context(), source, o)
	if err != nil {
		t.Fatalf("receiver from %s: %v", source, err)
	}
	return l
}

func eventsAddress(id hubwire.Identity) string { return addressOf(id, "messages/events") }

func addressOf(id hubwire.Identity, path string) string {
	if id.IsModule() {
		return "/devices/" + id.DeviceID + "/modules/" + id.ModuleID + "/" + path
	}
	return "/devices/" + id.DeviceID + "/" + path
}

// wantCondition checks what a link was refused or detached with, a delivery rejected, or a connection closed.
func wantCondition(t testing.TB, what string, err error, want goamqp.ErrCond) {
	t.Helper()
	if got := conditionOf(err); got != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

func conditionOf(err error) goamqp.ErrCond {
	var e *goamqp.Error
	var l *goamqp.LinkError
	var c *goamqp.ConnError
	switch {
	case errors.As(err, &l) && l.RemoteErr != nil:
		e = l.RemoteErr
	case errors.As(err, &c) && c.RemoteErr != nil:
		e = c.RemoteErr
	default:
		errors.As(err, &e)
	}
	if e == nil {
		return ""
	}
	return e.Condition
}
