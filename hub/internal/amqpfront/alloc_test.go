package amqpfront

import (
	"log/slog"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// TestTelemetryWithoutTextsAllocatesNothing: a message goes from the read buffer to the log, without one of its
// own. What it has of texts are pieces of one string.
func TestTelemetryWithoutTextsAllocatesNothing(t *testing.T) {
	f := newFront(t, core.Config{}, slog.New(slog.DiscardHandler))
	defer f.close()
	g, err := f.core.Authenticate(t.Context(), &core.Login{Identity: dev, Token: sas.NewSecret(f.token)})
	if err != nil {
		t.Fatal(err)
	}
	d := &device{id: dev, conn: &conn{server: f.server, ctx: t.Context(), devices: map[hubwire.Identity]*device{}}}
	if d.session, err = f.core.Connect(t.Context(), g, &core.ConnectOptions{Apart: true}, d); err != nil {
		t.Fatal(err)
	}
	defer d.session.Disconnect()
	n := &telemetry{linked: linked{device: d}}
	one := &amqpserver.Delivery{Settled: true, Message: amqp.AppendTelemetry(nil, &hubwire.Message{Body: make([]byte, 256)})}
	testkit.NoAllocs(t, "a message of a body", func() { n.Deliver(one) })
}
