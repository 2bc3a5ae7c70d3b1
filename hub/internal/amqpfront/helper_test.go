package amqpfront

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/sas"
)

// front is a Server on a core with the device dev, without TLS.
type front struct {
	testing.TB
	core   *core.Core
	server *Server
	token  string // of dev
}

func newFront(t testing.TB, cfg core.Config, log *slog.Logger) *front {
	t.Helper()
	cfg.HostName, cfg.Log = "localhost", log
	c, err := core.New(context.Background(), &cfg, store.NewMemory(nil))
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Create(context.Background(), &core.Device{ID: dev})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sas.NewKey(d.Auth.Primary)
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.AppendToken(context.Background(), nil, key, sas.Audience("localhost", dev), "", time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &front{t, c, New(c, &Options{HostName: "localhost", Log: log}), string(token)}
}

// close ends the front, and returns when nothing of it runs any more.
func (f *front) close() {
	f.core.Close()
	f.server.Close()
}

// dial returns a connection that is served until it is over.
func (f *front) dial() *pipe.Conn {
	peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
	go f.server.Serve(nc, conns.Peer{Protocol: "amqp", Raw: nc})
	return peer
}

// hello is what a peer says that logs in as dev by SASL PLAIN and begins a session.
func (f *front) hello() []byte {
	b := amqp10.AppendProtocol(nil, amqp10.ProtocolSASL)
	init := amqp10.SASLInit{Mechanism: []byte("PLAIN"), InitialResponse: []byte("\x00dev@sas.localhost\x00" + f.token)}
	b = appendFrame(b, amqp10.FrameSASL, init.AppendTo)
	b = amqp10.AppendProtocol(b, amqp10.ProtocolAMQP)
	b = appendFrame(b, amqp10.FrameAMQP, (&amqp10.Open{ContainerID: []byte("peer")}).AppendTo)
	return appendFrame(b, amqp10.FrameAMQP, (&amqp10.Begin{IncomingWindow: 100, OutgoingWindow: 100}).AppendTo)
}

func appendFrame(dst []byte, kind amqp10.FrameType, body func([]byte) []byte) []byte {
	at := len(dst)
	return amqp10.CloseFrame(body(amqp10.OpenFrame(dst, kind, 0)), at)
}

// listen reads what the hub says until it ends, and checks that it is whole frames.
func listen(t testing.TB, peer net.Conn) (bodies [][]byte) {
	t.Helper()
	said, err := io.ReadAll(peer)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the hub's answers end with %v", err)
	}
	for len(said) > 0 {
		if bytes.HasPrefix(said, []byte("AMQP")) && len(said) >= 8 {
			said = said[8:]
			continue
		}
		f, rest, err := amqp10.SplitFrame(said, 1<<20)
		if err != nil || f == nil {
			t.Errorf("the hub's answers have %x, which is no frame: %v", said, err)
			return bodies
		}
		if len(f.Body()) > 0 && amqp10.PeekDescriptor(f.Body()) == 0 {
			t.Errorf("the hub sent a frame that has %x in it", f.Body())
		}
		bodies, said = append(bodies, f.Body()), rest
	}
	return bodies
}

// client returns a client of the front.
func (f *front) client(o *goamqp.ConnOptions) (*goamqp.Conn, error) {
	return goamqp.NewConn(f.Context(), f.dial(), o)
}

// logged returns what a hub logs, while do is at it.
func logged(t *testing.T, do func(*front)) string {
	var log bytes.Buffer
	f := newFront(t, core.Config{}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer f.close()
	do(f)
	time.Sleep(time.Second)
	synctest.Wait()
	return log.String()
}
