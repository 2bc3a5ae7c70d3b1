package mqttfront

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/mqtt"
)

// These tests run without a bubble: what they look for are races.

// TestMessagesKeepTheirOrder has a service send as fast as the queue allows while
// the device settles: both make the connection look for messages.
func TestMessagesKeepTheirOrder(t *testing.T) {
	f := newFront(t, core.Config{}, Options{}, store.NewMemory(nil))
	defer f.close()
	d := f.login()
	d.subscribe(c2dFilter)
	const n = 3000
	go func() {
		for i := 0; i < n; {
			err := f.core.SendC2D(context.Background(), dev, &hubwire.Message{Body: fmt.Append(nil, i)})
			if err == nil {
				i++
			} else if errors.Is(err, hubwire.QueueDepthExceeded) {
				runtime.Gosched()
			} else {
				t.Error(err)
				return
			}
		}
	}()
	for i := range n {
		m := d.publish()
		if string(m.Payload) != fmt.Sprint(i) || m.Dup {
			t.Fatalf("message %d: %q, DUP %v", i, m.Payload, m.Dup)
		}
		d.write(&mqtt.Puback{ID: m.ID})
	}
}

// TestNothingOvertakesSuback has messages and a method call wait for the
// subscription that lets them through, at the QoS that it grants.
func TestNothingOvertakesSuback(t *testing.T) {
	f := newFront(t, core.Config{}, Options{}, store.NewMemory(nil))
	defer f.close()
	for range 300 {
		d := &device{f, mqtt.NewConn(f.dial(), nil)}
		m := f.connect()
		m.CleanSession = true
		d.write(m)
		d.read(mqtt.TypeConnack)
		var done sync.WaitGroup
		done.Go(func() { f.core.SendC2D(context.Background(), dev, &hubwire.Message{}) })
		done.Go(func() {
			call := &core.Invocation{MethodRequest: hubwire.MethodRequest{Name: "m"}, ConnectTimeout: time.Minute}
			f.core.Invoke(context.Background(), dev, call)
		})
		d.subscribe(c2dFilter, "$iothub/methods/POST/#")
		for range 2 {
			p := d.publish()
			if strings.HasPrefix(string(p.Topic), "$iothub") {
				rid := p.Topic[bytes.LastIndexByte(p.Topic, '=')+1:]
				d.write(&mqtt.Publish{Topic: append([]byte("$iothub/methods/res/200/?$rid="), rid...)})
			} else if p.QoS != mqtt.AtLeastOnce {
				t.Fatalf("the message came at QoS %d", p.QoS)
			} else {
				d.write(&mqtt.Puback{ID: p.ID})
			}
		}
		done.Wait()
		d.write(&mqtt.Disconnect{})
		d.ends(patience)
	}
}

// TestNothingOvertakesPuback has a service that answers each telemetry message at
// once, by a message and by a call, and calls again when the call is answered.
func TestNothingOvertakesPuback(t *testing.T) {
	f := newFront(t, core.Config{}, Options{}, store.NewMemory(nil))
	defer f.close()
	d := f.login()
	d.subscribe(c2dFilter, "$iothub/methods/POST/#")
	events, err := f.core.Events(t.Context(), core.AllPartitions, core.Start{})
	if err != nil {
		t.Fatal(err)
	}
	const n = 300
	var service sync.WaitGroup
	defer service.Wait()
	service.Go(func() {
		for range n {
			if _, err := events.Next(context.Background()); err != nil {
				t.Error(err)
				return
			}
			if err := f.core.SendC2D(context.Background(), dev, &hubwire.Message{}); err != nil {
				t.Error(err)
			}
			for range 2 {
				call := &core.Invocation{MethodRequest: hubwire.MethodRequest{Name: "m"}}
				if _, err := f.core.Invoke(context.Background(), dev, call); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range n {
		d.write(&mqtt.Publish{Topic: []byte(telemetryTopic), QoS: 1, ID: 1})
		d.read(mqtt.TypePuback)
		d.write(&mqtt.Puback{ID: d.publish().ID})
		for range 2 {
			request := d.publish()
			rid := request.Topic[bytes.LastIndexByte(request.Topic, '=')+1:]
			d.write(&mqtt.Publish{Topic: append([]byte("$iothub/methods/res/200/?$rid="), rid...), QoS: 1, ID: 2})
			d.read(mqtt.TypePuback)
		}
	}
}
