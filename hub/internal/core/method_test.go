package core

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
)

func invocation(name string) *Invocation {
	return &Invocation{MethodRequest: hubwire.MethodRequest{Name: name}}
}

func TestAMethodIsAnswered(t *testing.T) {
	c := newCore(t, nil)
	s, l := connect(t, c, dev)
	l.onMethod = func(m MethodCall) {
		if m.Name != "reboot" || string(m.Payload) != `{"a":1}` || m.RequestID == 0 {
			t.Errorf("call = %+v", m)
		}
		if err := s.MethodResponse(m.RequestID, &hubwire.MethodResponse{Status: -7, Payload: json.RawMessage(`[1]`)}); err != nil {
			t.Errorf("MethodResponse: %v", err)
		}
	}
	r, err := c.Invoke(ctx, dev, &Invocation{MethodRequest: hubwire.MethodRequest{Name: "reboot", Payload: json.RawMessage(`{"a":1}`)}})
	if err != nil || r.Status != -7 || string(r.Payload) != `[1]` {
		t.Errorf("Invoke = %+v, %v", r, err)
	}
}

// TestAnAnswerToAnEarlierHubIsNotTaken has a device send an answer again that a hub
// which is no more did not acknowledge.
func TestAnAnswerToAnEarlierHubIsNotTaken(t *testing.T) {
	var asked []uint64
	for range 2 {
		c := newCore(t, nil)
		s, l := connect(t, c, dev)
		l.onMethod = func(m MethodCall) {
			asked = append(asked, m.RequestID)
			for _, id := range asked { // the old one first
				_ = s.MethodResponse(id, &hubwire.MethodResponse{Status: len(asked), Payload: fmt.Append(nil, id)})
			}
		}
		r, err := c.Invoke(ctx, dev, invocation("m"))
		if want := asked[len(asked)-1]; err != nil || string(r.Payload) != fmt.Sprint(want) {
			t.Errorf("call %d is answered by %+v, %v", want, r, err)
		}
	}
	if asked[0] == asked[1] {
		t.Errorf("two hubs call a method with the same request id %d", asked[0])
	}
}

func TestMethodRefusals(t *testing.T) {
	c := newCore(t, nil)
	connect(t, c, dev)
	nobody := hubwire.Identity{DeviceID: "nobody"}
	cases := []struct {
		name string
		to   hubwire.Identity
		v    Invocation
		code hubwire.Code
	}{
		{"an unknown device", nobody, *invocation("m"), hubwire.DeviceNotFound},
		{"an unknown module", hubwire.Identity{DeviceID: "dev", ModuleID: "nobody"}, *invocation("m"), hubwire.ModuleNotFound},
		{"an offline module", mod, *invocation("m"), hubwire.DeviceNotOnline},
		{"no name", dev, *invocation(""), hubwire.ArgumentInvalid},
		{"a name that is too long", dev, *invocation(strings.Repeat("x", maxMethodName+1)), hubwire.ArgumentInvalid},
		{"a name that is not UTF-8", dev, *invocation("\xff"), hubwire.ArgumentInvalid},
		{"a payload over 128 KiB", dev, Invocation{MethodRequest: hubwire.MethodRequest{Name: "m", Payload: make([]byte, hubwire.MaxMethodPayload+1)}}, hubwire.MessageTooLarge},
		{"a payload that is not JSON", dev, Invocation{MethodRequest: hubwire.MethodRequest{Name: "m", Payload: []byte("{")}}, hubwire.FormatError},
		{"a negative timeout", dev, Invocation{MethodRequest: hubwire.MethodRequest{Name: "m"}, ResponseTimeout: -1}, hubwire.ArgumentInvalid},
		{"a connect timeout over 300 s", dev, Invocation{MethodRequest: hubwire.MethodRequest{Name: "m"}, ConnectTimeout: 301 * time.Second}, hubwire.ArgumentInvalid},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.Invoke(ctx, tc.to, &tc.v)
			wantCode(t, "Invoke", err, tc.code)
		})
	}
}

func TestMethodTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		g := grant(t, c, dev)
		v := invocation("m")
		v.ConnectTimeout, v.ResponseTimeout = 10*time.Second, 5*time.Second

		start := time.Now()
		_, err := c.Invoke(ctx, dev, v)
		wantCode(t, "offline", err, hubwire.DeviceNotOnline)
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("offline after %v", d)
		}

		// Connected without methods is not enough; the subscription ends the wait.
		start = time.Now()
		done := make(chan error)
		go func() { _, err := c.Invoke(ctx, dev, v); done <- err }()
		time.Sleep(4 * time.Second)
		s, l := connectWith(t, c, g, nil)
		synctest.Wait()
		time.Sleep(4 * time.Second)
		must(t, s.Subscribe(ctx, Subscription{"m", 0, FeatureMethods}))
		wantNoAnswer(t, "no answer", <-done)
		if d := time.Since(start); d != 13*time.Second {
			t.Errorf("no answer after %v", d)
		}
		// The late answer does nothing.
		must(t, s.MethodResponse(l.methods[0].RequestID, &hubwire.MethodResponse{Status: 200}))
		must(t, s.MethodResponse(12345, &hubwire.MethodResponse{Status: 200}))

		start = time.Now()
		_, err = c.Invoke(ctx, dev, invocation("m"))
		wantNoAnswer(t, "default", err)
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("default timeout after %v", d)
		}
	})
}

func TestInvokeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		v := invocation("m")
		v.ConnectTimeout = time.Minute
		_, err := c.Invoke(short, dev, v)
		var e *hubwire.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
			t.Errorf("waiting for the device = %v", err)
		}
		connect(t, c, dev)
		short, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = c.Invoke(short, dev, v)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Outcome != hubwire.Unknown {
			t.Errorf("waiting for the answer = %v", err)
		}
		if n := len(c.entity(dev).calls); n != 0 {
			t.Errorf("%d calls are left", n)
		}
	})
}

func TestInvokeEndsWithTheConnection(t *testing.T) {
	for _, how := range []string{"disconnect", "take-over", "delete"} {
		t.Run(how, func(t *testing.T) {
			c := newCore(t, nil)
			s, l := connect(t, c, dev)
			l.onMethod = func(MethodCall) {
				switch how {
				case "disconnect":
					s.Disconnect()
				case "take-over":
					connect(t, c, dev)
				case "delete":
					c.Delete(ctx, dev, "*")
				}
			}
			_, err := c.Invoke(ctx, dev, invocation("m"))
			var e *hubwire.Error
			if !errors.Is(err, hubwire.ConnectionClosedRemotely) || !errors.Is(err, net.ErrClosed) || !errors.As(err, &e) || e.Outcome != hubwire.Unknown {
				t.Errorf("Invoke = %v", err)
			}
		})
	}
}

func TestABadAnswerFailsTheCall(t *testing.T) {
	over := int64(1) << 31 // where an int has 32 bits, it is negative as one
	cases := []struct {
		name string
		r    hubwire.MethodResponse
		code hubwire.Code
	}{
		{"not JSON", hubwire.MethodResponse{Payload: json.RawMessage("{")}, hubwire.FormatError},
		{"not UTF-8", hubwire.MethodResponse{Payload: json.RawMessage("\"\xff\"")}, hubwire.FormatError},
		{"nested too deeply", hubwire.MethodResponse{Payload: json.RawMessage(`["[\"",` + strings.Repeat(`[{"a":`, 30) + "1" + strings.Repeat("}]", 30) + "]")}, hubwire.FormatError},
		{"a status over 32 bits", hubwire.MethodResponse{Status: int(over)}, hubwire.ArgumentInvalid},
		{"over 128 KiB", hubwire.MethodResponse{Payload: json.RawMessage(`"` + strings.Repeat("x", hubwire.MaxMethodPayload) + `"`)}, hubwire.MessageTooLarge},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := newCore(t, nil)
			s, l := connect(t, c, dev)
			l.onMethod = func(m MethodCall) {
				wantCode(t, "MethodResponse", s.MethodResponse(m.RequestID, &tc.r), tc.code)
			}
			_, err := c.Invoke(ctx, dev, invocation("m"))
			if !errors.Is(err, hubwire.BadGateway) {
				t.Errorf("Invoke = %v", err)
			}
		})
	}
}

func TestAnotherSessionCannotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		_, l := connect(t, c, dev)
		other, _ := connect(t, c, mod)
		l.onMethod = func(m MethodCall) {
			must(t, other.MethodResponse(m.RequestID, &hubwire.MethodResponse{Status: 666}))
		}
		_, err := c.Invoke(ctx, dev, invocation("m"))
		wantNoAnswer(t, "Invoke", err)
	})
}

