package device_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

// reframer stands between a client and a hub as a gateway does that ends a
// WebSocket and begins another: it cuts what passes into messages anew. Its
// server is the library's, and not package ws.
type reframer struct {
	b       *bench
	framing framing
	cert    tls.Certificate
	l       *testkit.Listener

	mu      sync.Mutex
	tunnels []*websocket.Conn
	running sync.WaitGroup
}

// framing is how bytes are put into messages, in both directions.
type framing struct {
	name      string
	size      func() int // of the next message, at most
	merge     bool       // what comes at the same time goes into the same message
	fragments bool       // to the client, what comes at once is one message, and size that of its frames
}

func newReframer(b *bench, f framing) *reframer {
	r := &reframer{b: b, framing: f, cert: testkit.Certificate("localhost"), l: testkit.NewListener()}
	srv := &http.Server{
		Handler:   http.HandlerFunc(r.serve),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{r.cert}},
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	r.running.Go(func() { _ = srv.ServeTLS(r.l, "", "") })
	b.t.Cleanup(func() {
		srv.Close()
		r.each(func(c *websocket.Conn) { c.CloseNow() })
		r.running.Wait()
	})
	return r
}

// options makes a Client trust the reframer and go to it.
func (r *reframer) options(o *device.Options) {
	o.TLSConfig.RootCAs = x509.NewCertPool()
	o.TLSConfig.RootCAs.AddCert(r.cert.Leaf)
	o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return r.l.Dial(ctx) }
}

func (r *reframer) each(do func(*websocket.Conn)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.tunnels {
		do(c)
	}
}

func (r *reframer) serve(w http.ResponseWriter, req *http.Request) {
	subprotocol := req.Header.Get("Sec-WebSocket-Protocol")
	up, err := ws.Dial(req.Context(), "localhost", &ws.DialOptions{Subprotocol: subprotocol, Dial: r.b.hub.Dial, TLSConfig: r.b.hub.ClientTLS()})
	if err != nil {
		http.Error(w, "no hub", http.StatusBadGateway)
		return
	}
	defer up.Close()
	c, err := websocket.Accept(w, req, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		r.b.t.Errorf("the library does not accept what the client asks for: %v", err)
		return
	}
	c.SetReadLimit(-1)
	r.mu.Lock()
	r.tunnels = append(r.tunnels, c)
	r.mu.Unlock()
	r.running.Add(1)
	defer r.running.Done()
	down := make(chan struct{})
	go func() {
		defer close(down)
		r.carry(up.Read, func(pieces [][]byte) error { return r.send(c, pieces) })
		c.CloseNow()
	}()
	var message io.Reader = strings.NewReader("")
	r.carry(func(p []byte) (n int, err error) {
		for n == 0 && err == nil {
			if n, err = message.Read(p); err == io.EOF {
				_, message, err = c.Reader(context.Background())
			}
		}
		return n, err
	}, func(pieces [][]byte) error {
		for _, p := range pieces {
			if _, err := up.Write(p); err != nil { // one message each
				return err
			}
		}
		return nil
	})
	up.Close()
	<-down
}

// send sends pieces to the client, as messages or as frames of one.
func (r *reframer) send(c *websocket.Conn, pieces [][]byte) error {
	if !r.framing.fragments {
		for _, p := range pieces {
			if err := c.Write(context.Background(), websocket.MessageBinary, p); err != nil {
				return err
			}
		}
		return nil
	}
	w, err := c.Writer(context.Background(), websocket.MessageBinary)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return w.Close()
}

// carry cuts what read gives into pieces for write, until one of them fails.
func (r *reframer) carry(read func([]byte) (int, error), write func([][]byte) error) {
	come := make(chan []byte)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		defer close(come)
		for buf := make([]byte, 32<<10); ; {
			n, err := read(buf)
			if err != nil {
				return
			}
			select {
			case come <- slices.Clone(buf[:n]):
			case <-gone:
				return
			}
		}
	}()
	for b := range come {
		for waiting := r.framing.merge; waiting; {
			select {
			case more, ok := <-come:
				b, waiting = append(b, more...), ok
			case <-time.After(time.Millisecond): // of a bubble: everybody else waits too
				waiting = false
			}
		}
		var pieces [][]byte
		for len(b) > 0 {
			n := min(len(b), max(1, r.framing.size()))
			pieces, b = append(pieces, b[:n]), b[n:]
		}
		if write(pieces) != nil {
			return
		}
	}
}

// overWebSockets is overEach for the transports that have one.
func overWebSockets(t *testing.T, test func(*testing.T, *bench)) {
	t.Helper()
	for _, tr := range transports() {
		if strings.HasSuffix(tr.String(), "-ws") {
			t.Run(tr.String(), func(t *testing.T) { over(t, tr, hub.Config{}, test) })
		}
	}
}

func constantly(n int) func() int { return func() int { return n } }

