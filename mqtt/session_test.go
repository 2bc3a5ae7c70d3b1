package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

func TestSessionConnectsPublishesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hello Connect
		f := newFake(t, func(c *fakeConn) {
			if c.accept() {
				hello = c.hello
				c.serve()
			}
		})
		s := f.start(SessionOptions{Will: Will{Topic: []byte("w"), Payload: []byte("gone"), QoS: AtLeastOnce}})
		if err := s.Publish(t.Context(), message("one")); err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(t.Context(), &Publish{Topic: []byte("t"), Payload: []byte("loose")}); err != nil {
			t.Fatal(err)
		}
		if got := s.State(); got != Connected {
			t.Errorf("state is %v", got)
		}
		if s.Err() != nil {
			t.Errorf("Err of a live session is %v", s.Err())
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		f.running.Wait() // the server has read it all
		want := Connect{
			ClientID: []byte("dev"), UserName: []byte("host/dev"), Password: NewSecret([]byte("token 1")), KeepAlive: 240,
			Will: Will{Topic: []byte("w"), Payload: []byte("gone"), QoS: AtLeastOnce},
		}
		if !bytes.Equal(hello.AppendTo(nil), want.AppendTo(nil)) {
			t.Errorf("CONNECT is %v, want %v", hello, want)
		}
		got := []publish{{1, "one", 1, AtLeastOnce, false}, {1, "loose", 0, AtMostOnce, false}}
		if diff := cmp.Diff(got, f.publishes(), cmp.AllowUnexported(publish{})); diff != "" {
			t.Errorf("publishes (-want +got):\n%s", diff)
		}
		if !errors.Is(s.Err(), ErrSessionClosed) || !errors.Is(s.Err(), net.ErrClosed) {
			t.Errorf("Err after Close is %v", s.Err())
		}
		states, reasons := f.stateLog()
		if diff := cmp.Diff([]string{"connected", "closed"}, states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		for i, err := range reasons {
			if err != nil {
				t.Errorf("reason of %s is %v", states[i], err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		err := s.Publish(t.Context(), message("late"))
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Outcome != hubwire.NotSent || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Publish after Close: %v", err)
		}
	})
}

func TestSessionRefusals(t *testing.T) {
	for _, tt := range []struct {
		name  string
		code  ReturnCode
		want  hubwire.Code
		retry bool
	}{
		{"a server that does not speak the protocol is final", BadProtocol, hubwire.InvalidProtocolVersion, false},
		{"a client id that is not allowed is final", BadClientID, hubwire.Unauthorized, false},
		{"an unavailable server is tried again", Unavailable, hubwire.ServiceUnavailable, true},
		{"bad credentials are final", BadCredentials, hubwire.Unauthorized, false},
		{"no authorization is final", NotAuthorized, hubwire.Unauthorized, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, refusing(tt.code))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin := time.Now()
				_, err := f.tryStart(ctx, SessionOptions{})
				if !errors.Is(err, tt.want) || !errors.Is(err, tt.code) {
					t.Errorf("error %v does not match %v and %v", err, tt.want, tt.code)
				}
				if retried := f.connections() > 1; retried != tt.retry {
					t.Errorf("%d connections", f.connections())
				}
				if tt.retry != errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				if !tt.retry && time.Since(begin) != 0 {
					t.Errorf("it took %v", time.Since(begin))
				}
				var e *hubwire.Error
				if !errors.As(err, &e) || e.Retryable != tt.retry {
					t.Errorf("error %v, retryable is not %v", err, tt.retry)
				}
			})
		})
	}
}

func TestARefusalAfterAnAcceptedConnectionGetsOneMoreLogin(t *testing.T) {
	for _, tt := range []struct {
		name     string
		scripts  []func(*fakeConn)
		conns    int
		survives bool
	}{
		{"a fresh login that is accepted goes on", []func(*fakeConn){takes(0), refusing(NotAuthorized), well}, 3, true},
		{"a second refusal is final", []func(*fakeConn){takes(0), refusing(NotAuthorized)}, 3, false},
		{"another code is not forgiven", []func(*fakeConn){takes(0), refusing(BadClientID)}, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, tt.scripts...)
				s := f.start(SessionOptions{})
				time.Sleep(10 * time.Minute)
				if f.connections() != tt.conns {
					t.Errorf("%d connections, want %d", f.connections(), tt.conns)
				}
				if tt.survives != (s.Err() == nil) || !tt.survives && !errors.Is(s.Err(), hubwire.Unauthorized) {
					t.Errorf("Err is %v", s.Err())
				}
				err := s.Publish(t.Context(), message("x"))
				if tt.survives && err != nil || !tt.survives && (!errors.Is(err, hubwire.Unauthorized) || !errors.Is(err, net.ErrClosed)) {
					t.Errorf("Publish: %v", err)
				}
			})
		})
	}
}

func TestAnExpiredLoginThatIsRefusedGetsOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, refusing(NotAuthorized))
		logins := 0
		_, err := StartSession(t.Context(), f.dial, func(context.Context) (Login, error) {
			logins++
			return Login{ClientID: "d", UserName: "u", Expires: time.Now().Add(-time.Second)}, nil
		}, nil)
		if !errors.Is(err, hubwire.Unauthorized) || logins != 2 {
			t.Errorf("%v after %d logins, want 2", err, logins)
		}
		f.running.Wait()
	})
}