func TestAThousandMethodsAtOnce(t *testing.T) {
	c := newCore(t, nil)
	s, l := connect(t, c, dev)
	var answers sync.WaitGroup
	l.onMethod = func(m MethodCall) {
		answers.Go(func() {
			var n int
			json.Unmarshal(m.Payload, &n)
			s.MethodResponse(m.RequestID, &hubwire.MethodResponse{Status: n, Payload: m.Payload})
		})
	}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			v := invocation("m")
			v.Payload = fmt.Append(nil, i)
			r, err := c.Invoke(ctx, dev, v)
			if err != nil || r.Status != i || string(r.Payload) != fmt.Sprint(i) {
				t.Errorf("call %d = %+v, %v", i, r, err)
			}
		})
	}
	wg.Wait()
	answers.Wait()
	if n := len(c.entity(dev).calls); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

func TestTooManyMethodsInFlightAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		connect(t, c, dev)
		var wg sync.WaitGroup
		for range maxCallsInFlight {
			wg.Go(func() { c.Invoke(ctx, dev, invocation("m")) })
		}
		synctest.Wait()
		_, err := c.Invoke(ctx, dev, invocation("m"))
		wantCode(t, "one more", err, hubwire.MaxInflightMethodExceeded)
		wg.Wait()
	})
}

// wantNoAnswer wants the error of a method that its device may have run.
func wantNoAnswer(t *testing.T, what string, err error) {
	t.Helper()
	var e *hubwire.Error
	if !errors.As(err, &e) || e.Code != hubwire.GatewayTimeout || e.Outcome != hubwire.Unknown || e.Op == "" || e.Message == "" {
		t.Errorf("%s: %v, want GatewayTimeout of an unknown outcome", what, err)
	}
}

// TestManyLargeCallsWaitForEachOther: what a device has to answer is bounded, and whoever calls it more waits.
func TestManyLargeCallsWaitForEachOther(t *testing.T) {
	const fit = maxCallBytes / hubwire.MaxMethodPayload
	large := func(i int) *Invocation {
		payload := fmt.Appendf(nil, "%*d", hubwire.MaxMethodPayload, i)
		return &Invocation{MethodRequest: hubwire.MethodRequest{Name: fmt.Sprint(i), Payload: payload}}
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		s, l := connect(t, c, dev)
		var got []MethodCall
		l.onMethod = func(m MethodCall) { got = append(got, m) }
		ended := make(chan error, 3*fit)
		invoke := func(ctx context.Context, i int) {
			go func() {
				v := large(i)
				r, err := c.Invoke(ctx, dev, v)
				clear(v.Payload) // it is the caller's again
				if err == nil && string(r.Payload) != v.Name {
					t.Errorf("call %s is answered by %s", v.Name, r.Payload)
				}
				ended <- err
			}()
			synctest.Wait()
		}
		for i := range 2 * fit {
			invoke(ctx, i)
		}
		givenUp, giveUp := context.WithCancel(ctx)
		invoke(givenUp, 2*fit)
		giveUp()
		var e *hubwire.Error
		if err := <-ended; !errors.As(err, &e) || e.Outcome != hubwire.NotSent || !errors.Is(err, context.Canceled) {
			t.Errorf("a call that waited and was given up: %v", err)
		}
		invoke(ctx, 3*fit)
		for i := range 2*fit + 1 {
			if want := min(fit+i, 2*fit+1); len(got) != want {
				t.Fatalf("the device was told of %d calls after %d answers, want %d", len(got), i, want)
			}
			m := got[i]
			if string(m.Payload) != string(large(i+i/(2*fit)*fit).Payload) {
				t.Errorf("call %d is %s with %.40q", i, m.Name, bytes.TrimSpace(m.Payload))
			}
			must(t, s.MethodResponse(m.RequestID, &hubwire.MethodResponse{Payload: json.RawMessage(m.Name)}))
			if err := <-ended; err != nil {
				t.Errorf("call %s: %v", m.Name, err)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		s, _ := connect(t, c, dev)
		outcomes, over := make(chan hubwire.Outcome), 5
		for i := range fit + over {
			go func() {
				_, err := c.Invoke(ctx, dev, large(i))
				var e *hubwire.Error
				if !errors.As(err, &e) || e.Code != hubwire.ConnectionClosedRemotely {
					t.Errorf("call %d: %v", i, err)
				}
				outcomes <- e.Outcome
			}()
		}
		synctest.Wait()
		s.Disconnect()
		count := map[hubwire.Outcome]int{}
		for range fit + over {
			count[<-outcomes]++
		}
		if count[hubwire.NotSent] != over || count[hubwire.Unknown] != fit {
			t.Errorf("at the end of the connection: %v", count)
		}
		if e := c.entity(dev); e.callBytes != 0 || len(e.held) != 0 || len(e.calls) != 0 {
			t.Errorf("%d bytes, %d calls that wait and %d in all are left", e.callBytes, len(e.held), len(e.calls))
		}
	})
}
