package mqtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

func TestSubscriptionsAreRestoredWhereTheServerHasNone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		present bool
		o       SessionOptions
		want    []string // on the second connection
	}{
		{"a server without a session gets them again, in batches", false, SessionOptions{SubscribeBatch: 2}, []string{"2:b/#", "2:c", "2:d", "2:new"}},
		{"a server with one does not", true, SessionOptions{}, []string{"2:new"}},
		{"unless that is wanted", true, SessionOptions{RestoreAlways: true}, []string{"2:b/#", "2:c", "2:d", "2:new"}},
		{"a server that was asked for a clean one has none, whatever it says", true, SessionOptions{CleanSession: true}, []string{"2:b/#", "2:c", "2:d", "2:new"}},
		{"a batch is no larger than a packet may be", false, SessionOptions{MaxPacket: 64, SubscribeBatch: 100}, []string{"2:b/#", "2:c", "2:d", "2:new"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cut := make(chan struct{})
				f := newFake(t, func(c *fakeConn) {
					c.accept()
					for range 6 {
						c.step(true)
					}
					c.step(false) // "new" has no answer
					<-cut
				}, func(c *fakeConn) { c.present = tt.present; well(c) })
				s := f.start(tt.o)
				if err := s.Subscribe(t.Context(), AtLeastOnce, "a"); err != nil {
					t.Fatal(err)
				}
				for _, filter := range []string{"b/#", "c", "d"} {
					if err := s.Subscribe(t.Context(), AtMostOnce, filter); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Subscribe(t.Context(), AtMostOnce, "d"); err != nil { // remembered once
					t.Fatal(err)
				}
				if err := s.Unsubscribe(t.Context(), "a", "never had it"); err != nil {
					t.Fatal(err)
				}
				var waiting sync.WaitGroup
				waiting.Go(func() {
					if err := s.Subscribe(t.Context(), AtMostOnce, "new"); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				close(cut)
				waiting.Wait()
				second := slices.DeleteFunc(f.filters(), func(line string) bool { return strings.HasPrefix(line, "1:") })
				if diff := cmp.Diff(tt.want, second); diff != "" {
					t.Errorf("filters (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestSubscriptionsComeBeforePublishesOnANewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var types []Type
		f := newFake(t, takes2ThenCuts, func(c *fakeConn) {
			c.accept()
			for {
				p, err := c.ReadPacket()
				if err != nil {
					return
				}
				types = append(types, p.Type())
				if reply := c.record(p); reply != nil {
					c.send(reply)
				}
			}
		})
		s := f.start(SessionOptions{})
		if err := s.Subscribe(t.Context(), AtLeastOnce, "a"); err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(t.Context(), message("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]Type{TypeSubscribe, TypePublish}, types); diff != "" {
			t.Errorf("packets (-want +got):\n%s", diff)
		}
	})
}

// takes2ThenCuts answers one packet, reads another, and cuts.
func takes2ThenCuts(c *fakeConn) {
	c.accept()
	c.step(true)
	c.step(false)
}

func TestRefusedFiltersAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			p, err := c.ReadPacket()
			if err != nil {
				return
			}
			m, _ := ParseSubscribe(p)
			c.send((&Suback{ID: m.ID, Codes: []byte{0, SubackFailure, SubackFailure}}).AppendTo(nil))
			c.step(false)
		}, well)
		s := f.start(SessionOptions{})
		err := s.Subscribe(t.Context(), AtLeastOnce, "yes", "no", "neither")
		var se *SubscribeError
		var e *hubwire.Error
		if !errors.As(err, &se) || !errors.As(err, &e) || e.Outcome != hubwire.Refused {
			t.Fatalf("error %v", err)
		}
		if diff := cmp.Diff([]string{"no", "neither"}, se.Filters); diff != "" {
			t.Errorf("filters (-want +got):\n%s", diff)
		}
		if err := s.Publish(t.Context(), message("x")); err != nil { // over a new connection
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"2:yes"}, f.filters()); diff != "" {
			t.Errorf("restored (-want +got):\n%s", diff)
		}
	})
}

func TestAServerThatRefusesToRestoreIsAskedAgainAndTheReasonIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) { c.accept(); c.step(true) }, refusesToSubscribe, well)
		s := f.start(SessionOptions{})
		if err := s.Subscribe(t.Context(), AtLeastOnce, "f"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"1:f", "3:f"}, f.filters()); diff != "" {
			t.Errorf("filters (-want +got):\n%s", diff)
		}
		_, reasons := f.stateLog()
		var se *SubscribeError
		if !errors.As(reasons[3], &se) || s.State() != Connected {
			t.Errorf("reasons are %v", reasons)
		}
	})
}

