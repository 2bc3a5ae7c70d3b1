package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

// once gives a verdict on the first operation of a kind, and records all kinds.
type once struct {
	kind    hub.OpKind
	verdict hub.Verdict

	mu   sync.Mutex
	used bool
	seen []hub.OpKind
}

func (o *once) intercept(_ context.Context, op *hub.Op) hub.Verdict {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, op.Kind)
	if op.Kind != o.kind || o.used {
		return hub.Verdict{}
	}
	o.used = true
	return o.verdict
}

// again has o give its verdict once more.
func (o *once) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used = false
}

func TestInterceptSeesEverything(t *testing.T) {
	o := &once{}
	bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter, methodFilter, twinResponses, desiredFilter)
		p.ping()
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
		p.puback(1)
		p.ask(getTopic+"1", "", 0)
		p.ask(patchTopic+"2", "{}", 0)
		if _, err := h.PatchTwin(t.Context(), dev, hub.TwinUpdate{Desired: json.RawMessage(`{}`)}, ""); err != nil {
			t.Fatal(err)
		}
		p.publish()
		done := invoke(t, h, "m", "", nil)
		_, rid, _ := p.request()
		p.respond(200, rid, "", 1)
		<-done
		sendC2D(t, h, dev, "hi")
		p.write(&mqtt.Puback{ID: p.expect("hi", 1, false).ID})
		var names mqtt.FilterNames
		names, _ = mqtt.AppendFilterName(names, c2dFilter)
		p.write(&mqtt.Unsubscribe{ID: 1, Filters: names})
		p.read(mqtt.TypeUnsuback)
		p.bye()
		want := []hub.OpKind{
			hub.OpConnect, hub.OpSubscribe, hub.OpSubscribe, hub.OpSubscribe, hub.OpSubscribe, hub.OpPing, hub.OpPublish,
			hub.OpTwinGet, hub.OpTwinReport, hub.OpTwinDesired, hub.OpMethod, hub.OpMethodResponse, hub.OpC2D, hub.OpAck,
			hub.OpUnsubscribe, hub.OpDisconnect,
		}
		if diff := cmp.Diff(want, o.seen); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestInterceptConnect(t *testing.T) {
	tests := []struct {
		name    string
		verdict hub.Verdict
		code    mqtt.ReturnCode
		closed  bool // without a CONNACK
	}{
		{"refused as unauthorized", hub.Verdict{Refuse: hubwire.Unauthorized}, mqtt.NotAuthorized, false},
		{"refused as disabled", hub.Verdict{Refuse: hubwire.DeviceDisabled}, mqtt.NotAuthorized, false},
		{"refused as throttled", hub.Verdict{Refuse: hubwire.Throttled}, mqtt.Unavailable, false},
		{"refused for the quota", hub.Verdict{Refuse: hubwire.QuotaExceeded}, mqtt.Unavailable, false},
		{"refused for trouble", hub.Verdict{Refuse: hubwire.ServerError}, mqtt.Unavailable, false},
		{"dropped before", hub.Verdict{DropBefore: true}, 0, true},
		{"dropped after", hub.Verdict{DropAfter: true}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpConnect, verdict: tt.verdict}).intercept}, func(t *testing.T, h *hub.Hub) {
				p := open(t, h, nil)
				m := connectPacket(t, h, dev)
				m.Will.Topic = []byte(telemetryTopic)
				p.write(m)
				if !tt.closed {
					if ack := p.connack(); ack.Code != tt.code {
						t.Errorf("CONNACK %d, want %d", ack.Code, tt.code)
					}
				}
				p.closed()
				_, present := connectPresent(t, h, dev, nil)
				if present != tt.verdict.DropAfter {
					t.Errorf("session present %v", present)
				}
				synctest.Wait() // for who cleans up after the first connection
				if will := len(events(t, h)) == 1; will != tt.verdict.DropAfter {
					t.Errorf("will published %v", will)
				}
			})
		})
	}
	t.Run("delayed", func(t *testing.T) {
		bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpConnect, verdict: hub.Verdict{Delay: time.Hour}}).intercept}, func(t *testing.T, h *hub.Hub) {
			p := open(t, h, nil)
			p.check(p.c.SetReadDeadline(time.Time{}))
			start := time.Now()
			p.write(connectPacket(t, h, dev), &mqtt.Pingreq{})
			p.connack()
			p.read(mqtt.TypePingresp)
			if took := time.Since(start); took != time.Hour {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("swallowed", func(t *testing.T) {
		var on atomic.Bool
		intercept := func(_ context.Context, op *hub.Op) hub.Verdict {
			return hub.Verdict{SwallowAck: op.Kind == hub.OpConnect && on.Load()}
		}
		bubble(t, &hub.Config{Intercept: intercept}, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(c2dFilter)
			p.bye()
			on.Store(true)
			p = open(t, h, nil)
			p.write(connectPacket(t, h, dev))
			synctest.Wait()
			if !h.Connected(dev) {
				t.Error("the device is not connected")
			}
			sendC2D(t, h, dev, "hi") // which it is subscribed to
			p.silent()
		})
	})
}

