package mqttfront

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/mqtt"
)

// broken is a store whose writes fail once it is told to.
type broken struct {
	store.Store
	on atomic.Bool
}

var errDisk = errors.New("disk on fire")

func (s *broken) Put(ctx context.Context, k store.Key, v []byte, prev uint64) (uint64, error) {
	if s.on.Load() {
		return 0, errDisk
	}
	return s.Store.Put(ctx, k, v, prev)
}

func (s *broken) Delete(ctx context.Context, k store.Key) error {
	if s.on.Load() {
		return errDisk
	}
	return s.Store.Delete(ctx, k)
}

func (s *broken) Append(ctx context.Context, p int, at time.Time, v []byte) (store.Entry, error) {
	if s.on.Load() {
		return store.Entry{}, errDisk
	}
	return s.Store.Append(ctx, p, at, v)
}

// TestStoreInTrouble has the hub unable to keep what it is told. Nothing is
// acknowledged that was not kept.
func TestStoreInTrouble(t *testing.T) {
	code := func(want mqtt.ReturnCode, adapt func(*mqtt.Connect)) func(d *device) {
		return func(d *device) {
			again := &device{d.front, mqtt.NewConn(d.dial(), nil)}
			m := d.connect()
			adapt(m)
			again.write(m)
			if ack, err := mqtt.ParseConnack(again.read(mqtt.TypeConnack)); err != nil || ack.Code != want {
				d.Errorf("CONNACK %+v, %v, want code %d", ack, err, want)
			}
			again.closed()
		}
	}
	tests := []struct {
		name string
		do   func(d *device)
	}{
		{"telemetry closes the connection", func(d *device) {
			d.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
			d.closed()
		}},
		{"a subscription closes it", func(d *device) {
			m := &mqtt.Subscribe{ID: 1}
			m.Filters, _ = mqtt.AppendFilter(nil, "$iothub/methods/POST/#", 0)
			d.write(m)
			d.closed()
		}},
		{"the end of a subscription closes it", func(d *device) {
			m := &mqtt.Unsubscribe{ID: 1}
			m.Filters, _ = mqtt.AppendFilterName(nil, c2dFilter)
			d.write(m)
			d.closed()
		}},
		{"a report is answered with 500", func(d *device) {
			d.write(&mqtt.Publish{Topic: []byte("$iothub/twin/PATCH/properties/reported/?$rid=1"), Payload: []byte("{}"), QoS: 1, ID: 1})
			d.read(mqtt.TypePuback)
			m := d.publish()
			if string(m.Topic) != "$iothub/twin/res/500/?$rid=1" || !bytes.Contains(m.Payload, []byte(`"errorCode":500001`)) || bytes.Contains(m.Payload, []byte("fire")) {
				d.Errorf("%q %s", m.Topic, m.Payload)
			}
		}},
		{"a login that forgets the session has CONNACK 3", code(mqtt.Unavailable, func(m *mqtt.Connect) { m.CleanSession = true })},
		{"a login that announces a model has CONNACK 3", code(mqtt.Unavailable, func(m *mqtt.Connect) { m.UserName = append(m.UserName, "&model-id=dtmi:a;1"...) })},
		{"a will is lost, and the connection is over all the same", func(d *device) { d.c.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &broken{Store: store.NewMemory(nil)}
				f := newFront(t, core.Config{}, Options{}, s)
				defer f.close()
				d := &device{f, mqtt.NewConn(f.dial(), nil)}
				m := f.connect()
				m.Will.Topic = []byte(telemetryTopic)
				d.write(m)
				d.read(mqtt.TypeConnack)
				d.subscribe(c2dFilter, "$iothub/twin/res/#")
				s.on.Store(true)
				tt.do(d)
			})
		})
	}
}

func TestPurgeThatFailsRefusesTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &broken{Store: store.NewMemory(nil)}
		f := newFront(t, core.Config{}, Options{PurgeUnsubscribed: true}, s)
		defer f.close()
		f.login().c.Close() // so that the session is kept
		synctest.Wait()
		if err := f.core.SendC2D(t.Context(), dev, &hubwire.Message{}); err != nil {
			t.Fatal(err)
		}
		s.on.Store(true)
		d := &device{f, mqtt.NewConn(f.dial(), nil)}
		d.write(f.connect())
		if ack, err := mqtt.ParseConnack(d.read(mqtt.TypeConnack)); ack.Code != mqtt.Unavailable {
			t.Errorf("CONNACK %+v, %v", ack, err)
		}
		d.closed()
	})
}

