package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestDeadLinks(t *testing.T) {
	const keep, ackLimit = 60 * time.Second, 30 * time.Second
	small, loose := message("x"), &Publish{Topic: []byte("t"), Payload: make([]byte, 10_000)}
	for _, tt := range []struct {
		name          string
		reads, writes bool     // what stops, without a word
		publish       *Publish // all the time; nil: nothing
		ackTimeout    time.Duration
		want          error
		within        time.Duration
	}{
		{"a black hole under an idle session", true, true, nil, 0, ErrKeepAlive, keep * 3 / 2},
		{"what the server sends is lost, and the session writes on and on", true, false, small, -1, ErrKeepAlive, keep * 3 / 2},
		{"what the session writes is lost, and it writes on and on", false, true, small, -1, ErrKeepAlive, keep * 3 / 2},
		{"what the session writes without acknowledgement fills the buffers", false, true, loose, -1, ErrKeepAlive, keep * 3 / 2},
		{"the acknowledgements are lost", true, false, small, ackLimit, ErrAckTimeout, ackLimit + time.Second},
		{"the publishes are lost", false, true, small, ackLimit, ErrAckTimeout, ackLimit + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, well)
				var stalls []*testkit.Stall
				f.wrap = func(nc net.Conn) net.Conn {
					stalls = append(stalls, testkit.Stallable(nc))
					return stalls[len(stalls)-1]
				}
				lost := make(chan time.Time, 10)
				var pings atomic.Int32
				s := f.start(SessionOptions{
					KeepAlive: keep, AckTimeout: tt.ackTimeout,
					OnState: func(state SessionState, _ error) {
						if state == Connecting {
							lost <- time.Now()
						}
					},
					Trace: &Trace{Sent: func(p Packet) {
						if p.Type() == TypePingreq {
							pings.Add(1)
						}
					}},
				})
				time.Sleep(time.Second)
				if tt.reads {
					stalls[0].StopReads(0)
				}
				if tt.writes {
					stalls[0].StopWrites(0)
				}
				begin := time.Now()
				for time.Since(begin) < 3*time.Minute && len(lost) == 0 {
					if tt.publish != nil {
						if err := s.PublishAsync(t.Context(), tt.publish, nil); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Second)
				}
				if took := (<-lost).Sub(begin); took > tt.within {
					t.Errorf("it took %v, want %v", took, tt.within)
				}
				if n := pings.Load(); n > 1 {
					t.Errorf("%d pings were sent", n)
				}
				_, reasons := f.stateLog()
				if !errors.Is(reasons[1], tt.want) || !errors.Is(reasons[1], net.ErrClosed) {
					t.Fatalf("reasons are %v", reasons)
				}
				if err := s.Publish(t.Context(), message("after")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAServerThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		f := newFake(t, func(c *fakeConn) { c.accept(); <-stop }, well)
		s := f.start(SessionOptions{AckTimeout: 10 * time.Second})
		out := newOutcome()
		var names []string
		for i := range 30 { // 300 kB, more than the pipe holds
			names = append(names, fmt.Sprint(i))
			m := message(names[i])
			m.QoS = QoS(i % 2)
			m.Payload = append(m.Payload, make([]byte, 10000)...)
			if err := s.PublishAsync(t.Context(), m, out.of(names[i])); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(11 * time.Second)
		close(stop)
		_, reasons := f.stateLog()
		if len(reasons) < 2 || !errors.Is(reasons[1], ErrAckTimeout) {
			t.Fatalf("reasons are %v", reasons)
		}
		for i, name := range names {
			if i%2 == 1 {
				out.check(t, nil, name)
			}
			if n := len(out.told(name)); n != 1 {
				t.Errorf("done of %s was called %d times", name, n)
			}
		}
	})
}

func TestServersThatAcceptAndNeverAnswer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		do      func(context.Context, *Session) error
		keep    time.Duration
		silence time.Duration
	}{
		{"no PUBACK", func(ctx context.Context, s *Session) error { return s.Publish(ctx, message("x")) }, -1, 60 * time.Second},
		{"no SUBACK", func(ctx context.Context, s *Session) error { return s.Subscribe(ctx, AtLeastOnce, "a") }, -1, 60 * time.Second},
		{"no UNSUBACK", func(ctx context.Context, s *Session) error { return s.Unsubscribe(ctx, "a") }, -1, 60 * time.Second},
		{"no PINGRESP", func(ctx context.Context, s *Session) error { time.Sleep(time.Hour); return nil }, 20 * time.Second, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, hushed, well)
				s := f.start(SessionOptions{KeepAlive: tt.keep})
				if err := tt.do(t.Context(), s); err != nil {
					t.Error(err)
				}
				if took := f.dials()[1].Sub(f.dials()[0]); took < tt.silence || took > tt.silence+time.Second {
					t.Errorf("the second connection came after %v, want %v and up to a second of back-off", took, tt.silence)
				}
			})
		})
	}
	t.Run("no CONNACK", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, silent, well)
			s := f.start(SessionOptions{ConnectTimeout: 10 * time.Second})
			_, reasons := f.stateLog()
			if !errors.Is(reasons[0], os.ErrDeadlineExceeded) || s.State() != Connected {
				t.Errorf("reasons are %v", reasons)
			}
		})
	})
	for when, script := range map[string]func(*fakeConn){
		"instead of CONNACK": func(c *fakeConn) { c.step(false); c.send([]byte{0x20, 0xff, 0xff, 0xff, 0xff}) },
		"later":              func(c *fakeConn) { c.accept(); c.send([]byte{0xd0, 0xff, 0xff, 0xff, 0xff}) },
	} {
		t.Run("what is no packet, "+when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, script, well)
				f.start(SessionOptions{})
				comeBack()
				_, reasons := f.stateLog()
				if !slices.ContainsFunc(reasons, func(err error) bool { return errors.Is(err, ErrProtocol) && errors.Is(err, ErrLength) }) {
					t.Errorf("reasons are %v", reasons)
				}
			})
		})
	}
	t.Run("something else than CONNACK", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, func(c *fakeConn) { c.step(false); c.send([]byte{0xd0, 0x00}) }, well)
			f.start(SessionOptions{})
			if _, reasons := f.stateLog(); !errors.Is(reasons[0], ErrProtocol) {
				t.Errorf("reasons are %v", reasons)
			}
		})
	})
}