func TestMessagesOfAWebSocketMeanNothing(t *testing.T) {
	framings := []framing{
		{name: "a byte to a message", size: constantly(1)},
		{name: "merged into as few messages as can be", size: constantly(1 << 20), merge: true},
		{name: "merged, and cut at 1000", size: constantly(1000), merge: true},
		{name: "messages of frames of 100", size: constantly(100), merge: true, fragments: true},
		{name: "any size", size: func() int { return mrand.IntN(2000) }},
		{name: "any size, mostly small", size: func() int { return 1 << mrand.IntN(12) }, merge: true, fragments: true},
	}
	for _, n := range []int{2, 3, 5, 7, 125, 126, 127, 65535, 65536} {
		framings = append(framings, framing{name: fmt.Sprintf("%d bytes to a message", n), size: constantly(n)})
	}
	for _, f := range framings {
		t.Run(f.name, func(t *testing.T) {
			overWebSockets(t, func(t *testing.T, b *bench) {
				r := newReframer(b, f)
				large := 250_000
				if f.size() < 50 && !f.merge {
					large = 5000 // a frame takes its time
				}
				everyFeature(t, b, b.dial(b.device, r.options), large)
			})
		})
	}
}

// everyFeature uses c for a little of everything, and for messages of so many bytes.
func everyFeature(t *testing.T, b *bench, c *device.Client, large int) {
	t.Helper()
	ctx := t.Context()
	body := make([]byte, large)
	rand.Read(body)
	for _, m := range []*hubwire.Message{{ID: "a", Body: []byte("hi")}, {ID: "b", Body: body}, {ID: "c"}} {
		if err := c.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
		if ev := b.next(); ev.ID != m.ID || string(ev.Body) != string(m.Body) {
			t.Errorf("message %s arrived as %s, with %d bytes", m.ID, ev.ID, len(ev.Body))
		}
	}
	small := body[:min(large, 60_000)]
	for _, body := range [][]byte{[]byte("hi"), small, nil} {
		if err := b.hub.SendC2D(ctx, dev, &hubwire.Message{Body: body}); err != nil {
			t.Fatal(err)
		}
		m, err := c.Receive(ctx)
		if err != nil || string(m.Body) != string(body) || m.Complete(ctx) != nil {
			t.Fatalf("%d bytes arrived as %+v, %v", len(body), m, err)
		}
	}
	if err := c.HandleMethod(ctx, "echo", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
	}); err != nil {
		t.Fatal(err)
	}
	payload := json.RawMessage(`{"a":"` + strings.Repeat("x", min(large, 10_000)) + `"}`)
	res, err := b.hub.Invoke(ctx, dev, hubwire.MethodRequest{Name: "echo", Payload: payload}, nil)
	if err != nil || string(res.Payload) != string(payload) {
		t.Errorf("the method answered %+v, %v", res, err)
	}
	if _, err := c.Report(ctx, map[string]int{"a": 1}); err != nil {
		t.Error(err)
	}
	twin, err := c.Twin(ctx)
	if err != nil || !strings.Contains(string(twin.Reported.JSON), `"a":1`) {
		t.Errorf("the twin is %+v, %v", twin, err)
	}
}

// TestEveryCloseFrameIsALoss has a gateway end the tunnel in the midst of
// traffic, with each status that one may give.
func TestEveryCloseFrameIsALoss(t *testing.T) {
	for name, status := range map[string]websocket.StatusCode{
		"1000, normal": websocket.StatusNormalClosure, "1001, going away": websocket.StatusGoingAway, "none": websocket.StatusNoStatusRcvd,
		"1002, protocol error": websocket.StatusProtocolError, "1003, unsupported data": websocket.StatusUnsupportedData,
		"1008, policy": websocket.StatusPolicyViolation, "1009, too big": websocket.StatusMessageTooBig, "1011, internal error": websocket.StatusInternalError,
		"1012, restart": websocket.StatusServiceRestart, "1013, try again later": websocket.StatusTryAgainLater, "4000, its own": 4000,
		"1006, no frame": websocket.StatusAbnormalClosure,
	} {
		t.Run(name, func(t *testing.T) {
			overWebSockets(t, func(t *testing.T, b *bench) {
				r := newReframer(b, framing{size: constantly(1000)})
				lost := make(chan error, 100)
				c := b.dial(b.device, func(o *device.Options) {
					r.options(o)
					o.Hooks = &device.Hooks{State: func(s device.State, reason error) {
						if s == device.Connecting {
							lost <- reason
						}
					}}
				})
				const n = 50
				done := make(chan error, n)
				for i := range n {
					if err := c.SendAsync(t.Context(), &hubwire.Message{ID: fmt.Sprint(i)}, func(err error) { done <- err }); err != nil {
						t.Fatal(err)
					}
					if i == n/2 {
						r.each(func(c *websocket.Conn) {
							if status == websocket.StatusAbnormalClosure {
								c.CloseNow()
							} else {
								r.running.Go(func() { c.Close(status, "on purpose") })
							}
						})
					}
				}
				reason := <-lost
				if !errors.Is(reason, net.ErrClosed) {
					t.Errorf("the connection was lost because %v", reason)
				}
				var frame *ws.CloseError // unless a write found the end before the frame was read
				if errors.As(reason, &frame) && frame.Status != int(status) {
					t.Errorf("the reason has status %d", frame.Status)
				}
				for range n {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				seen := map[string]bool{}
				for len(seen) < n {
					seen[b.next().ID] = true
				}
				b.awaitConnected(c) // all may have been acknowledged before the loss
			})
		})
	}
}