// TestTooMuchWaitsForTheInterceptFunction has it sit on the first of very many pushes.
func TestTooMuchWaitsForTheInterceptFunction(t *testing.T) {
	cfg := core.Config{Intercept: func(_ context.Context, op *core.Op) core.Verdict {
		if op.Kind == core.OpTwinDesired {
			return core.Verdict{Delay: time.Hour}
		}
		return core.Verdict{}
	}}
	bubble(t, cfg, func(t *testing.T, f *front) {
		d := f.login()
		d.subscribe("$iothub/twin/PATCH/properties/desired/#")
		for i := range maxPushes + 2 {
			patch := fmt.Appendf(nil, `{"a":%d}`, i)
			if _, err := f.core.PatchTwin(t.Context(), dev, &core.TwinUpdate{Desired: patch}, ""); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		start := time.Now()
		d.closed()
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// TestRequestIDThatFillsItsTopic leaves no room for the answer, which is a few bytes longer.
func TestRequestIDThatFillsItsTopic(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		d := f.login()
		d.subscribe("$iothub/twin/res/#")
		const prefix = "$iothub/twin/GET/?$rid="
		d.write(&mqtt.Publish{Topic: []byte(prefix + strings.Repeat("x", mqtt.MaxString-len(prefix))), QoS: 1, ID: 1}, &mqtt.Pingreq{})
		d.read(mqtt.TypePuback)
		d.read(mqtt.TypePingresp)
	})
}

// TestPacketIdentifiers has a message wait while 16,384 others pass by.
func TestPacketIdentifiers(t *testing.T) {
	c := &conn{}
	ids := func(sequences ...int64) (out []uint16) {
		for _, n := range sequences {
			out = append(out, c.packetID(&hubwire.Received{SequenceNumber: n}))
		}
		return out
	}
	got := ids(1, 2, 0x3ffe, 0x3fff, 0x4000, 0x4001, 2, 0x4001)
	want := []uint16{2, 3, 0x3fff, 0x4000, 1, 4, 3, 4} // 2 and 3 are taken: the next free one
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if d, ok := c.take(2); !ok || d.sequence != 1 {
		t.Errorf("2 was of %d, %v", d.sequence, ok)
	}
	if got := ids(0x8001); got[0] != 2 {
		t.Errorf("%v, want the one that is free again", got)
	}
}

// TestUnreadPushesAreBounded has a device that never reads, and a service that
// sends it all that it can.
func TestUnreadPushesAreBounded(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		d := f.login()
		d.subscribe(c2dFilter, "$iothub/methods/POST/#", "$iothub/twin/PATCH/properties/desired/#")
		c := f.server.current.Of(dev)
		payload := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
		long := []byte(`{"n":1.` + strings.Repeat("0", 100_000) + `}`) // counts 8 bytes
		most := 0
		for range 200 {
			f.core.SendC2D(t.Context(), dev, &hubwire.Message{Body: payload[:60_000]})
			go f.core.Invoke(t.Context(), dev, &core.Invocation{MethodRequest: hubwire.MethodRequest{Name: "m", Payload: payload}})
			if _, err := f.core.PatchTwin(t.Context(), dev, &core.TwinUpdate{Desired: long}, ""); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			c.out.mu.Lock()
			most = max(most, len(c.out.buf)+len(c.out.early))
			c.out.mu.Unlock()
		}
		if most > hardLimit+len(payload)+1000 || most < hardLimit/2 {
			t.Errorf("%d bytes waited at most, the limit is %d", most, hardLimit)
		}
		if c.out.cause() != errSlow {
			t.Errorf("the connection is over for %v", c.out.cause())
		}
	})
}

// TestMessageBeforeTheLogin is for the moment in which the core has the session and the connection has not.
func TestMessageBeforeTheLogin(t *testing.T) {
	(&conn{}).pump(true)
}