// A server that acknowledges late and then falls silent is not taken for dead before a ping has had its time.
func TestAServerThatAnswersOnceMore(t *testing.T) {
	const minute, short = time.Minute, 30 * time.Second
	for _, tt := range []struct {
		name string
		keep time.Duration
		qos  QoS
		id   uint16        // that is acknowledged; the publish has 1
		also time.Duration // when another packet comes, if at all
		late time.Duration // when the PUBACK comes after that
		lost time.Duration // after the CONNECT, and the publish
	}{
		{"before a ping", minute, AtLeastOnce, 1, 0, 20 * time.Second, minute * 3 / 2},
		{"before a ping, with a short KeepAlive", short, AtLeastOnce, 1, 0, 20 * time.Second, 20*time.Second + short*3/2},
		{"when a ping is under way", minute, AtLeastOnce, 1, 0, 70 * time.Second, 70*time.Second + minute*3/2},
		{"after something else", minute, AtLeastOnce, 1, 20 * time.Second, 10 * time.Second, 30*time.Second + minute*3/2},
		{"for something else, while the publish is under way", minute, AtLeastOnce, 2, 0, 20 * time.Second, 20*time.Second + minute*3/2},
		{"when nothing is under way", minute, AtMostOnce, 1, 0, 20 * time.Second, 20*time.Second + minute*3/2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pinged := make(chan time.Time, 10)
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					c.step(false)
					if time.Sleep(tt.also); tt.also > 0 {
						c.send((&Publish{Topic: []byte("t")}).AppendTo(nil))
					}
					time.Sleep(tt.late)
					c.send((&Puback{ID: tt.id}).AppendTo(nil))
					for c.step(false) {
					}
				}, well)
				s := f.start(SessionOptions{KeepAlive: tt.keep, AckTimeout: -1, Trace: &Trace{Sent: func(p Packet) {
					if p.Type() == TypePingreq && f.connections() == 1 {
						pinged <- time.Now()
					}
				}}})
				m := message("x")
				m.QoS = tt.qos
				if err := s.PublishAsync(t.Context(), m, nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				dials := f.dials()
				if len(dials) != 2 {
					t.Fatalf("%d connections, want 2", len(dials))
				}
				if took := dials[1].Sub(dials[0]); took < tt.lost || took > tt.lost+time.Second {
					t.Errorf("the second connection came after %v, want %v and up to a second of back-off", took, tt.lost)
				}
				close(pinged)
				hadTime := false // for its answer, since the last sign of life
				for at := range pinged {
					before := dials[1].Sub(at)
					hadTime = hadTime || before >= tt.keep/2 && before <= tt.keep*3/2+time.Second
				}
				if !hadTime {
					t.Error("no ping was sent in time")
				}
			})
		})
	}
}

