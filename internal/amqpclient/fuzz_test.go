package amqpclient_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// FuzzPeer plays a server whose script is made of bytes, against the whole engine, and a program that does things
// meanwhile, in any order, right and wrong. Whatever they do, the client writes frames that can be read, ends
// when the peer has left, returns from all calls, and tells each end once and as the last.
func FuzzPeer(f *testing.F) {
	const (
		session  = "\x18\xff\x00" + "\x00\x00\x00\x64\x00\x00"
		sender   = session + "\x1a\x00\xff\x00" + "\x02\x00\x00\x00\x00\xff\x01\x00\x00" + "\x09\x00\x00\x01\x64\x01\x00\x0a\x00\x00\x00"
		message  = "\x1e\x00\x05\x00\x01\x00"
		receiver = session + "\x1b\x00\x00\xff\x00" + "\x02\x00\x01\x00\x01\xff\x01\x01\x00"
		transfer = "\x06\x00\x01\x01\x01\x05\x00\x01\x00\x00"
		part     = "\x06\x00\x01\x01\x00\xff\x00\x01\x00\x00"
	)
	for _, script := range []string{
		sender + message + message + "\x1e\x00\xff\x00\x02\x00" + "\x04\x00\x00\x00\x00\x05\x00\x00\x00", // outcomes
		sender + "\x0a\x00\x00\x01\x01\x01\x00\x05\x03\x01\x00" + message + "\x20\x00\xff\x00",           // a drain, calls that wait
		receiver + transfer + transfer + "\x15\x00\x0a\xff\x00" + "\x04\x00\x00\x01\x00\xff\x00\x00\x00", // settled in mode second
		receiver + part + transfer + "\x15\x00\x04\x00" + "\x15\x00\x03\xff\x00",                         // a message in part, credit, a drain
		sender + message + "\x16\x00\xff\x00" + "\x0c\x00\x00\x00\x00",                                   // a detach
		receiver + "\x0d\x00\x00\x00" + session + "\x0e\x00\x00\x00",                                     // an end and a close
		sender + "\x0f\x00\x00\x04\x00\x53\x13\x45\x00" + "\x10\x00\x00\x0a\x00\x00\x00\x20",             // what cannot be read
	} {
		f.Add([]byte(script))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1000 {
			return
		}
		synctest.Test(t, func(t *testing.T) { play(t, script) })
	})
}

func play(t *testing.T, script []byte) {
	p, nc := newPeer(t)
	w := &wild{t: t, script: script, ended: map[any]int{}}
	p.raw(headAMQP)
	p.send(&amqp10.Open{MaxFrameSize: amqp10.Some[uint32](512), ChannelMax: amqp10.Some[uint16](3)})
	o := &amqpclient.Options{MaxFrameSize: 512, MaxPartial: 1500, OnEnd: w.end("conn")}
	w.c = must[*amqpclient.Conn](t)(amqpclient.Open(t.Context(), nc, o))
	for w.more() {
		w.step(p)
		if w.byte()&3 == 0 {
			p.frames()
		}
	}
	synctest.Wait()
	p.nc.(interface{ CloseWrite() error }).CloseWrite()
	time.Sleep(time.Minute)
	p.frames()
	select {
	case <-w.c.Done():
	default:
		t.Fatal("the connection goes on without a peer")
	}
	w.check()
}

// wild is the source of what happens: the script, read byte by byte, and all that the program has.
type wild struct {
	t         *testing.T
	script    []byte
	c         *amqpclient.Conn
	calls     []*call[struct{}]
	sessions  []*amqpclient.Session
	senders   []*amqpclient.Sender
	receivers []*amqpclient.Receiver
	names     int
	live      []any // whose end must be told
	ended     map[any]int
	lastID    uint32
}

func (w *wild) more() bool { return len(w.script) > 0 }

func (w *wild) byte() (b byte) {
	if w.more() {
		b, w.script = w.script[0], w.script[1:]
	}
	return b
}

