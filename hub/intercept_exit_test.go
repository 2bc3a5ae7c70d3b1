package hub_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

func TestAnInterceptThatEndsItsGoroutineCutsTheConnection(t *testing.T) {
	for _, kind := range []hub.OpKind{hub.OpPublish, hub.OpTwinDesired} {
		t.Run(string(kind), func(t *testing.T) {
			var log strings.Builder
			var used atomic.Bool
			cfg := &hub.Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind == kind && used.CompareAndSwap(false, true) {
					runtime.Goexit() // as t.FailNow does
				}
				return hub.Verdict{}
			}}
			bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
				for _, last := range []bool{false, true} {
					p := connect(t, h, dev, nil)
					p.subscribe(desiredFilter)
					if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{}`)}, ""); err != nil {
						t.Fatal(err)
					}
					if kind == hub.OpPublish || last {
						p.publish()
						p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
					}
					if !last {
						p.closed()
						continue
					}
					p.puback(1)
				}
				synctest.Wait()
				if !strings.Contains(log.String(), "ended its goroutine") {
					t.Errorf("the log does not tell of it:\n%s", &log)
				}
			})
		})
	}
}