func TestPingsAreSentOnlyInSilence(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every time.Duration // between publishes; 0: none
		keep  time.Duration
		pings int // in an hour
	}{
		{"an idle session pings once in each interval", 0, 4 * time.Minute, 15},
		{"one that publishes does not", time.Minute, 4 * time.Minute, 0},
		{"one without keep-alive does not", 0, -1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, well)
				s := f.start(SessionOptions{KeepAlive: tt.keep})
				for begin := time.Now(); time.Since(begin) < time.Hour+time.Second; {
					if tt.every == 0 {
						time.Sleep(time.Hour + time.Second)
						continue
					}
					if err := s.Publish(t.Context(), message("x")); err != nil {
						t.Error(err)
					}
					time.Sleep(tt.every)
				}
				if got := len(f.filters()); got != tt.pings || f.connections() != 1 {
					t.Errorf("%d pings and %d connections, want %d and 1", got, f.connections(), tt.pings)
				}
			})
		})
	}
	t.Run("a server that talks all the time hears from the client too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(t, func(c *fakeConn) {
				c.accept()
				c.f.running.Go(func() {
					p := (&Publish{Topic: []byte("t")}).AppendTo(nil)
					for c.Write(p) == nil {
						time.Sleep(time.Second)
					}
				})
				c.serve()
			})
			s := f.start(SessionOptions{KeepAlive: time.Minute})
			time.Sleep(10*time.Minute + time.Second)
			if got := len(f.filters()); got != 10 {
				t.Errorf("%d pings in ten minutes, want 10", got)
			}
			s.Close()
		})
	})
}

func TestAHundredRenewalsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 2 * time.Second
		var expires atomic.Int64
		f := newFake(t, func(c *fakeConn) {
			c.present = c.n > 1
			if !c.accept() {
				return
			}
			c.f.running.Go(func() { // C2D comes in too
				p := (&Publish{Topic: []byte("c2d"), ID: uint16(c.n), QoS: AtLeastOnce}).AppendTo(nil)
				c.send(p)
			})
			c.serve()
		})
		var mu = make(chan struct{}, 1)
		received, passwords := 0, map[string]bool{}
		login := func(context.Context) (Login, error) {
			mu <- struct{}{}
			defer func() { <-mu }()
			password := fmt.Sprintf("token %d", len(passwords))
			passwords[password] = true
			at := time.Now().Add(life)
			expires.Store(at.UnixNano())
			return Login{ClientID: "d", UserName: "u", Password: NewSecret([]byte(password)), Expires: at}, nil
		}
		s, err := StartSession(t.Context(), f.dial, login, &SessionOptions{
			OnState: func(state SessionState, reason error) {
				f.states = append(f.states, state.String())
				if state == Renewing && (!errors.Is(reason, ErrRenewal) || !errors.Is(reason, net.ErrClosed)) {
					t.Errorf("reason %v", reason)
				}
			},
			OnDelivery: func(d Delivery) {
				received++
				if err := d.Receipt.Ack(); err != nil {
					t.Error(err)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		out := newOutcome()
		var names []string
		for f.connections() <= 100 {
			if time.Now().UnixNano() >= expires.Load() {
				t.Fatal("the token has expired and is still in use")
			}
			name := fmt.Sprintf("%05d", len(names))
			names = append(names, name)
			if err := s.PublishAsync(t.Context(), message(name), out.of(name)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(7 * time.Millisecond)
		}
		synctest.Wait()
		out.check(t, nil, names...)
		checkOrder(t, f.publishes(), names)
		if received != 101 || len(passwords) != 101 {
			t.Errorf("%d messages in, %d passwords, want 101", received, len(passwords))
		}
		want := append(slices.Repeat([]string{"connected", "renewing"}, 100), "connected")
		if diff := cmp.Diff(want, f.states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		dials := f.dials()
		for i := 1; i < len(dials); i++ {
			if d := dials[i].Sub(dials[i-1]); d < life*78/100 || d > life*82/100 {
				t.Errorf("renewal %d came after %v", i, d)
			}
		}
		s.Close()
		f.running.Wait()
	})
}

func TestRenewalDrainsForAMomentAndThenGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed, well)
		s, err := StartSession(t.Context(), f.dial, func(context.Context) (Login, error) {
			return Login{ClientID: "d", Expires: time.Now().Add(time.Hour)}, nil
		}, &SessionOptions{AckTimeout: -1, KeepAlive: -1})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(46 * time.Minute) // 80 % of an hour are 48 min
		out := newOutcome()
		if err := s.PublishAsync(t.Context(), message("open"), out.of("open")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		out.check(t, nil, "open")
		if d := f.dials()[1].Sub(f.dials()[0]); d < 78*time.Hour/100+renewDrain || d > 82*time.Hour/100+renewDrain {
			t.Errorf("renewal after %v", d)
		}
		s.Close()
		f.running.Wait()
	})
}