func (w *wild) end(who any) func(error) {
	return func(err error) {
		w.ended[who]++
		if err == nil || w.ended["conn"] > 0 && who != "conn" {
			w.t.Errorf("the end of %v is told with %v, behind that of the connection: %v", who, err, w.ended["conn"] > 0)
		}
	}
}

// do runs a call that waits, for a while.
func (w *wild) do(f func(ctx context.Context) error) {
	patience := time.Duration(w.byte()) * time.Millisecond
	w.calls = append(w.calls, laterErr(func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), patience)
		defer cancel()
		return f(ctx)
	}))
	synctest.Wait()
}

// one returns one of several, or none.
func one[T any](w *wild, all []T) (v T, ok bool) {
	if b := int(w.byte()); len(all) > 0 {
		return all[b%len(all)], true
	}
	return v, false
}

// step does one thing, which the next byte chooses and those behind it shape.
func (w *wild) step(p *peer) {
	b := w.byte()
	if b >= 20 {
		w.program(b)
		return
	}
	some, channel, handle := amqp10.Some[uint32], uint16(w.byte()&3), uint32(w.byte()&3)
	var body body
	switch b {
	case 0, 1:
		body = &amqp10.Begin{RemoteChannel: amqp10.Some(uint16(handle)), IncomingWindow: uint32(w.byte()), NextOutgoingID: uint32(w.byte())}
	case 2, 3:
		a := &amqp10.Attach{Name: []byte{'a' + w.byte()&7}, Handle: handle, Role: w.byte()&1 == 0, MaxMessageSize: amqp10.Some(uint64(w.byte()) << 3)}
		if w.byte()&7 > 0 {
			a.Source.Valid, a.Target.Valid = true, true
		}
		a.ReceiveMode = amqp10.Some(w.byte() & 1)
		body = a
	case 4, 5:
		d := &amqp10.Disposition{Role: w.byte()&1 == 0, First: uint32(w.byte()), Last: some(uint32(w.byte())), Settled: amqp10.Some(w.byte()&1 == 0)}
		if w.byte()&1 == 0 {
			d.State = amqp10.Accepted()
		}
		body = d
	case 6, 7, 8:
		w.lastID += uint32(w.byte() & 1)
		m := transfer{amqp10.Transfer{Handle: handle, More: amqp10.Some(w.byte()&1 == 0)}, string(make([]byte, 2*int(w.byte())))}
		if w.byte()&1 == 0 {
			m.DeliveryID, m.DeliveryTag = some(w.lastID), []byte{1}
		}
		m.Settled, m.Aborted = amqp10.Some(w.byte()&1 == 0), amqp10.Some(w.byte()&7 == 7)
		body = m
	case 9, 10, 11:
		f := &amqp10.Flow{NextIncomingID: some(uint32(w.byte())), IncomingWindow: uint32(w.byte())}
		if w.byte()&3 > 0 {
			f.Handle, f.DeliveryCount, f.LinkCredit = some(handle), some(uint32(w.byte())), some(uint32(w.byte()))
		}
		f.Drain, f.Echo = amqp10.Some(w.byte()&3 == 3), amqp10.Some(w.byte()&1 == 1)
		body = f
	case 12:
		body = &amqp10.Detach{Handle: handle, Closed: amqp10.Some(w.byte()&1 == 0)}
	case 13:
		body = &amqp10.End{}
	case 14:
		body = &amqp10.Close{}
	case 15:
		n := min(int(w.byte()), len(w.script))
		body = raw(w.script[:n])
		w.script = w.script[n:]
	case 16:
		n := min(int(w.byte()&15), len(w.script))
		p.raw(w.script[:n])
		w.script = w.script[n:]
		return
	default:
		body = raw("")
	}
	p.send(on{channel, body})
}

