package amqpclient_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// idle is an open of a peer that wants to hear something.
func idle(d time.Duration) *amqp10.Open {
	return &amqp10.Open{IdleTimeout: amqp10.Some(uint32(d.Milliseconds()))}
}

func TestAPeerHearsFromUsTwiceInItsIdleTimeout(t *testing.T) {
	for _, c := range []struct {
		name string
		own  time.Duration
		peer *amqp10.Open
		want int // in an hour
	}{
		{"that it asks for", -1, idle(20 * time.Second), 360},
		{"that is longer than a write may take", -1, idle(4 * time.Minute), 30},
		{"or at our own, if it asks for nothing", 10 * time.Minute, &amqp10.Open{}, 6},
		{"or never, if neither end wants it", -1, &amqp10.Open{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, conn := open(t, &amqpclient.Options{IdleTimeout: c.own}, c.peer)
				for range 12 {
					time.Sleep(5 * time.Minute)
					p.send(raw("")) // it lives
				}
				frames := p.frames()
				for _, f := range frames {
					if f != "empty" {
						t.Errorf("the client says %s", f)
					}
				}
				if len(frames) != c.want {
					t.Errorf("%d heartbeats in an hour, want %d", len(frames), c.want)
				}
				if err := conn.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestThereAreNoHeartbeatsBehindWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := open(t, &amqpclient.Options{IdleTimeout: -1}, idle(20*time.Second))
		for range 10 {
			time.Sleep(9 * time.Second)
			c.Begin(gone(), nil)
		}
		for _, f := range p.frames() {
			if f == "empty" {
				t.Error("a heartbeat")
			}
		}
	})
}

func TestAPeerThatIsSilentIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := open(t, &amqpclient.Options{IdleTimeout: time.Minute}, &amqp10.Open{})
		for range 3 {
			time.Sleep(89 * time.Second)
			p.send(raw(""))
		}
		if err := c.Err(); err != nil {
			t.Fatal(err)
		}
		since := time.Now()
		<-c.Done()
		if d := time.Since(since); !errors.Is(c.Err(), amqpclient.ErrSilent) || d < 89*time.Second || d > 91*time.Second {
			t.Errorf("after %v it ended with %v", d, c.Err())
		}
	})
}

func TestAPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := sender(t, 1<<20, &amqpclient.SenderOptions{})
		again := p.stop()
		c := l.Session().Conn()
		since := time.Now()
		sends := laterErr(func() error {
			for {
				if err := l.Send(t.Context(), make([]byte, 1000), amqpclient.Outgoing{}); err != nil {
					return err
				}
			}
		})
		for p.nc != nil && c.Err() == nil {
			time.Sleep(5 * time.Second)
			p.send(raw(""))
		}
		<-c.Done()
		if d := time.Since(since); !errors.Is(c.Err(), amqpclient.ErrStalled) || d < 30*time.Second || d > time.Minute {
			t.Errorf("after %v it ended with %v", d, c.Err())
		}
		if _, err := sends.result(t); !errors.Is(err, amqpclient.ErrStalled) {
			t.Errorf("Send returned %v", err)
		}
		again()
	})
}

// A peer that asks for an answer again and again and reads none is not read from any more, so answers do not pile up.
func TestAPeerThatAsksAndDoesNotReadIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := session(t, nil, nil)
		again := p.stop()
		f := sessionFlow(1, 1)
		f.body.(*amqp10.Flow).Echo = amqp10.Some(true)
		var many []body
		for range 1000 {
			many = append(many, f)
		}
		b, n := encode(many...), 0
		asks := laterErr(func() error {
			for {
				if _, err := p.nc.Write(b); err != nil {
					return err
				}
				n++
			}
		})
		if !asks.waits() {
			t.Error("the peer can go on for ever")
		}
		if n > 50 {
			t.Errorf("%d flows were answered that nobody reads", 1000*n)
		}
		<-s.Conn().Done()
		if !errors.Is(s.Err(), amqpclient.ErrStalled) {
			t.Errorf("it ended with %v", s.Err())
		}
		again()
	})
}

// The timer may look just while something is written.
func TestAWriteThatTakesTimeHoldsNoHeartbeatBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, nc := newPeer(t)
		slow := &slowWriter{Conn: nc}
		p.raw(headAMQP)
		p.send(idle(2 * time.Second))
		c := must[*amqpclient.Conn](t)(amqpclient.Open(t.Context(), slow, &amqpclient.Options{IdleTimeout: -1}))
		p.frames()
		slow.takes.Store(int64(200 * time.Millisecond))
		time.Sleep(900 * time.Millisecond)
		c.Begin(gone(), nil)
		time.Sleep(3 * time.Second)
		if diff := cmp.Diff([]string{"begin 0 next=1", "empty", "empty"}, p.frames()); diff != "" {
			t.Errorf("frames from the client (-want +got):\n%s", diff)
		}
		c.Abort()
		<-c.Done()
	})
}

// slowWriter takes its time for each write.
type slowWriter struct {
	net.Conn
	takes atomic.Int64
}

func (s *slowWriter) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(s.takes.Load()))
	return s.Conn.Write(b)
}
