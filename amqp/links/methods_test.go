package links

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
)

// invoke calls a method of the guest's as a service does.
func (g *guest) invoke(name, payload string) (string, error) {
	r, err := g.b.hub.Invoke(g.t.Context(), g.id, hubwire.MethodRequest{Name: name, Payload: []byte(payload)}, nil)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(r.Status, " ", string(r.Payload)), nil
}

// echoes has the guest answer each method with its payload, after as long as wait says.
func (g *guest) echoes(wait func() time.Duration) {
	g.t.Helper()
	err := g.ServeMethods(g.soon(), func(r hubwire.MethodRequest, reply MethodReply) {
		go func() {
			time.Sleep(wait())
			err := reply(g.t.Context(), hubwire.MethodResponse{Status: 200, Payload: r.Payload})
			if err != nil && g.t.Context().Err() == nil { // the answer may have come when its acceptance has not
				g.t.Errorf("reply: %v", err)
			}
		}()
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

func atOnceDone() time.Duration { return 0 }

func TestAThousandMethodsAtOnceGetTheirOwnAnswers(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.echoes(func() time.Duration { return rand.N(10 * time.Second) })
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				time.Sleep(rand.N(5 * time.Second))
				want := fmt.Sprintf("200 %d", i)
				if got, err := g.invoke("echo", fmt.Sprint(i)); err != nil || got != want {
					t.Errorf("%q, %v, want %q", got, err, want)
				}
			})
		}
		all.Wait()
		if len(g.unexpected) > 0 {
			t.Errorf("unexpected: %v", g.unexpected)
		}
	})
}

func TestMethodsWorkAfterEachLoss(t *testing.T) {
	afterEach(t, hub.Config{}, func(g *guest, lose func(*receiver)) {
		g.echoes(atOnceDone)
		for i := range 3 {
			lose(g.methods().requests)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if got, err := g.invoke("echo", fmt.Sprint(i)); err != nil || got != fmt.Sprint("200 ", i) {
				g.t.Errorf("%q, %v", got, err)
			}
		}
	})
}

func TestAnAnswerThatALostConnectionCutsOffGoesOutOnTheNext(t *testing.T) {
	for name, verdict := range map[string]hub.Verdict{
		"before the hub has it":    {DropBefore: true},
		"before it has said so":    {DropAfter: true},
		"when the hub says no yet": {Refuse: hubwire.Throttled},
	} {
		t.Run(name, func(t *testing.T) {
			answers := 0
			cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind != hub.OpMethodResponse {
					return hub.Verdict{}
				}
				if answers++; answers > 1 {
					return hub.Verdict{}
				}
				return verdict
			}}
			over(t, cfg, func(t *testing.T, b *bench) {
				g := b.guest(dev)
				replied := make(chan error, 1)
				err := g.ServeMethods(g.soon(), func(r hubwire.MethodRequest, reply MethodReply) {
					go func() { replied <- reply(g.soon(), hubwire.MethodResponse{Status: 200}) }()
				})
				if err != nil {
					t.Fatal(err)
				}
				go g.invoke("x", "") // who calls may not hear of it: the connection was the call's, too
				if err := <-replied; err != nil {
					t.Errorf("reply: %v", err)
				}
				if answers != 2 {
					t.Errorf("the hub saw %d answers", answers)
				}
			})
		})
	}
}

