package service_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/service"
)

// alphabet has what cost somebody a connection once, and what lies beside it.
var alphabet = []string{" ", "+", "#", "/", ":", "=", "&", "%", "$", "?", "%20", "%zz", ";", "\"", "a", "Z", "0", "ä", "温", "🌡", "\u00a0", "\n", "~"}

// awkward makes a message with properties that are hard to write, sorted by their names.
func awkward(r *rand.Rand, i int) *hubwire.Message {
	text := func(min int) string {
		var b strings.Builder
		for range min + r.IntN(6) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	m := &hubwire.Message{ID: fmt.Sprint(i), Body: []byte(text(0)), CorrelationID: text(1), ContentType: "text/plain"}
	for n := range r.IntN(5) {
		m.Properties = append(m.Properties, hubwire.Property{Name: fmt.Sprint("p", n) + text(0), Value: text(0)})
	}
	return m
}

// same compares what was sent with what came, whose properties may have changed their order on the way.
func same(sent, got hubwire.Message) string {
	byName := func(a, b hubwire.Property) int { return cmp.Compare(a.Name, b.Name) }
	got.Properties = slices.Clone(got.Properties)
	slices.SortFunc(got.Properties, byName)
	return gocmp.Diff(sent, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(hubwire.Message{}, "To"))
}

// TestWhateverPropertiesSayArrives has them go from the service to a device and from the device to the service, over
// each protocol. What HTTPS cannot say is refused here, and costs nothing else.
func TestWhateverPropertiesSayArrives(t *testing.T) {
	for _, tr := range []device.Transport{
		device.MQTT(nil), device.MQTTWebSocket(nil), device.AMQP(nil), device.AMQPWebSocket(nil), device.HTTPS(&device.HTTPSOptions{PollInterval: time.Second}),
	} {
		t.Run(tr.String(), func(t *testing.T) {
			onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
				d, err := device.Dial(t.Context(), hubtest.Device(t, h, "dev-1"), tr, &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				events, err := h.Events(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				r := rand.New(rand.NewPCG(1, 2))
				sent := 0
				for i := range 200 {
					m := awkward(r, i)
					if err := d.Send(t.Context(), m); err != nil {
						if e := errorOf(t, err); tr.String() != "https" || e.Outcome != hubwire.NotSent || e.Retryable {
							t.Fatalf("%+v: %v", m, err)
						}
						continue
					}
					sent++
					ev, err := events.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if diff := same(*m, ev.Message); diff != "" {
						t.Fatalf("telemetry (-want +got):\n%s", diff)
					}
				}
				t.Logf("%d of 200 sent", sent)
				if tr.String() == "https" {
					return
				}
				for i := range 200 {
					m := awkward(r, i)
					if err := c.SendC2D(t.Context(), dev, m); err != nil {
						t.Fatalf("%+v: %v", m, err)
					}
					got, err := d.Receive(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if diff := same(*m, got.Message); diff != "" {
						t.Fatalf("to the device (-want +got):\n%s", diff)
					}
					if err := got.Complete(t.Context()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
						t.Fatal(err)
					}
				}
			})
		})
	}
}
