package links

import (
	"context"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

func TestAPeerThatNeverAttachesCBSCostsNoMoreThanTheCall(t *testing.T) {
	withPeer(t, func(t *testing.T, p *peer) {
		p.script = func(_ *peerConn, _ uint16, what amqp10.Descriptor, _ []byte) bool { return what == amqp10.DescAttach }
		e, _ := p.device(p.conn(nil), "d1", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := e.open(ctx); err == nil {
			t.Error("it is open")
		}
		if p.asked("put-token") != 0 {
			t.Error("a token was put where there is no link")
		}
	})
}
