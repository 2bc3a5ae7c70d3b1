package interop

import (
	"strings"
	"testing"
	"time"
)

// TestNpmUpload has files go to the hub's storage, for which every transport of
// the SDK opens HTTPS, and the service hear of them.
func TestNpmUpload(t *testing.T) {
	p := join(t)
	p.over(t, everyTransport, "a file, of which the service hears", func(t *testing.T, w *way) {
		w.alone(t, "files")
		e := w.hears(t, amqpTransports[len(w.transport)%2], "files")
		id, c := w.open(t)
		for i, name := range []string{"a.bin", "folder/with a blank.bin"} {
			c.do(t, "upload", map[string]any{"name": name, "size": 1000 + i})
			f := e.file(t, id.DeviceID)
			if f.Name != id.DeviceID+"/"+name || f.Size != 1000+i || !strings.HasPrefix(f.URI, "https://localhost/") ||
				time.Since(f.Updated).Abs() > time.Minute || time.Since(f.Enqueued).Abs() > time.Minute {
				t.Errorf("%s: %+v", name, f)
			}
		}
		at := answered[slot](t, c, "slot", map[string]string{"name": "failed"})
		c.do(t, "notify", end{CorrelationID: at.CorrelationID, Status: 500, Text: "failed"})
		c.do(t, "upload", map[string]any{"name": "last", "size": 1})
		if f := e.file(t, id.DeviceID); f.Name != id.DeviceID+"/last" {
			t.Errorf("of the one that failed: %+v", f)
		}
	})
	p.over(t, everyTransport, "a file of several blocks, as it was", func(t *testing.T, w *way) {
		_, c := w.open(t)
		uploadAndRead(t, c, "large.bin", 5<<20+1)
	})
	p.over(t, everyTransport, "an upload that is ended twice", func(t *testing.T, w *way) {
		_, c := w.open(t)
		at := answered[slot](t, c, "slot", map[string]string{"name": "x"})
		done := end{CorrelationID: at.CorrelationID, Status: -1, Text: "failed"}
		c.do(t, "notify", done)
		c.fails(t, "Error", "Bad Request", "notify", done)
	})
}