// program has the program do one thing.
func (w *wild) program(b byte) {
	switch b % 12 {
	case 0, 1:
		who := new(int)
		w.do(func(ctx context.Context) error {
			s, err := w.c.Begin(ctx, &amqpclient.SessionOptions{Window: 10, OnEnd: w.end(who)})
			if err == nil {
				w.sessions, w.live = append(w.sessions, s), append(w.live, who)
			}
			return err
		})
	case 2, 3, 4, 5:
		s, ok := one(w, w.sessions)
		if !ok {
			return
		}
		who, name := new(int), string([]byte{'a' + byte(w.names&7)})
		w.names++
		if b&1 == 0 {
			w.attachSender(s, name, who)
		} else {
			w.attachReceiver(s, name, who)
		}
	case 6, 7:
		if l, ok := one(w, w.senders); ok {
			l.TrySend(make([]byte, 8*int(w.byte())), amqpclient.Outgoing{Settled: w.byte()&3 == 3, Token: uint64(w.byte())})
		}
	case 8:
		if l, ok := one(w, w.senders); ok {
			w.do(func(ctx context.Context) error { return l.Send(ctx, make([]byte, 10), amqpclient.Outgoing{}) })
		}
	case 9:
		r, ok := one(w, w.receivers)
		if !ok {
			return
		}
		switch id := uint32(w.byte()); id & 3 {
		case 0:
			r.AddCredit(id)
		case 1:
			r.Dispose(0, id, amqp10.Released())
		case 2:
			w.do(func(ctx context.Context) error { _, err := r.Settle(ctx, id>>2, amqp10.Accepted()); return err })
		case 3:
			w.do(r.Drain)
		}
	case 10:
		if l, ok := one(w, w.senders); ok {
			w.do(func(ctx context.Context) error { return l.Detach(ctx, nil) })
		} else if s, ok := one(w, w.sessions); ok {
			w.do(func(ctx context.Context) error { return s.End(ctx, nil) })
		}
	default:
		time.Sleep(time.Duration(w.byte()) * time.Second)
	}
}

func (w *wild) attachSender(s *amqpclient.Session, name string, who any) {
	o := &amqpclient.SenderOptions{Name: name, OnEnd: w.end(who), OnReady: func() { w.still(who) }}
	o.OnSettled = func(first, last uint64, _ amqp10.State) {
		if w.still(who); last < first {
			w.t.Errorf("settled from %d to %d", first, last)
		}
	}
	w.do(func(ctx context.Context) error {
		l, err := s.Sender(ctx, o)
		if err == nil {
			w.senders, w.live = append(w.senders, l), append(w.live, who)
		}
		return err
	})
}

func (w *wild) attachReceiver(s *amqpclient.Session, name string, who any) {
	o := &amqpclient.ReceiverOptions{Name: name, Credit: 5, Second: w.byte()&1 == 0, MaxMessageSize: 1000, OnEnd: w.end(who)}
	o.OnDelivery = func(d *amqpclient.Delivery) {
		if w.still(who); len(d.Message) > 1000 {
			w.t.Errorf("a message of %d bytes", len(d.Message))
		}
	}
	w.do(func(ctx context.Context) error {
		r, err := s.Receiver(ctx, o)
		if err == nil {
			w.receivers, w.live = append(w.receivers, r), append(w.live, who)
		}
		return err
	})
}

// still fails when the end of a link has been told.
func (w *wild) still(who any) {
	if w.ended[who] > 0 {
		w.t.Error("a callback behind the end of its link")
	}
}

func (w *wild) check() {
	for _, c := range w.calls {
		if c.waits() {
			w.t.Error("a call has not returned")
		}
	}
	for _, who := range append(w.live, "conn") {
		if w.ended[who] != 1 {
			w.t.Errorf("the end of %v is told %d times", who, w.ended[who])
		}
	}
	for who, n := range w.ended {
		if n > 1 {
			w.t.Errorf("the end of %v is told %d times", who, n)
		}
	}
}