func TestInterceptTwin(t *testing.T) {
	bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpTwinReport, verdict: hub.Verdict{Refuse: hubwire.Throttled}}).intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(twinResponses)
		topic, body := p.ask(patchTopic+"1", `{"a":1}`, 1)
		if topic != "$iothub/twin/res/429/?$rid=1" || !strings.Contains(body, `"errorCode":429001`) {
			t.Errorf("%q %s", topic, body)
		}
		topic, _ = p.ask(patchTopic+"2", `{"a":1}`, 1)
		if topic != "$iothub/twin/res/204/?$rid=2&$version=2" {
			t.Errorf("%q", topic)
		}
	})
}

// TestInterceptPushes delays what the hub sends by itself: neither the
// device's own traffic nor the sender waits for it.
func TestInterceptPushes(t *testing.T) {
	bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpC2D, verdict: hub.Verdict{Delay: 20 * time.Second}}).intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter, methodFilter)
		start := time.Now()
		sendC2D(t, h, dev, "a", "b")
		p.ping()
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
		p.expect("a", 1, false)
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("the message came after %v", took)
		}
		p.expect("b", 1, false)
	})
	bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpC2D, verdict: hub.Verdict{Refuse: hubwire.ServerError}}).intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "a", "b")
		p.expect("b", 1, false)
		p.expect("a", 1, true) // when its lock has run out
	})
	bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpC2D, verdict: hub.Verdict{DropAfter: true}}).intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "a")
		p.expect("a", 1, false)
		p.closed()
		connect(t, h, dev, nil).expect("a", 1, true)
	})
}

// TestInterceptMayCallTheHub has the function use the hub in the midst of everything.
func TestInterceptMayCallTheHub(t *testing.T) {
	var h atomic.Pointer[hub.Hub]
	intercept := func(ctx context.Context, op *hub.Op) hub.Verdict {
		h := h.Load()
		if h == nil || op.Identity != dev {
			return hub.Verdict{}
		}
		if _, err := h.QueueLength(dev); err != nil {
			t.Error(err)
		}
		if _, err := h.PatchTwin(ctx, other, hub.TwinUpdate{Desired: json.RawMessage(`{"seen":"` + op.Kind + `"}`)}, ""); err != nil {
			t.Error(err)
		}
		switch op.Kind {
		case hub.OpPublish:
			if err := h.SendC2D(ctx, dev, &hubwire.Message{Body: []byte("thanks")}); err != nil {
				t.Error(err)
			}
		case hub.OpPing:
			h.Disconnect(dev)
		}
		return hub.Verdict{}
	}
	bubble(t, &hub.Config{Intercept: intercept}, func(t *testing.T, running *hub.Hub) {
		h.Store(running)
		p := connect(t, running, dev, nil)
		p.subscribe(c2dFilter)
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
		types := map[mqtt.Type]bool{}
		for range 2 { // in either order
			k, err := p.c.ReadPacket()
			p.check(err)
			types[k.Type()] = true
		}
		if !types[mqtt.TypePuback] || !types[mqtt.TypePublish] {
			t.Errorf("got %v", types)
		}
		p.write(&mqtt.Pingreq{})
		p.closed()
	})
}

// TestADelayIsForWhatFollows has two messages come at once, of which the second is delayed.
func TestADelayIsForWhatFollows(t *testing.T) {
	intercept := func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpPublish && string(op.Message.Body) == "slow" {
			v.Delay = time.Minute
		}
		return v
	}
	bubble(t, &hub.Config{Intercept: intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		start := time.Now()
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1}, &mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 2, Payload: []byte("slow")})
		for i, want := range []time.Duration{0, time.Minute} {
			p.puback(uint16(i + 1))
			if took := time.Since(start); took != want {
				t.Errorf("PUBACK %d after %v, want %v", i+1, took, want)
			}
		}
	})
}

func TestCloseDoesNotWaitForADelay(t *testing.T) {
	bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpC2D, verdict: hub.Verdict{Delay: time.Hour}}).intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "a")
		synctest.Wait()
		start := time.Now()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
		p.closed()
	})
}

// TestADelayEndsWithItsConnection cuts it while the hub waits for something that the device did.
func TestADelayEndsWithItsConnection(t *testing.T) {
	bubble(t, &hub.Config{Intercept: (&once{kind: hub.OpPublish, verdict: hub.Verdict{Delay: time.Hour}}).intercept}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
		synctest.Wait()
		h.Disconnect(dev)
		synctest.Wait()
		if h.Connected(dev) || len(events(t, h)) != 0 {
			t.Error("the hub goes on with a connection that is cut")
		}
	})
}

