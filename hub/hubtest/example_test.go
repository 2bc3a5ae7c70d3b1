package hubtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// exampleT stands for the *testing.T that a test has, and an Example has not.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                  {}
func (t *exampleT) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Context() context.Context { return context.Background() }
func (t *exampleT) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }

// end is what package testing does at the end of a test.
func (t *exampleT) end() {
	for _, f := range t.cleanups {
		f()
	}
}

// The test of a program that sends what it measures.
func ExampleStart() {
	t := &exampleT{} // func TestMeasure(t *testing.T)
	defer t.end()

	h := hubtest.Start(t, nil)
	c, err := device.Dial(t.Context(), hubtest.Device(t, h, "pump"), device.MQTT(nil), &device.Options{
		Dial:      h.Dial,
		TLSConfig: h.ClientTLS(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(t.Context(), &hubwire.Message{Body: []byte("20.5")}); err != nil {
		t.Fatal(err)
	}

	events, err := h.Events(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := events.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s from %s\n", ev.Body, ev.Source)
	// Output: 20.5 from pump
}

// A test of trouble: this hub is busy until the third message.
func ExampleStart_intercept() {
	t := &exampleT{}
	defer t.end()
	seen := 0 // of a device, one operation comes after the other
	h := hubtest.Start(t, &hub.Config{
		InMemory: true, // for testing/synctest
		Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind != hub.OpPublish {
				return hub.Verdict{}
			}
			if seen++; seen < 3 {
				return hub.Verdict{Refuse: hubwire.ServerBusy}
			}
			return hub.Verdict{}
		},
	})
	c, err := device.Dial(t.Context(), hubtest.Device(t, h, "pump"), device.HTTPS(nil), &device.Options{
		Dial:       h.Dial,
		TLSConfig:  h.ClientTLS(),
		MaxBackoff: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Send(t.Context(), &hubwire.Message{Body: []byte("20.5")}), "after", seen, "requests")
	// Output: <nil> after 3 requests
}

func ExampleModule() {
	t := &exampleT{}
	defer t.end()
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	hubtest.Device(t, h, "pump")
	c, err := device.Dial(t.Context(), hubtest.Module(t, h, "pump", "valve"), device.AMQP(nil), &device.Options{
		Dial:      h.Dial,
		TLSConfig: h.ClientTLS(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Identity(), c.State())
	// Output: pump/valve connected
}