func TestAReplyWithinServeDoesNotHoldUpTheNextCall(t *testing.T) {
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpMethodResponse {
			v.Delay = time.Second
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		served := make(chan time.Time, 2)
		err := g.ServeMethods(g.soon(), func(r hubwire.MethodRequest, reply MethodReply) {
			served <- time.Now()
			if err := reply(g.soon(), hubwire.MethodResponse{Status: 200}); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if _, err := g.invoke("x", ""); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if first, second := <-served, <-served; second.Sub(first) != 0 {
			t.Errorf("the second call was served %v after the first", second.Sub(first))
		}
	})
}

func TestACallThatCannotBeAnsweredIsPassedOver(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.echoes(atOnceDone)
		name := []amqp.Pair{{Key: amqp.NameMethod, Value: amqp.String("x")}}
		id := amqp.Properties{CorrelationID: amqp.ID(amqp.UUID{1})}
		for _, d := range []amqp.Draft{
			{},
			{Properties: amqp.Properties{CorrelationID: amqp.String("no uuid")}, ApplicationProperties: name, Body: amqp.DataBody},
			{Properties: id, Body: amqp.DataBody},
			{Properties: id, ApplicationProperties: name, Body: amqp.ValueBody, Value: amqp.Int(1)},
		} {
			g.methods().call(1, amqp.AppendMessage(nil, &d))
		}
		if len(g.unexpected) != 4 {
			t.Errorf("told of %v", g.unexpected)
		}
		for _, err := range g.unexpected {
			if !errors.Is(err, errNotAnswerable) || !errors.Is(err, hubwire.FormatError) {
				t.Errorf("%v", err)
			}
		}
		if got, err := g.invoke("echo", "1"); err != nil || got != "200 1" {
			t.Errorf("afterwards: %q, %v", got, err)
		}
	})
}

func TestAReplyEndsWithItsContextAndWithTheDevice(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		replies := make(chan MethodReply, 1)
		if err := g.ServeMethods(g.soon(), func(_ hubwire.MethodRequest, reply MethodReply) { replies <- reply }); err != nil {
			t.Fatal(err)
		}
		go g.invoke("x", "")
		reply := <-replies
		over, cancel := context.WithCancel(t.Context())
		cancel()
		var e *hubwire.Error
		if err := reply(over, hubwire.MethodResponse{}); !errors.As(err, &e) || !errors.Is(err, context.Canceled) || e.Outcome != hubwire.NotSent {
			t.Errorf("%+v", err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if err := reply(t.Context(), hubwire.MethodResponse{}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestAPanicOfServeIsContained(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		told := 0
		g.c.o.OnPanic = func(any, []byte) { told++ }
		err := g.ServeMethods(g.soon(), func(r hubwire.MethodRequest, reply MethodReply) {
			if r.Name == "panic" {
				panic("oh")
			}
			_ = reply(g.soon(), hubwire.MethodResponse{Status: 1})
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.invoke("panic", ""); !errors.Is(err, hubwire.GatewayTimeout) {
			t.Errorf("%v", err)
		}
		if got, err := g.invoke("x", ""); err != nil || got != "1 " || told != 1 {
			t.Errorf("%q, %v, told of %d panics", got, err, told)
		}
	})
}

func TestWhoWaitsForCallsAndAnswersHasNoGoroutine(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		g.echoes(atOnceDone)
		for i := range 3 {
			if got, err := g.invoke("echo", "1"); err != nil || got != "200 1" {
				t.Fatalf("call %d: %q, %v", i, got, err)
			}
			if _, err := g.Twin(g.soon()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for _, p := range []*pump{&g.methods().pump, &g.twins().pump} {
				p.mu.Lock()
				if p.running {
					t.Errorf("after call %d a goroutine waits for the next", i)
				}
				p.mu.Unlock()
			}
		}
	})
}

func TestAMethodThatEndsItsGoroutineIsNotTheLast(t *testing.T) {
	over(t, hub.Config{}, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		err := g.ServeMethods(g.soon(), func(r hubwire.MethodRequest, reply MethodReply) {
			_ = reply(g.soon(), hubwire.MethodResponse{Status: 200, Payload: r.Payload})
			runtime.Goexit()
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 * pumpCredit {
			want := fmt.Sprintf("200 %d", i)
			if got, err := g.invoke("echo", fmt.Sprint(i)); err != nil || got != want {
				t.Fatalf("%q, %v, want %q", got, err, want)
			}
		}
	})
}

func TestCloseDoesNotWaitToAnswerAgain(t *testing.T) {
	cfg := hub.Config{Intercept: func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpMethodResponse {
			v.Refuse = hubwire.Throttled
		}
		return v
	}}
	over(t, cfg, func(t *testing.T, b *bench) {
		g := b.guest(dev)
		err := g.ServeMethods(g.soon(), func(_ hubwire.MethodRequest, reply MethodReply) {
			_ = reply(g.soon(), hubwire.MethodResponse{Status: 200})
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = g.invoke("echo", "1")
		time.Sleep(3 * time.Minute) // until the waits between the attempts are long
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