func TestAfterALongSleepTheNextAttemptHasAFreshLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		var last time.Time
		asleep := false
		login := func(context.Context) (Login, error) {
			last = time.Now().Add(time.Hour)
			return Login{ClientID: "d", Expires: last}, nil
		}
		dial := func(ctx context.Context) (net.Conn, error) {
			if asleep {
				asleep = false
				time.Sleep(3 * time.Hour) // while an attempt is under way
				return nil, errors.New("network is down")
			}
			if !time.Now().Before(last) {
				t.Errorf("dialling with a login that expired at %v, at %v", last, time.Now())
			}
			return f.dial(ctx)
		}
		s, err := StartSession(t.Context(), dial, login, nil)
		if err != nil {
			t.Fatal(err)
		}
		asleep = true
		s.link.nc.Close()
		time.Sleep(4 * time.Hour)
		if err := s.Publish(t.Context(), message("x")); err != nil {
			t.Error(err)
		}
		s.Close()
		f.running.Wait()
	})
}

func TestRefusedRenewalOfAnExpiredTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well, refusing(NotAuthorized))
		s, err := StartSession(t.Context(), f.dial, func(context.Context) (Login, error) {
			return Login{ClientID: "d", UserName: "u", Expires: time.Now().Add(time.Hour)}, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if !errors.Is(s.Err(), hubwire.Unauthorized) || f.connections() != 3 {
			t.Errorf("%v after %d connections", s.Err(), f.connections())
		}
		if s.State() != Closed {
			t.Errorf("state %v", s.State())
		}
		f.running.Wait()
	})
}

// A server whose packet takes long to arrive has no place to put a PINGRESP, and is not silent.
func TestAPacketThatTakesLongerThanKeepAliveAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keep = 10 * time.Second
		f := newFake(t, func(c *fakeConn) {
			if !c.accept() {
				return
			}
			large := (&Publish{Topic: []byte("t"), Payload: make([]byte, 60_000), QoS: AtLeastOnce, ID: 1}).AppendTo(nil)
			for part := range slices.Chunk(large, 1000) {
				c.send(part)
				time.Sleep(time.Second)
			}
			c.serve() // the pings that came meanwhile, too
			time.Sleep(time.Hour)
		})
		var came atomic.Int32
		f.start(SessionOptions{KeepAlive: keep, OnDelivery: func(d Delivery) { came.Add(1); _ = d.Receipt.Ack() }})
		time.Sleep(2 * time.Minute)
		if n := f.connections(); n != 1 || came.Load() != 1 {
			_, reasons := f.stateLog()
			t.Errorf("%d connections, %d messages: %v", n, came.Load(), reasons)
		}
	})
}

// One that stops in the middle of a packet is as dead as another.
func TestALinkThatDiesInThePacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keep = 10 * time.Second
		f := newFake(t, func(c *fakeConn) {
			if c.accept() {
				part := (&Publish{Topic: []byte("t"), Payload: make([]byte, 100)}).AppendTo(nil)[:50]
				c.send(part[:25])
				time.Sleep(keep)
				c.send(part[25:])
				for c.step(false) {
				}
			}
		}, well)
		lost := make(chan error, 1)
		begin := time.Now()
		f.start(SessionOptions{KeepAlive: keep, OnState: func(state SessionState, reason error) {
			if state == Connecting {
				lost <- reason
			}
		}})
		if err := <-lost; !errors.Is(err, ErrKeepAlive) || time.Since(begin) != keep+keep*3/2 {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}
