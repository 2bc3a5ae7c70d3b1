package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/mqtt"
)

const methodFilter = "$iothub/methods/POST/#"

type invoked struct {
	res *hubwire.MethodResponse
	err error
}

// invoke calls a method in the background.
func invoke(t *testing.T, h *hub.Hub, name, payload string, o *hub.InvokeOptions) <-chan invoked {
	done := make(chan invoked, 1)
	go func() {
		res, err := h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: name, Payload: json.RawMessage(payload)}, o)
		done <- invoked{res, err}
	}()
	return done
}

// request reads a method request and returns its name and request id.
func (p *peer) request() (name, rid string, m mqtt.Publish) {
	p.t.Helper()
	m = p.publish()
	rest, ok := strings.CutPrefix(string(m.Topic), "$iothub/methods/POST/")
	name, rid, ok2 := strings.Cut(rest, "/?$rid=")
	if !ok || !ok2 || m.QoS != 0 {
		p.t.Fatalf("topic %q, QoS %d", m.Topic, m.QoS)
	}
	return name, rid, m
}

func (p *peer) respond(status int, rid, payload string, qos mqtt.QoS) {
	p.t.Helper()
	m := &mqtt.Publish{Topic: fmt.Appendf(nil, "$iothub/methods/res/%d/?$rid=%s", status, rid), Payload: []byte(payload), QoS: qos}
	if qos > 0 {
		m.ID = 9
	}
	p.write(m)
	if qos > 0 {
		p.puback(9)
	}
}

func TestMethodFailures(t *testing.T) {
	tests := []struct {
		name string
		o    *hub.InvokeOptions
		peer func(t *testing.T, h *hub.Hub)
		want hubwire.Code
		took time.Duration
	}{
		{"a device that is offline", nil, nil, hubwire.DeviceNotOnline, 0},
		{"a device that stays offline", &hub.InvokeOptions{ConnectTimeout: time.Minute}, nil, hubwire.DeviceNotOnline, time.Minute},
		{"a device without the subscription", nil, func(t *testing.T, h *hub.Hub) { connect(t, h, dev, nil) }, hubwire.DeviceNotOnline, 0},
		{"a device that does not answer", nil, func(t *testing.T, h *hub.Hub) { connect(t, h, dev, nil).subscribe(methodFilter) },
			hubwire.GatewayTimeout, 30 * time.Second},
		{"an answer that is no JSON", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			go func() {
				_, rid, _ := p.request()
				p.respond(200, rid, "{", 0)
			}()
		}, 502000, 0},
		{"a device that goes away meanwhile", nil, func(t *testing.T, h *hub.Hub) {
			p := connect(t, h, dev, nil)
			p.subscribe(methodFilter)
			go func() {
				p.request()
				p.cut()
			}()
		}, hubwire.ConnectionClosedRemotely, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, h *hub.Hub) {
				if tt.peer != nil {
					tt.peer(t, h)
				}
				start := time.Now()
				got := <-invoke(t, h, "m", "", tt.o)
				if !errors.Is(got.err, tt.want) {
					t.Errorf("error %v, want %d", got.err, tt.want)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestManyMethodsAtOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(methodFilter)
		const n = 100
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				want := fmt.Sprint(i)
				res, err := h.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: "echo", Payload: json.RawMessage(want)}, nil)
				if err != nil || string(res.Payload) != want {
					t.Errorf("call %d: %v, %v", i, res, err)
				}
			})
		}
		for range n {
			_, rid, m := p.request()
			p.respond(200, rid, string(m.Payload), 0)
		}
		wg.Wait()
		synctest.Wait()
	})
}
