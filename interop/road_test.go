package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/ws"
)

// road is how the sessions of one test get to the broker: over TLS ("tls") or
// a WebSocket ("wss"), through a relay of the test's own, in which connections can break.
type road struct {
	*broker
	way   string
	path  string // of the WebSocket; empty: IoT Hub's
	relay net.Listener

	closed atomic.Bool // who comes is sent away

	mu      sync.Mutex
	links   []*relayed
	running sync.WaitGroup
}

// relayed is one connection through the relay.
type relayed struct {
	client, broker   *net.TCPConn
	lostUp, lostDown atomic.Bool // what the client, or the broker, says does not arrive
	orphaned         atomic.Bool // the broker is not to know that the client has gone
}

func (b *broker) road(t *testing.T, way string) *road {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &road{broker: b, way: way, relay: l}
	r.running.Go(r.accept)
	t.Cleanup(func() {
		l.Close()
		r.each(reset)
		r.running.Wait()
	})
	return r
}

func (r *road) accept() {
	for {
		client, err := r.relay.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", r.door(r.way))
		if r.closed.Load() || err != nil {
			client.Close()
			if err == nil {
				broker.Close()
			}
			continue
		}
		l := &relayed{client: client.(*net.TCPConn), broker: broker.(*net.TCPConn)}
		r.mu.Lock()
		r.links = append(r.links, l)
		r.mu.Unlock()
		r.running.Go(func() { r.carry(l) })
	}
}

// carry takes bytes both ways until one side ends, unless the other is not to know.
func (r *road) carry(l *relayed) {
	up := make(chan struct{})
	go func() {
		defer close(up)
		pass(l.broker, l.client, &l.lostUp)
		if !l.orphaned.Load() {
			l.broker.Close()
		}
	}()
	pass(l.client, l.broker, &l.lostDown)
	l.client.Close()
	l.broker.Close()
	<-up
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links = slices.DeleteFunc(r.links, func(o *relayed) bool { return o == l })
}

func pass(to io.Writer, from io.Reader, lost *atomic.Bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !lost.Load() {
			_, _ = to.Write(buf[:n]) // who is gone does not read either
		}
		if err != nil {
			return
		}
	}
}

// The ways in which all connections of a road can end.

// reset tells both ends at once. What is on its way is lost.
func reset(l *relayed) {
	l.broker.SetLinger(0)
	l.broker.Close()
	orphan(l)
}

// finish lets the client see the end of the stream, without a word of TLS or the WebSocket.
func finish(l *relayed) { l.client.CloseWrite() }

// orphan tells the client alone; the broker is left with a connection that says nothing.
func orphan(l *relayed) {
	l.orphaned.Store(true)
	l.client.SetLinger(0)
	l.client.Close()
}

// loseUp makes all connections lose what the clients say, and loseDown what the broker says.
func (r *road) loseUp()   { r.each(func(l *relayed) { l.lostUp.Store(true) }) }
func (r *road) loseDown() { r.each(func(l *relayed) { l.lostDown.Store(true) }) }

func (r *road) each(do func(*relayed)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.links {
		do(l)
	}
}

// dial is the session's [mqtt.DialFunc].
func (r *road) dial(ctx context.Context) (net.Conn, error) {
	addr := r.relay.Addr().String()
	if r.way == "wss" {
		return ws.Dial(ctx, addr, &ws.DialOptions{TLSConfig: r.tls(), Path: r.path})
	}
	return (&tls.Dialer{Config: r.tls()}).DialContext(ctx, "tcp", addr)
}

// ours is a session of ours, with a diary.
type ours struct {
	*mqtt.Session
	id  string
	got chan delivery

	mu      sync.Mutex
	states  []mqtt.SessionState
	reasons []error
	sent    int // PUBLISH packets
}

// delivery is a message that a session got, kept longer than its view.
type delivery struct {
	received
	Dup, Retain bool
	receipt     mqtt.Receipt
}

// nextID is a client id that nobody had.
func nextID() string { return fmt.Sprintf("ours-%d", serial.Add(1)) }

// prepare returns a session that has not begun, and options for it.
func prepare(id string) (*ours, *mqtt.SessionOptions) {
	s := &ours{id: id, got: make(chan delivery, 1000)}
	return s, &mqtt.SessionOptions{
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 200 * time.Millisecond, CloseTimeout: time.Minute,
		OnDelivery: s.take, OnState: s.note, Trace: &mqtt.Trace{Sent: s.noteSent},
	}
}

// session starts a session, which is closed with the test.
func (r *road) session(t *testing.T, id string, change func(*mqtt.SessionOptions)) *ours {
	t.Helper()
	s, o := prepare(id)
	if change != nil {
		change(o)
	}
	if err := s.start(within(t), r, o, brokerPassword); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *ours) start(ctx context.Context, r *road, o *mqtt.SessionOptions, password string) (err error) {
	s.Session, err = mqtt.StartSession(ctx, r.dial, func(context.Context) (mqtt.Login, error) {
		return mqtt.Login{ClientID: s.id, UserName: brokerUser, Password: mqtt.NewSecret([]byte(password))}, nil
	}, o)
	return err
}

func (s *ours) take(d mqtt.Delivery) {
	s.got <- delivery{
		received: received{fmt.Sprint(d.QoS), string(d.Topic), string(d.Payload)},
		Dup:      d.Dup, Retain: d.Retain, receipt: d.Receipt,
	}
}

func (s *ours) note(state mqtt.SessionState, reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states, s.reasons = append(s.states, state), append(s.reasons, reason)
}

func (s *ours) noteSent(p mqtt.Packet) {
	if p.Type() == mqtt.TypePublish {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sent++
	}
}

// published returns how many PUBLISH packets the session has sent.
func (s *ours) published() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// connections returns how often the session was accepted.
func (s *ours) connections() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.states {
		if state == mqtt.Connected {
			n++
		}
	}
	return n
}

// lost returns how many connections, or attempts, the session lost for this reason.
func (s *ours) lost(reason error) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, err := range s.reasons {
		if errors.Is(err, reason) {
			n++
		}
	}
	return n
}

// back waits until the session has had its n-th connection.
func (s *ours) back(t *testing.T, n int) {
	t.Helper()
	poll(t, fmt.Sprintf("the session has not come back %d times", n), func() bool { return s.connections() >= n })
}

// next returns the next message that the session got.
func (s *ours) next(t *testing.T) delivery {
	t.Helper()
	select {
	case d := <-s.got:
		return d
	case <-within(t).Done():
		t.Fatal("the session waits for a message in vain")
		return delivery{}
	}
}

// publish sends QoS 1 and waits for the acknowledgement.
func (s *ours) publish(t *testing.T, topic, body string) {
	t.Helper()
	if err := s.Publish(within(t), message(topic, body)); err != nil {
		t.Fatal(err)
	}
}

func message(topic, body string) *mqtt.Publish {
	return &mqtt.Publish{Topic: []byte(topic), Payload: []byte(body), QoS: mqtt.AtLeastOnce}
}