// measured is a connection that remembers the most that was written at once, in pieces.
type measured struct {
	net.Conn
	largest, run int
}

func (m *measured) Write(b []byte) (int, error) {
	m.run += len(b)
	m.largest = max(m.largest, m.run)
	if len(b) < pieceSize {
		m.run = 0
	}
	return m.Conn.Write(b)
}

// TestBurstOfRequestsIsAnsweredInPieces has a device ask four hundred times, in one
// packet of the network, for a twin of 28 KB.
func TestBurstOfRequestsIsAnsweredInPieces(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		large := strings.Repeat("x", 4000)
		desired := fmt.Appendf(nil, `{"a":%q,"b":%[1]q,"c":%[1]q,"d":%[1]q,"e":%[1]q,"f":%[1]q,"g":%[1]q}`, large)
		if _, err := f.core.PatchTwin(t.Context(), dev, &core.TwinUpdate{Desired: desired}, ""); err != nil {
			t.Fatal(err)
		}
		peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
		m := &measured{Conn: nc}
		go f.server.Serve(m, conns.Peer{Raw: nc})
		d := &device{f, mqtt.NewConn(peer, nil)}
		d.write(f.connect())
		d.read(mqtt.TypeConnack)
		d.subscribe("$iothub/twin/res/#")
		const n = 400
		var burst []byte
		for range n {
			burst = (&mqtt.Publish{Topic: []byte("$iothub/twin/GET/?$rid=1")}).AppendTo(burst)
		}
		if err := d.c.Write(burst); err != nil {
			t.Fatal(err)
		}
		for range n {
			if a := d.publish(); len(a.Payload) < len(desired) {
				t.Fatalf("answer %q", a.Payload)
			}
		}
		synctest.Wait()
		if m.largest > softLimit+2*len(desired) || m.largest < softLimit/2 {
			t.Errorf("%d bytes of answers went out at once, the limit is %d", m.largest, softLimit)
		}
	})
}

// TestPushesEnd has a connection end while one push runs and others wait.
func TestPushesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pushes
		ran := 0
		for range 3 {
			p.add(0, func() { time.Sleep(time.Minute); ran++ })
		}
		synctest.Wait()
		start := time.Now()
		p.close()
		if took := time.Since(start); took != time.Minute || ran != 1 {
			t.Errorf("%d ran within %v, want the one that had begun", ran, took)
		}
		if !p.add(0, func() { t.Error("it ran after the end") }) {
			t.Error("there was no room for what is dropped")
		}
		p.close()
	})
}

// TestMessagesAtQoS0WaitInTheirQueue has a service send as fast as it can to a device that is
// slow. That is the service's problem, which is told that the queue is full: the
// device keeps its connection, and gets all that was taken.
func TestMessagesAtQoS0WaitInTheirQueue(t *testing.T) {
	for name, cfg := range map[string]core.Config{
		"plainly":                    {},
		"with an intercept function": {Intercept: func(context.Context, *core.Op) core.Verdict { return core.Verdict{} }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, cfg, func(t *testing.T, f *front) {
				d := f.login()
				filters, err := mqtt.AppendFilter(nil, c2dFilter, mqtt.AtMostOnce)
				if err != nil {
					t.Fatal(err)
				}
				d.write(&mqtt.Subscribe{ID: 1, Filters: filters})
				d.read(mqtt.TypeSuback)
				taken, refused := 0, 0
				for range 300 {
					body := fmt.Appendf(make([]byte, 60_000), "%d", taken)
					err := f.core.SendC2D(t.Context(), dev, &hubwire.Message{Body: body})
					switch {
					case err == nil:
						taken++
					case errors.Is(err, hubwire.QueueDepthExceeded):
						refused++
					default:
						t.Fatal(err)
					}
					synctest.Wait()
				}
				if refused == 0 {
					t.Error("the service was not held back")
				}
				for i := range taken {
					if m := d.publish(); string(m.Payload[60_000:]) != fmt.Sprint(i) {
						t.Fatalf("message %s came, want %d", m.Payload[60_000:], i)
					}
				}
				d.write(&mqtt.Pingreq{})
				d.read(mqtt.TypePingresp)
			})
		})
	}
}

