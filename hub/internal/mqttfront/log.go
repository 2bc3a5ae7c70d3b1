package mqttfront

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/hubwire/hubwire"
)

// The log says what peers did wrong, and no secret with it. People paste keys and
// connection strings wherever an id or a topic belongs, so of what a peer sent before
// its login only the length is told, and of topics and filters the text only when they
// begin as IoT Hub's do.

// families are how the topics and filters of IoT Hub and DPS begin.
var families = [][]byte{[]byte("devices/"), []byte("$iothub/"), []byte("$dps/")}

// quote returns what the log may say of a topic or filter: its text, cut at 300
// bytes, or its length when it could be a secret.
func quote(topic []byte) string {
	if !bytes.Contains(topic, []byte("SharedAccess")) {
		for _, f := range families {
			if bytes.HasPrefix(topic, f) {
				return fmt.Sprintf("%q", topic[:min(len(topic), 300)])
			}
		}
	}
	return fmt.Sprintf("of %d bytes", len(topic))
}

// logEnd tells why a connection is over. who is zero when nobody had logged in.
func (c *conn) logEnd(who hubwire.Identity, reason error) {
	level := slog.LevelInfo
	if reason == errGoodBye || errors.Is(reason, io.EOF) {
		level = slog.LevelDebug
	}
	c.server.opt.Log.Log(context.Background(), level, "mqtt: connection closed", "device", who, "peer", c.peer.Raw.RemoteAddr(), "reason", reason)
}
