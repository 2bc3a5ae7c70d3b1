package amqpclient_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
)

// all is a connection with a session, a sender (0 here, 9 there) and a receiver (1 here, 8 there), whose ends j hears.
func all(t testing.TB, j *journal) (*peer, *amqpclient.Conn, *amqpclient.Session, *amqpclient.Sender, *amqpclient.Receiver) {
	t.Helper()
	p, s := session(t, &amqpclient.Options{OnEnd: j.end("conn")}, &amqpclient.SessionOptions{OnEnd: j.end("session")})
	out := later(func() (*amqpclient.Sender, error) {
		return s.Sender(t.Context(), &amqpclient.SenderOptions{Name: "out", OnEnd: j.end("sender")})
	})
	synctest.Wait()
	p.send(attach("out", 9, amqp10.RoleReceiver))
	in := later(func() (*amqpclient.Receiver, error) {
		return s.Receiver(t.Context(), &amqpclient.ReceiverOptions{Name: "in", OnEnd: j.end("receiver")})
	})
	synctest.Wait()
	p.send(attach("in", 8, amqp10.RoleSender))
	p.frames()
	return p, s.Conn(), s, out.must(t), in.must(t)
}

func TestEndsAreToldOnceAndInOrder(t *testing.T) {
	gone := &amqp10.Error{Condition: "amqp:resource-deleted", Description: "gone"}
	type parts struct {
		c   *amqpclient.Conn
		s   *amqpclient.Session
		out *amqpclient.Sender
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, p *peer, e parts)
		said []string
		told []string
	}{
		{
			"a link, by the peer", func(t *testing.T, p *peer, e parts) { p.send(detach(9, gone)) },
			[]string{"detach 0 closed"},
			[]string{"sender: amqpclient: link ended: amqp:resource-deleted: gone"},
		}, {
			"a link, by a detach that says neither why nor closed", func(t *testing.T, p *peer, e parts) { p.send(on{7, &amqp10.Detach{Handle: 9}}) },
			[]string{"detach 0 closed"},
			[]string{"sender: amqpclient: link ended: amqpclient: ended by the peer"},
		}, {
			"a link, by us", func(t *testing.T, p *peer, e parts) { e.out.Detach(gone2, gone) },
			[]string{"detach 0 closed resource-deleted"},
			[]string{"sender: amqpclient: link ended: amqpclient: closed: amqp:resource-deleted: gone"},
		}, {
			"a session, by the peer", func(t *testing.T, p *peer, e parts) { p.send(on{7, &amqp10.End{Error: gone}}) },
			[]string{"end"},
			[]string{
				"sender: amqpclient: session ended: amqp:resource-deleted: gone", "receiver: amqpclient: session ended: amqp:resource-deleted: gone",
				"session: amqpclient: session ended: amqp:resource-deleted: gone",
			},
		}, {
			"a session, by us", func(t *testing.T, p *peer, e parts) { e.s.End(gone2, nil) },
			[]string{"end"},
			[]string{
				"sender: amqpclient: session ended: amqpclient: closed", "receiver: amqpclient: session ended: amqpclient: closed",
				"session: amqpclient: session ended: amqpclient: closed",
			},
		}, {
			"the connection, by the peer", func(t *testing.T, p *peer, e parts) { p.send(&amqp10.Close{Error: gone}) },
			[]string{"close", "EOF"},
			[]string{
				"sender: amqpclient: connection ended: amqp:resource-deleted: gone", "receiver: amqpclient: connection ended: amqp:resource-deleted: gone",
				"session: amqpclient: connection ended: amqp:resource-deleted: gone", "conn: amqpclient: connection ended: amqp:resource-deleted: gone",
			},
		}, {
			"the connection, by us",
			func(t *testing.T, p *peer, e parts) {
				done := laterErr(func() error { return e.c.Close(t.Context()) })
				if !done.waits() {
					t.Error("Close does not wait for the peer")
				}
				p.send(&amqp10.Close{})
				done.must(t)
			},
			[]string{"close", "EOF"},
			[]string{
				"sender: amqpclient: connection ended: amqpclient: closed", "receiver: amqpclient: connection ended: amqpclient: closed",
				"session: amqpclient: connection ended: amqpclient: closed", "conn: amqpclient: connection ended: amqpclient: closed",
			},
		}, {
			"the connection, aborted", func(t *testing.T, p *peer, e parts) { e.c.Abort() },
			[]string{"EOF"},
			[]string{
				"sender: amqpclient: connection ended: amqpclient: aborted", "receiver: amqpclient: connection ended: amqpclient: aborted",
				"session: amqpclient: connection ended: amqpclient: aborted", "conn: amqpclient: connection ended: amqpclient: aborted",
			},
		}, {
			"the connection, without a word", func(t *testing.T, p *peer, e parts) { p.nc.(interface{ CloseWrite() error }).CloseWrite() },
			[]string{"EOF"},
			[]string{
				"sender: amqpclient: connection ended: amqpclient: the peer has hung up: EOF", "receiver: amqpclient: connection ended: amqpclient: the peer has hung up: EOF",
				"session: amqpclient: connection ended: amqpclient: the peer has hung up: EOF", "conn: amqpclient: connection ended: amqpclient: the peer has hung up: EOF",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				p, conn, s, out, _ := all(t, &j)
				c.do(t, p, parts{conn, s, out})
				p.want(c.said...)
				j.want(t, c.told...)
				if err := out.Err(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("the link's error is %v, which does not match net.ErrClosed", err)
				}
				if _, err := out.TrySend(nil, amqpclient.Outgoing{}); err != out.Err() {
					t.Errorf("TrySend returned %v", err)
				}
				conn.Abort()
				synctest.Wait()
				for _, line := range j.lines {
					if line == c.told[0] {
						t.Errorf("told twice: %s", line)
					}
				}
			})
		})
	}
}

