package mqttfront

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/mqtt"
)

// TestLogSaysWhy has connections end in every way: the peer is not told why, the log is.
func TestLogSaysWhy(t *testing.T) {
	tests := []struct {
		name  string
		end   func(d *device)
		level string
		why   string
	}{
		{"a good-bye", func(d *device) { d.write(&mqtt.Disconnect{}) }, "DEBUG", "mqtt: DISCONNECT"},
		{"a cut", func(d *device) { d.c.Close() }, "DEBUG", "EOF"},
		{"silence", func(d *device) { d.ends(time.Hour) }, "INFO", "no packet within 1.5 times the keep-alive"},
		{"a packet that is none", func(d *device) { d.c.Write([]byte{0, 0}); d.closed() }, "INFO", "section 2.2.1"},
		{"a topic that is none", func(d *device) { d.write(&mqtt.Publish{Topic: []byte("x")}); d.closed() }, "INFO", "topic"},
		{"a filter that is none", func(d *device) { d.c.Write([]byte{0x82, 6, 0, 1, 0, 1, 'x', 0}); d.closed() }, "INFO", `topic filter of 1 bytes is unknown`},
		{"a second CONNECT", func(d *device) { d.write(d.connect()); d.closed() }, "INFO", "CONNECT is not for a connected client"},
		{"a take-over", func(d *device) { d.login(); d.closed() }, "INFO", "400027"},
		{"a peer that does not read", func(d *device) {
			d.subscribe("$iothub/methods/POST/#")
			for range 2 { // one fills the network, the other waits for it
				payload := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
				go d.core.Invoke(d.Context(), dev, &core.Invocation{MethodRequest: hubwire.MethodRequest{Name: "m", Payload: payload}})
			}
			time.Sleep(31 * time.Second)
		}, "INFO", "timeout"},
		{"a CONNECT that is late", func(d *device) { (&device{d.front, mqtt.NewConn(d.dial(), nil)}).ends(time.Hour) }, "INFO", "no CONNECT in time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				o := Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
				f := newFront(t, core.Config{}, o, store.NewMemory(nil))
				defer f.close()
				tt.end(f.login())
				synctest.Wait()
				line, _ := log.ReadString('\n')
				if !strings.Contains(line, "level="+tt.level) || !strings.Contains(line, "mqtt: connection closed") || !strings.Contains(line, tt.why) {
					t.Errorf("want %s and %q in %q", tt.level, tt.why, line)
				}
			})
		})
	}
}