func TestLoginAndDialFailures(t *testing.T) {
	final := &hubwire.Error{Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: "final"}
	for _, tt := range []struct {
		name  string
		err   error
		retry bool
	}{
		{"a plain error is tried again", errors.New("no route"), true},
		{"an error that is retryable is tried again", &hubwire.Error{Retryable: true}, true},
		{"a nil pointer as an error, whose methods panic, is tried again", (*net.OpError)(nil), true},
		{"an error that is not retryable is final", fmt.Errorf("wrapped: %w", final), false},
	} {
		for _, where := range []string{"login", "dial"} {
			t.Run(where+": "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake(t, well)
					calls := 0
					fail := func() error {
						if calls++; calls == 1 {
							return tt.err
						}
						return nil
					}
					dial, login := DialFunc(f.dial), LoginFunc(f.login)
					if where == "dial" {
						dial = func(ctx context.Context) (net.Conn, error) {
							if err := fail(); err != nil {
								return nil, err
							}
							return f.dial(ctx)
						}
					} else {
						login = func(ctx context.Context) (Login, error) {
							err := fail()
							return Login{ClientID: "d"}, err
						}
					}
					s, err := StartSession(t.Context(), dial, login, nil)
					if tt.retry != (err == nil) || !tt.retry && !errors.Is(err, tt.err) {
						t.Errorf("error %v", err)
					}
					if e, ok := err.(*hubwire.Error); err != nil && (!ok || e.Op != "connect" || e.Code != final.Code || e.Outcome != final.Outcome) {
						t.Errorf("it is %#v", err)
					}
					if err == nil {
						s.Close()
					}
					f.running.Wait()
				})
			})
		}
	}
}

func TestUnusableOptionsAndPublishesAreRefusedAtOnce(t *testing.T) {
	asked := false
	login := func(context.Context) (Login, error) { asked = true; return Login{}, nil }
	dial := func(context.Context) (net.Conn, error) { return nil, errors.New("not to be called") }
	for name, o := range map[string]*SessionOptions{
		"a keep-alive over 16 bits":      {KeepAlive: 20 * time.Hour},
		"a keep-alive of centuries":      {KeepAlive: math.MaxInt64},
		"a window over the packet ids":   {Window: 40000},
		"a negative window":              {Window: -1},
		"a negative close timeout":       {CloseTimeout: -1},
		"a back-off that is upside down": {MinBackoff: time.Hour},
		"a will with a wildcard":         {Will: Will{Topic: []byte("a/#")}},
		"a login without a client id":    nil,
	} {
		asked = false
		if _, err := StartSession(t.Context(), dial, login, o); !errors.Is(err, hubwire.ArgumentInvalid) || asked != (o == nil) {
			t.Errorf("%s: %v; the login was asked for: %v", name, err, asked)
		}
	}
	if _, err := StartSession(t.Context(), nil, login, nil); !errors.Is(err, hubwire.ArgumentInvalid) {
		t.Errorf("no dial: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, well)
		will := SessionOptions{MaxPacket: 1000, Will: Will{Topic: []byte("t"), Payload: make([]byte, 1000)}}
		if _, err := StartSession(t.Context(), f.dial, f.login, &will); !errors.Is(err, ErrTooLarge) || f.connections() != 0 {
			t.Errorf("too large a CONNECT: %v, %d connections", err, f.connections())
		}
		s := f.start(SessionOptions{MaxPacket: 1000})
		for _, tt := range []struct {
			name string
			p    Publish
			want error
		}{
			{"QoS 2", Publish{Topic: []byte("t"), QoS: ExactlyOnce}, ErrQoS},
			{"a wildcard", Publish{Topic: []byte("t/+")}, ErrWildcard},
			{"no topic", Publish{}, ErrEmpty},
			{"too large a packet", Publish{Topic: []byte("t"), Payload: make([]byte, 1000)}, hubwire.MessageTooLarge},
		} {
			var e *hubwire.Error
			err := s.Publish(t.Context(), &tt.p)
			if !errors.As(err, &e) || e.Outcome != hubwire.NotSent || e.Retryable || !errors.Is(err, tt.want) {
				t.Errorf("%s: %v", tt.name, err)
			}
			var pe *PacketError
			if !errors.As(err, &pe) {
				t.Errorf("%s: %v has no PacketError", tt.name, err)
			}
		}
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Publish(canceled, message("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		if _, err := StartSession(canceled, f.dial, f.login, nil); !errors.Is(err, context.Canceled) || f.connections() != 1 {
			t.Errorf("a start with an ended context: %v, %d connections", err, f.connections())
		}
		for name, err := range map[string]error{
			"Publish": s.Publish(t.Context(), nil), "PublishAsync": s.PublishAsync(t.Context(), nil, func(error) { t.Error("done") }),
		} {
			if !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Errorf("%s of nil: %v", name, err)
			}
		}
		if err := s.Publish(t.Context(), message("fine")); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"fine"}, f.payloads()); diff != "" {
			t.Errorf("payloads (-want +got):\n%s", diff)
		}
	})
}

func TestASessionThatIsNotFromStartSession(t *testing.T) {
	s := new(Session)
	for name, err := range map[string]error{
		"Publish": s.Publish(t.Context(), message("x")), "PublishAsync": s.PublishAsync(t.Context(), message("x"), nil),
		"Subscribe": s.Subscribe(t.Context(), AtMostOnce, "f"), "Unsubscribe": s.Unsubscribe(t.Context(), "f"),
	} {
		if err == nil {
			t.Errorf("%s succeeds", name)
		}
	}
	if s.Close() != nil || (*Session)(nil).Close() != nil || s.Err() != nil || s.Done() != nil || s.InCallback() {
		t.Error("it is alive")
	}
}