// gone2 is a context that has ended, so that calls do not wait.
var gone2 = gone()

func TestCallsThatWaitEndWithWhatTheyWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, conn, s, out, in := all(t, &j)
		calls := map[string]*call[struct{}]{
			"Begin":    laterErr(func() error { _, err := conn.Begin(t.Context(), nil); return err }),
			"Sender":   laterErr(func() error { _, err := s.Sender(t.Context(), &amqpclient.SenderOptions{}); return err }),
			"Receiver": laterErr(func() error { _, err := s.Receiver(t.Context(), &amqpclient.ReceiverOptions{}); return err }),
			"Send":     laterErr(func() error { return out.Send(t.Context(), nil, amqpclient.Outgoing{}) }),
		}
		in.AddCredit(1)
		p.frames()
		calls["Drain"] = laterErr(func() error { return in.Drain(t.Context()) })
		p.frames()
		for name, c := range calls {
			if !c.waits() {
				t.Errorf("%s does not wait", name)
			}
		}
		p.nc.Close()
		for name, c := range calls {
			_, err := c.result(t)
			if e := new(amqpclient.Error); !errors.As(err, &e) || e.Level != amqpclient.LevelConn {
				t.Errorf("%s returned %v", name, err)
			}
		}
		if _, err := conn.Begin(t.Context(), nil); err != conn.Err() {
			t.Errorf("Begin returned %v", err)
		}
	})
}