// TestCloseWaitsForTheInterceptFunction has it work on something that the hub sends.
func TestCloseWaitsForTheInterceptFunction(t *testing.T) {
	var returned atomic.Bool
	intercept := func(_ context.Context, op *hub.Op) hub.Verdict {
		if op.Kind == hub.OpC2D {
			time.Sleep(3 * time.Second)
			returned.Store(true)
		}
		return hub.Verdict{}
	}
	bubble(t, &hub.Config{Intercept: intercept}, func(t *testing.T, h *hub.Hub) {
		connect(t, h, dev, nil).subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		synctest.Wait()
		if err := h.Close(); err != nil || !returned.Load() {
			t.Errorf("Close: %v; the function has returned: %v", err, returned.Load())
		}
	})
}

func TestCloseGivesUpOnAStubbornIntercept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h, err := hub.Start(t.Context(), &hub.Config{InMemory: true, Intercept: func(context.Context, *hub.Op) hub.Verdict {
			<-release
			return hub.Verdict{}
		}})
		if err != nil {
			t.Fatal(err)
		}
		create(t, h, dev)
		p := open(t, h, nil)
		p.write(connectPacket(t, h, dev))
		synctest.Wait()
		start := time.Now()
		if err := h.Close(); err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("Close: %v after %v", err, time.Since(start))
		}
		close(release)
	})
}

// TestInterceptDoesNotTurnLoginsRound has a login held up until its device, which gave it up, is in by another connection.
func TestInterceptDoesNotTurnLoginsRound(t *testing.T) {
	o := &once{kind: hub.OpConnect, verdict: hub.Verdict{Delay: 10 * time.Second}}
	bubble(t, &hub.Config{Intercept: o.intercept}, func(t *testing.T, h *hub.Hub) {
		for _, gone := range []bool{false, true} {
			o.again()
			first := open(t, h, nil)
			first.write(connectPacket(t, h, dev))
			synctest.Wait()
			if gone {
				first.cut()
			}
			p := connect(t, h, dev, nil)
			time.Sleep(11 * time.Second)
			p.ping()
			if !gone {
				first.closed()
			}
		}
		p := connect(t, h, dev, nil) // as ever
		connect(t, h, dev, nil).ping()
		p.closed()
	})
}

// TestInterceptThatTakesItsTimeWithMessages has a device that more is sent to than the intercept function lets
// through: it keeps its connection, and calls of its methods are not behind all of that.
func TestInterceptThatTakesItsTimeWithMessages(t *testing.T) {
	for _, qos := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce} {
		slow := func(_ context.Context, op *hub.Op) (v hub.Verdict) {
			if op.Kind == hub.OpC2D {
				v.Delay = 10 * time.Millisecond
			}
			return v
		}
		bubble(t, &hub.Config{Intercept: slow}, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.write(subscribePacket(t, 1, subscription{c2dFilter, qos}, subscription{methodFilter, mqtt.AtMostOnce}))
			p.suback(1)
			const n = 3000
			go func() {
				for i := 0; i < n && t.Context().Err() == nil; {
					if h.SendC2D(t.Context(), dev, &hubwire.Message{Body: strconv.AppendInt(nil, int64(i), 10)}) == nil {
						i++
					} else {
						time.Sleep(time.Millisecond)
					}
				}
			}()
			calls := make(chan error, 1)
			for i := 0; i < n; {
				m := p.publish()
				if bytes.HasPrefix(m.Topic, []byte("$iothub/methods/")) {
					_, rid, _ := bytes.Cut(m.Topic, []byte("="))
					p.respond(200, string(rid), "", 0)
					if err := <-calls; err != nil {
						t.Error(err)
					}
					continue
				}
				if string(m.Payload) != strconv.Itoa(i) {
					t.Fatalf("message %s, want %d", m.Payload, i)
				}
				if m.QoS == mqtt.AtLeastOnce {
					p.write(&mqtt.Puback{ID: m.ID})
				}
				if i++; i == n/2 {
					go func() {
						start := time.Now()
						_, err := h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil)
						if took := time.Since(start); err == nil && took > time.Second {
							err = fmt.Errorf("the call took %v", took)
						}
						calls <- err
					}()
				}
			}
			p.ping()
		})
	}
}

// TestInterceptThatTakesItsTimeWithMethods has two thousand calls at once.
func TestInterceptThatTakesItsTimeWithMethods(t *testing.T) {
	slow := func(_ context.Context, op *hub.Op) (v hub.Verdict) {
		if op.Kind == hub.OpMethod {
			v.Delay = time.Millisecond
		}
		return v
	}
	bubble(t, &hub.Config{Intercept: slow}, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(methodFilter)
		const n = 2000
		var calls sync.WaitGroup
		for range n {
			calls.Go(func() {
				if _, err := h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "m"}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		for range n {
			_, rid, _ := p.request()
			p.respond(200, rid, "", 0)
		}
		calls.Wait()
	})
}