func TestARestorationThatWasCutShortIsOwedToTheNextConnection(t *testing.T) {
	for name, cutting := range map[string]func(*fakeConn){
		"by a lost connection":                 takes(1),
		"by one that was lost before CONNACK":  func(c *fakeConn) { _, _ = c.ReadPacket() },
		"by one that was lost between batches": func(c *fakeConn) { c.accept(); c.step(true); c.step(false) },
		"by a refusal":                         refusesToSubscribe,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The second connection finds no session and begins one, which is there by the third.
				present := func(c *fakeConn) { c.present = true; well(c) }
				f := newFake(t, func(c *fakeConn) { c.accept(); c.step(true); c.step(true) }, cutting, present, present)
				s := f.start(SessionOptions{SubscribeBatch: 1})
				for _, filter := range []string{"a", "b"} {
					if err := s.Subscribe(t.Context(), AtLeastOnce, filter); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				got := slices.DeleteFunc(f.filters(), func(line string) bool { return line[0] < '3' })
				slices.Sort(got) // which of them is first, nobody promised
				if diff := cmp.Diff([]string{"3:a", "3:b"}, got); diff != "" {
					t.Errorf("filters (-want +got):\n%s", diff)
				}
				s.mu.Lock()
				l := s.link
				s.mu.Unlock()
				l.nc.Close()
				time.Sleep(time.Minute) // the fourth has nothing to restore
				if got := f.filters(); f.connections() != 4 || slices.Contains(got, "4:a") {
					t.Errorf("%d connections, filters %v", f.connections(), got)
				}
			})
		})
	}
}

func TestAsManyFiltersAsThereMayBeAreRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		s := f.start(SessionOptions{SubscribeBatch: 1})
		for i := range maxFilters / 100 {
			var batch []string
			for j := range 100 {
				batch = append(batch, fmt.Sprintf("%d/%d", i, j))
			}
			if err := s.Subscribe(t.Context(), AtMostOnce, batch...); err != nil {
				t.Fatal(err)
			}
		}
		var e *hubwire.Error
		if err := s.Subscribe(t.Context(), AtMostOnce, "one more"); !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent {
			t.Errorf("one more: %v", err)
		}
		if err := s.Subscribe(t.Context(), AtMostOnce, "0/0", "0/1"); err != nil {
			t.Errorf("some that there are: %v", err)
		}
		s.mu.Lock()
		l := s.link
		s.mu.Unlock()
		l.nc.Close()
		time.Sleep(time.Minute)
		if n := len(f.filters()); n != 2*maxFilters+2 {
			t.Errorf("%d filters came on two connections, want %d", n, 2*maxFilters+2)
		}
	})
}

// refusesToSubscribe is the script of a server that answers 0x80 to the first SUBSCRIBE.
func refusesToSubscribe(c *fakeConn) {
	c.accept()
	if p, err := c.ReadPacket(); err == nil {
		m, _ := ParseSubscribe(p)
		c.send((&Suback{ID: m.ID, Codes: []byte{SubackFailure}}).AppendTo(nil))
		c.serve()
	}
}

func TestASubscribeThatCostsTheConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, takes(1), takes(1), takes(1), well)
		s := f.start(SessionOptions{})
		err := s.Subscribe(t.Context(), AtLeastOnce, "unknown/#")
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !errors.Is(err, net.ErrClosed) || !strings.Contains(e.Message, "3 times") {
			t.Errorf("error %v", err)
		}
		if err := s.Publish(t.Context(), message("x")); err != nil {
			t.Error(err)
		}
	})
}

func TestCancelledAndImpossibleRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := make(chan struct{})
		f := newFake(t, hushed, func(c *fakeConn) { <-stall; well(c) })
		s := f.start(SessionOptions{})
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		for _, tt := range []struct {
			name string
			err  error
			want error
			out  hubwire.Outcome
		}{
			{"sent", s.Subscribe(short(), AtMostOnce, "sent"), context.DeadlineExceeded, hubwire.Unknown},
			{"a wildcard inside a level", s.Subscribe(t.Context(), AtMostOnce, "a+"), ErrFilter, hubwire.NotSent},
			{"QoS 2", s.Subscribe(t.Context(), ExactlyOnce, "a"), ErrQoS, hubwire.NotSent},
			{"an empty filter", s.Unsubscribe(t.Context(), ""), ErrEmpty, hubwire.NotSent},
			{"too large", s.Subscribe(t.Context(), AtMostOnce, slices.Repeat([]string{strings.Repeat("x", 60000)}, 5)...), ErrTooLarge, hubwire.NotSent},
		} {
			var e *hubwire.Error
			if !errors.Is(tt.err, tt.want) || !errors.As(tt.err, &e) || e.Outcome != tt.out {
				t.Errorf("%s: %v", tt.name, tt.err)
			}
		}
		if err := s.Subscribe(t.Context(), AtMostOnce); err != nil {
			t.Errorf("no filters: %v", err)
		}
		s.link.nc.Close()
		synctest.Wait()
		var e *hubwire.Error
		if err := s.Subscribe(short(), AtMostOnce, "not sent"); !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
			t.Errorf("not sent: %v", err)
		}
		var waiting sync.WaitGroup
		for i := range maxRequests {
			waiting.Go(func() {
				if err := s.Subscribe(t.Context(), AtMostOnce, fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := s.Unsubscribe(t.Context(), "x"); !errors.Is(err, hubwire.TooManyRequests) {
			t.Errorf("one request too many: %v", err)
		}
		close(stall)
		waiting.Wait()
		if got := len(f.filters()); got != maxRequests+1 { // and the one that was sent before
			t.Errorf("%d filters came, want %d", got, maxRequests+1)
		}
	})
}

func TestASubackWithTheWrongNumberOfCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			c.send((&Suback{ID: 0xffff, Codes: []byte{0}}).AppendTo(nil)) // of nothing: passed over
			if p, err := c.ReadPacket(); err == nil {
				m, _ := ParseSubscribe(p)
				c.send((&Suback{ID: m.ID, Codes: []byte{0, 0}}).AppendTo(nil))
				c.serve()
			}
		}, well)
		s := f.start(SessionOptions{})
		if err := s.Subscribe(t.Context(), AtMostOnce, "a"); !errors.Is(err, ErrProtocol) {
			t.Errorf("error %v", err)
		}
		if err := s.Publish(t.Context(), message("x")); err != nil || f.connections() != 2 {
			t.Errorf("%v, %d connections", err, f.connections())
		}
	})
}

// A connection that the session leaves on purpose is not one that the request has cost.
func TestASubscribeOutlastsRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, hushed, hushed, hushed, hushed, well)
		s, err := StartSession(t.Context(), f.dial, func(ctx context.Context) (Login, error) {
			l, err := f.login(ctx)
			if f.connections() < 4 {
				l.Expires = time.Now().Add(10 * time.Second)
			}
			return l, err
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Subscribe(t.Context(), AtLeastOnce, "a"); err != nil {
			t.Error(err)
		}
		if n := f.connections(); n != 5 {
			t.Errorf("%d connections", n)
		}
		s.Close()
		f.running.Wait()
	})
}

func TestSubscriptionsAreRestoredUnderAnotherClientID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		present := func(c *fakeConn) { c.present = true; well(c) }
		f := newFake(t, well, well, present)
		s, err := StartSession(t.Context(), f.dial, func(ctx context.Context) (Login, error) {
			l, err := f.login(ctx)
			l.ClientID = fmt.Sprint("id", f.connections()%2)
			return l, err
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, filter := range []string{"a", "b"} { // the first has no b, and is there by the third connection
			if err := s.Subscribe(t.Context(), AtLeastOnce, filter); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			l := s.link
			s.mu.Unlock()
			l.nc.Close()
			time.Sleep(5 * time.Second)
		}
		if diff := cmp.Diff([]string{"1:a", "2:a", "2:b", "3:a", "3:b"}, f.filters()); diff != "" {
			t.Errorf("filters (-want +got):\n%s", diff)
		}
		s.Close()
		f.running.Wait()
	})
}

// What the session itself has to ask for says nothing of the server.
func TestManySubscriptionsAreRestoredWhileMessagesCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well, func(c *fakeConn) {
			if _, err := c.ReadPacket(); err == nil { // the CONNECT
				hello := (*Connack)(nil).AppendTo(nil)
				c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: 1}).AppendTo(hello))
				c.serve()
			}
		})
		s := f.start(SessionOptions{})
		for i := range maxFilters / 100 {
			var filters []string
			for j := range 100 {
				filters = append(filters, fmt.Sprintf("%d/%d/%s", i, j, strings.Repeat("x", maxControl/maxFilters)))
			}
			if err := s.Subscribe(t.Context(), AtLeastOnce, filters...); err != nil {
				t.Fatal(err)
			}
		}
		s.mu.Lock()
		l := s.link
		s.mu.Unlock()
		l.nc.Close()
		comeBack()
		if n, got := f.connections(), len(f.filters()); n != 2 || got != 2*maxFilters {
			_, reasons := f.stateLog()
			t.Errorf("%d connections, %d filters: %v", n, got, reasons)
		}
	})
}