func TestARefusedAttachHasThePeersReason(t *testing.T) {
	info := amqp10.AppendSymbol(amqp10.OpenCompound(nil), "hostname")
	info = amqp10.CloseMap(amqp10.AppendString(info, "elsewhere"), 0, 2)
	for _, e := range []*amqp10.Error{{Condition: amqp10.LinkRedirect, Description: "not here", Info: amqp10.ValueOf(info)}, nil} {
		synctest.Test(t, func(t *testing.T) {
			p, s := session(t, nil, nil)
			c := later(func() (*amqpclient.Sender, error) {
				return s.Sender(t.Context(), &amqpclient.SenderOptions{Name: "out", OnEnd: func(error) { t.Error("its end is told") }})
			})
			synctest.Wait()
			refusal := attach("out", 9, amqp10.RoleReceiver)
			refusal.body.(*amqp10.Attach).Target.Valid = false
			p.send(refusal)
			if !c.waits() {
				t.Error("the reason is not waited for")
			}
			p.frames()
			p.send(detach(9, e))
			p.want("detach 0 closed")
			_, err := c.result(t)
			got := new(amqpclient.Error)
			if !errors.As(err, &got) || got.Level != amqpclient.LevelAttach || errors.Is(err, net.ErrClosed) {
				t.Fatalf("Sender returned %v", err)
			}
			if e == nil {
				if !errors.Is(err, amqpclient.ErrPeerClosed) {
					t.Errorf("Sender returned %v", err)
				}
				return
			}
			host, _ := got.Remote.Info.Lookup("hostname")
			if text, _ := host.Text(); got.Remote.Condition != e.Condition || string(text) != "elsewhere" {
				t.Errorf("Sender returned %v with info %q", err, text)
			}
			again := later(func() (*amqpclient.Sender, error) {
				return s.Sender(t.Context(), &amqpclient.SenderOptions{Name: "out"})
			})
			p.want("attach out 0 sender from 0")
			p.send(attach("out", 9, amqp10.RoleReceiver))
			again.must(t)
		})
	}
}

func TestWhatIsAnsweredLateIsEndedThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := open(t, nil, &amqp10.Open{})
		if _, err := c.Begin(gone(), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Begin returned %v", err)
		}
		second := later(func() (*amqpclient.Session, error) { return c.Begin(t.Context(), nil) })
		p.want("begin 0 next=1", "1: begin 0 next=1")
		p.send(begin(1))
		s := second.must(t)
		p.send(on{8, &amqp10.Begin{RemoteChannel: amqp10.Some[uint16](0), IncomingWindow: 1}})
		p.want("end")
		p.send(on{8, &amqp10.End{}})

		if _, err := s.Sender(gone(), &amqpclient.SenderOptions{Name: "out"}); !errors.Is(err, context.Canceled) {
			t.Errorf("Sender returned %v", err)
		}
		if _, err := s.Sender(gone(), &amqpclient.SenderOptions{Name: "out"}); !errors.Is(err, amqpclient.ErrNameInUse) {
			t.Errorf("a link of the same name: %v", err)
		}
		p.want("1: attach out 0 sender from 0")
		p.send(attach("out", 9, amqp10.RoleReceiver))
		p.want("1: detach 0 closed")
		p.send(detach(9, nil))
		again := later(func() (*amqpclient.Session, error) { return c.Begin(t.Context(), nil) })
		p.want("begin 0 next=1")
		p.send(on{8, &amqp10.Begin{RemoteChannel: amqp10.Some[uint16](0), IncomingWindow: 1}})
		again.must(t)
	})
}

func TestAnEndIsWaitedForNoLongerThanTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, c, s, out, in := all(t, &j)
		for name, f := range map[string]func(context.Context) error{
			"Detach": func(ctx context.Context) error { return out.Detach(ctx, nil) },
			"End":    func(ctx context.Context) error { return s.End(ctx, nil) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) && name != "Detach" {
				t.Errorf("%s returned %v", name, err)
			}
		}
		_ = in
		p.send(detach(9, nil), on{7, &amqp10.End{}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v", err)
		}
		<-c.Done()
		if !errors.Is(c.Err(), amqpclient.ErrClosed) {
			t.Errorf("the connection ended with %v", c.Err())
		}
	})
}

func TestHandlesAreTakenUntilBothEndsHaveDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, _, s, out, _ := all(t, &j)
		waits := laterErr(func() error { return out.Detach(t.Context(), nil) })
		p.want("detach 0 closed")
		next := later(func() (*amqpclient.Sender, error) {
			return s.Sender(t.Context(), &amqpclient.SenderOptions{Name: "next"})
		})
		p.want("attach next 2 sender from 0")
		p.send(detach(9, nil), attach("next", 9, amqp10.RoleReceiver))
		waits.must(t)
		next.must(t)
		later(func() (*amqpclient.Sender, error) {
			return s.Sender(t.Context(), &amqpclient.SenderOptions{Name: "third"})
		})
		p.want("attach third 0 sender from 0")
	})
}

func TestCallbacksMayEndThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		o := j.receiver(5)
		deliver := o.OnDelivery
		o.OnDelivery = func(d *amqpclient.Delivery) {
			d.Link.Detach(gone2, nil)
			d.Link.Session().End(gone2, nil)
			d.Link.Session().Conn().Abort()
			deliver(d)
			j.add("over")
		}
		p, r := receiver(t, o)
		p.send(message(0, "m"))
		<-r.Session().Conn().Done()
		want := []string{"delivery 0 tag 00 settled false: m", "over", "receiver: amqpclient: link ended: amqpclient: closed"}
		if diff := cmp.Diff(want, j.lines); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsAbortedStaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := open(t, nil, &amqp10.Open{})
		c.Abort()
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("Close returned %v", err)
		}
		if !errors.Is(c.Err(), amqpclient.ErrAborted) {
			t.Errorf("the connection ended with %v", c.Err())
		}
	})
}

// A link that ends within a message holds up the others no more.
func TestAnEndedLinkLetsTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := sender(t, 10, &amqpclient.SenderOptions{})
		other := later(func() (*amqpclient.Sender, error) {
			return l.Session().Sender(t.Context(), &amqpclient.SenderOptions{Name: "other"})
		})
		synctest.Wait()
		p.send(attach("other", 8, amqp10.RoleReceiver), linkFlow(8, 0, 10), sessionFlow(1, 1))
		must[bool](t)(l.TrySend(make([]byte, 100_000), amqpclient.Outgoing{}))
		waits := laterErr(func() error { return other.must(t).Send(t.Context(), []byte("m"), amqpclient.Outgoing{}) })
		p.send(sessionFlow(2, 0))
		l.Detach(gone2, nil)
		p.send(sessionFlow(2, 1))
		waits.must(t)
	})
}

func TestAnAttachThatNoFrameHoldsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := open(t, nil, &amqp10.Open{MaxFrameSize: amqp10.Some[uint32](512)})
		s := later(func() (*amqpclient.Session, error) { return c.Begin(t.Context(), nil) })
		synctest.Wait()
		p.send(begin(0))
		p.frames()
		_, err := s.must(t).Sender(t.Context(), &amqpclient.SenderOptions{Target: strings.Repeat("x", 600)})
		if !errors.Is(err, amqpclient.ErrFrameSize) {
			t.Errorf("Sender returned %v", err)
		}
		later(func() (*amqpclient.Sender, error) {
			return s.v.Sender(t.Context(), &amqpclient.SenderOptions{Name: "a"})
		})
		p.want("attach a 0 sender from 0")
	})
}

func TestThereAreNoMoreSessionsAndLinksThanThePeerAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, c := open(t, nil, &amqp10.Open{ChannelMax: amqp10.Some[uint16](0)})
		s := later(func() (*amqpclient.Session, error) { return c.Begin(t.Context(), nil) })
		synctest.Wait()
		b := begin(0)
		b.body.(*amqp10.Begin).HandleMax = amqp10.Some[uint32](0)
		p.send(b)
		if _, err := c.Begin(t.Context(), nil); !errors.Is(err, amqpclient.ErrLimit) {
			t.Errorf("Begin returned %v", err)
		}
		later(func() (*amqpclient.Sender, error) { return s.must(t).Sender(t.Context(), &amqpclient.SenderOptions{}) })
		synctest.Wait()
		if _, err := s.v.Sender(t.Context(), &amqpclient.SenderOptions{}); !errors.Is(err, amqpclient.ErrLimit) {
			t.Errorf("Sender returned %v", err)
		}
	})
}
