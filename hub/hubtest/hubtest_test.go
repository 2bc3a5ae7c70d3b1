package hubtest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
)

// TestHoursPassAtOnce is what most tests of devices look like.
func TestHoursPassAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t, &hub.Config{InMemory: true})
		hubtest.Device(t, h, "dev-1")
		id := hubwire.Identity{DeviceID: "dev-1"}
		if err := h.SendC2D(t.Context(), id, &hubwire.Message{Ack: hubwire.AckFull}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Minute)
		fb, err := h.Feedback(t.Context())
		if err != nil || fb[0].Status != "Expired" {
			t.Errorf("feedback %+v, %v", fb, err)
		}
	})
}

func TestStartClosesWithTheTest(t *testing.T) {
	var h *hub.Hub
	t.Run("inner", func(t *testing.T) {
		h = hubtest.Start(t, nil)
		if cs := hubtest.Device(t, h, "d"); !strings.HasPrefix(cs, "HostName=localhost;DeviceId=d;SharedAccessKey=") {
			t.Error("the device's connection string is another")
		}
		if cs := hubtest.Module(t, h, "d", "m"); !strings.HasPrefix(cs, "HostName=localhost;DeviceId=d;ModuleId=m;SharedAccessKey=") {
			t.Error("the module's connection string is another")
		}
	})
	if _, err := h.Dial(t.Context(), "tcp", "localhost:443"); err == nil {
		t.Error("the hub is still there")
	}
}

// listener is a testing.TB that keeps what would have failed the test.
type listener struct {
	testing.TB
	failures []string
}

func (l *listener) Errorf(format string, args ...any) {
	l.failures = append(l.failures, fmt.Sprintf(format, args...))
}

func TestAPanicOfInterceptFailsTheTestAndNotTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{TB: t}
		h := hubtest.Start(l, &hub.Config{InMemory: true, Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == hub.OpPublish && len(l.failures) == 0 {
				panic("a mistake")
			}
			return hub.Verdict{}
		}})
		c, err := device.Dial(t.Context(), hubtest.Device(t, h, "d"), device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Send(t.Context(), &hubwire.Message{}); err != nil { // over the next connection
			t.Error(err)
		}
		if len(l.failures) != 1 || !strings.Contains(l.failures[0], "a mistake") || !strings.Contains(l.failures[0], "goroutine") {
			t.Errorf("failures %q", l.failures)
		}
	})
}
