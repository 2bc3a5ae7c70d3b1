package amqpserver_test

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/internal/testkit"
)

func TestASilentPeerIsClosedAfterTwiceTheIdleTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := meet(t, nil, &amqpserver.Handler{})
		start := time.Now()
		<-p.done
		if took := time.Since(start); took != 482*time.Second {
			t.Errorf("ended after %v", took)
		}
		got := p.frames() // heartbeats, and a close that the peer does not answer
		if n := len(got); n < 3 || !slices.Equal(got[n-2:], []string{"close connection:forced", "EOF"}) {
			t.Errorf("frames from the server: %q", got)
		}
		var e *amqp10.Error
		if !errors.As(p.err, &e) || e.Condition != amqp10.ConnectionForced {
			t.Errorf("Serve returned %v", p.err)
		}
	})
}

func TestHeartbeatsKeepAConnection(t *testing.T) {
	for name, c := range map[string]struct {
		idle uint32 // the peer's, in ms
		want time.Duration
	}{
		"one of a minute is answered twice a minute":    {60_000, 30 * time.Second},
		"without one there is a word every two minutes": {0, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := connect(t, nil, &amqpserver.Handler{})
				p.raw([]byte(headAMQP))
				p.send(&amqp10.Open{IdleTimeout: amqp10.Some(c.idle)})
				p.want("AMQP 0", "open amqpserver")
				silent := time.Now()
				for time.Since(silent) < 20*time.Minute {
					p.raw(amqp10.AppendEmptyFrame(nil))
					time.Sleep(c.want)
					if got := p.frames(); len(got) == 0 || got[0] != "empty" || len(got) > 2 {
						t.Fatalf("frames from the server within %v: %q", c.want, got)
					}
				}
			})
		})
	}
}

func TestABusyConnectionNeedsNoHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := meet(t, nil, &amqpserver.Handler{})
		for range 100 {
			p.send(&amqp10.Flow{Echo: amqp10.Some(true)})
			time.Sleep(50 * time.Second)
			p.want("flow in=0+5000 out=1")
		}
	})
}

// A peer that never answers is waited for where something would be used again, and no longer than that.
func TestPeersThatNeverAnswer(t *testing.T) {
	x := &amqp10.Error{Condition: "x"}
	t.Run("a close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, c := meet(t, nil, &amqpserver.Handler{})
			start := time.Now()
			c.Close(x)
			c.Close(nil) // once is enough
			<-p.done
			p.want("close x", "EOF")
			if took := time.Since(start); took != 2*time.Second || p.err != error(x) {
				t.Errorf("ended after %v: %v", took, p.err)
			}
		})
	})
	t.Run("an end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var s *amqpserver.Session
			p, _ := meet(t, nil, &amqpserver.Handler{Begun: func(begun *amqpserver.Session) { s = begun }})
			s.End(x)
			s.End(nil)
			p.want("end x")
			p.send(&amqp10.Begin{}) // the channel is not free
			p.want("close not-allowed")
		})
	})
	t.Run("a detach", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, n := holding(t, config, amqp10.Opt[uint8]{})
			n.link.Detach(x)
			n.link.Detach(nil)
			p.want("detach 0 closed x")
			p.send(sender("a", "sink", 1)) // the name is free, the handle is not
			p.want("attach a 1 receiver", "flow in=0+10 out=1 link 1 count=0 credit=4")
			p.send(sender("b", "sink", 0))
			p.want("end session:handle-in-use")
		})
	})
}

func TestADetachBeforeTheAnswerRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &space{sinks: map[string]*sink{"sink": {}}, sources: map[string]*source{"source": {}}}
		s.attach = func(a *amqpserver.Attach) { a.Link.Wake(); a.Link.Resume(); a.Link.Detach(nil) }
		p, _ := meet(t, config, s.handler())
		s.told()
		p.send(sender("a", "sink", 0), receiver("b", "source", 1))
		p.want("attach a 0 receiver refused", "detach 0 closed link:detach-forced", "attach b 1 sender from 0 refused", "detach 1 closed link:detach-forced")
		if diff := cmp.Diff([]string{"a detached: amqp:link:detach-forced", "b detached: amqp:link:detach-forced"}, s.told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// What ends while a handler decides is not attached.
func TestAnEndWhileTheHandlerDecides(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(l *amqpserver.Link)
		want []string
	}{
		"of the session":    {func(l *amqpserver.Link) { l.Session().End(nil) }, []string{"end"}},
		"of the connection": {func(l *amqpserver.Link) { l.Conn().Close(nil) }, []string{"close"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &space{sinks: map[string]*sink{"sink": {}}}
				s.attach = func(a *amqpserver.Attach) { c.end(a.Link) }
				p, _ := meet(t, config, s.handler())
				s.told()
				p.send(sender("a", "sink", 0))
				p.want(c.want...)
				if diff := cmp.Diff([]string{"a detached: nil", "ended 0: <nil>"}, s.told()); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A peer that stops reading is not asked for more messages, is dropped when its time is over, and holds nobody up who
// wants to close it.
func TestAPeerThatStopsReading(t *testing.T) {
	flood := func(t *testing.T) (*peer, *amqpserver.Conn, *int) {
		near, far := testkit.Pipe()
		stalled := testkit.Stallable(near)
		asked := new(int)
		n := &source{messages: slices.Repeat([]string{strings.Repeat("x", 1000)}, 10_000), asked: func() { *asked++ }}
		s := &space{sources: map[string]*source{"source": n}}
		p, c := connectOver(t, stalled, far, &amqpserver.Config{MaxUnsettled: 10_000}, s.handler())
		p.begin()
		stalled.StopReads(0)
		p.send(receiver("a", "source", 0), &amqp10.Flow{IncomingWindow: 1 << 20, Handle: amqp10.Some[uint32](0), LinkCredit: amqp10.Some[uint32](1 << 20)})
		synctest.Wait()
		return p, c, asked
	}
	t.Run("is dropped after the write time-out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _, asked := flood(t)
			start := time.Now()
			<-p.done
			if took := time.Since(start); took != 30*time.Second || !errors.Is(p.err, os.ErrDeadlineExceeded) {
				t.Errorf("ended after %v: %v", took, p.err)
			}
			// What the pipe holds, and a burst.
			if *asked > 100 {
				t.Errorf("asked for %d messages", *asked)
			}
		})
	})
	t.Run("is closed in the time of a close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, c, _ := flood(t)
			start := time.Now()
			c.Close(nil)
			<-p.done
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("ended after %v: %v", took, p.err)
			}
		})
	})
	t.Run("and asks for answers without end is not read from", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			near, far := testkit.Pipe()
			stalled := testkit.Stallable(near)
			p, _ := connectOver(t, stalled, far, nil, &amqpserver.Handler{})
			p.begin()
			stalled.StopReads(0)
			echo := encode(slices.Repeat([]body{&amqp10.Flow{Echo: amqp10.Some(true)}}, 1000)...)
			near.SetWriteDeadline(time.Now().Add(time.Second))
			sent := 0
			for {
				n, err := near.Write(echo)
				sent += n
				if err != nil {
					break
				}
			}
			if sent > 2<<20 {
				t.Errorf("took %d bytes of questions", sent)
			}
			<-p.done
		})
	})
}

// A node that is being asked, or handed something, is told of the end behind that.
func TestANodeIsToldBehindItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asking, answer := make(chan bool), make(chan bool)
		p, n, s := fed(t, config, nil, "x")
		n.asked = func() { asking <- true; <-answer }
		p.send(credit(0, 0, 1))
		<-asking
		n.link.Detach(nil)
		n.link.Conn().Close(nil)
		synctest.Wait()
		if told := s.told(); len(told) > 0 {
			t.Errorf("told %q while it was asked", told)
		}
		close(answer)
		synctest.Wait()
		if diff := cmp.Diff([]string{"a detached: nil", "ended 0: <nil>"}, s.told()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// Serve waits for what it has told, and closes what it was given.
func TestServeClosesTheConnection(t *testing.T) {
	near, far := net.Pipe()
	c := amqpserver.NewServer(nil).NewConn(far, nil, &amqpserver.Handler{})
	near.Close()
	if err := c.Serve(); !errors.Is(err, amqpserver.ErrNoClose) {
		t.Errorf("Serve returned %v", err)
	}
	if _, err := far.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write after Serve: %v", err)
	}
}