// TestTheReaderReadsWhileOthersPush has a slow device come to a full queue, which a service
// keeps full. That is more than the device can take for as long as it lasts, and its own packets are
// dealt with all the same.
func TestTheReaderReadsWhileOthersPush(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		m := &hubwire.Message{Body: make([]byte, 60_000)}
		for range hubwire.MaxC2DQueue {
			if err := f.core.SendC2D(t.Context(), dev, m); err != nil {
				t.Fatal(err)
			}
		}
		d := f.login()
		filters, err := mqtt.AppendFilter(nil, c2dFilter, mqtt.AtMostOnce)
		if err != nil {
			t.Fatal(err)
		}
		d.write(&mqtt.Subscribe{ID: 1, Filters: filters}, &mqtt.Pingreq{})
		d.read(mqtt.TypeSuback) // the reader is at it: it writes what waited
		ctx, cancel := context.WithCancel(t.Context())
		sender := make(chan struct{})
		go func() {
			defer close(sender)
			for ctx.Err() == nil {
				f.core.SendC2D(ctx, dev, m) // waits a millisecond when the queue is full
			}
		}()
		for pings := range 5 {
			for n := 0; ; n++ {
				time.Sleep(10 * time.Millisecond)
				p, err := d.c.ReadPacket()
				if err != nil {
					t.Fatal(err)
				}
				if p.Type() == mqtt.TypePingresp {
					break
				}
				if n > 200 { // 12 MB; the queue and what is on its way is 4
					t.Fatalf("ping %d is not answered", pings)
				}
			}
			d.write(&mqtt.Pingreq{})
		}
		cancel()
		<-sender
	})
}

// unwritable is a connection that can only be read from.
type unwritable struct{ net.Conn }

var errUnwritable = errors.New("nothing can be written")

func (unwritable) Write([]byte) (int, error) { return 0, errUnwritable }

// TestWhoCannotBeWrittenTo has a connection that cannot be written to and has no end: what comes is
// acted on, for as long as a write may take.
func TestWhoCannotBeWrittenTo(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
		start := time.Now()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			f.server.Serve(unwritable{nc}, conns.Peer{Protocol: "mqtt", Raw: nc})
		}()
		d := &device{f, mqtt.NewConn(peer, nil)}
		d.write(f.connect())
		events, err := f.core.Events(t.Context(), core.AllPartitions, core.Start{})
		if err != nil {
			t.Fatal(err)
		}
		for range 29 {
			time.Sleep(time.Second)
			d.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: mqtt.AtLeastOnce, ID: 1})
			if _, err := events.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		<-ended
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("it lasted %v", took)
		}
		peer.Close()
	})
}

// TestWillBeforeTheNextConnection has a peer that is silent and does not read: its will is in the log when the
// device is gone, and not only when the hub has given up writing.
func TestWillBeforeTheNextConnection(t *testing.T) {
	bubble(t, core.Config{}, func(t *testing.T, f *front) {
		login := f.connect()
		login.KeepAlive = 10
		login.Will = mqtt.Will{Topic: []byte(telemetryTopic), Payload: []byte("gone")}
		d := &device{f, mqtt.NewConn(f.dial(), nil)}
		d.write(login)
		d.read(mqtt.TypeConnack)
		d.subscribe("$iothub/methods/POST/#")
		time.Sleep(14 * time.Second)
		for range 2 { // one fills the network, the other waits for it
			payload := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
			go d.core.Invoke(d.Context(), dev, &core.Invocation{MethodRequest: hubwire.MethodRequest{Name: "m", Payload: payload}})
		}
		time.Sleep(2 * time.Second)
		again := f.login()
		again.write(&mqtt.Publish{Topic: []byte(telemetryTopic), Payload: []byte("back"), QoS: mqtt.AtLeastOnce, ID: 1})
		again.read(mqtt.TypePuback)
		events, err := f.core.Events(t.Context(), core.AllPartitions, core.Start{})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"gone", "back"} {
			if ev, err := events.Next(t.Context()); err != nil || string(ev.Body) != want {
				t.Errorf("%q, want %q, %v", ev.Body, want, err)
			}
		}
		d.c.Close()
	})
}
