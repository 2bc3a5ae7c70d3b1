package mqttfront

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/pipe"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/mqtt"
)

// FuzzPeer is a device that says anything at all, before or after its login.
// The hub answers with whole packets only, and is done with it when it leaves.
func FuzzPeer(f *testing.F) {
	filters, _ := mqtt.AppendFilter(nil, c2dFilter, 1)
	filters, _ = mqtt.AppendFilter(filters, "$iothub/twin/res/#", 0)
	names, _ := mqtt.AppendFilterName(nil, c2dFilter)
	for _, p := range []interface{ AppendTo([]byte) []byte }{
		&mqtt.Publish{Topic: []byte(telemetryTopic + "a=b&%24.mid=1&c&=d&e=%zz"), Payload: []byte("hi"), QoS: 1, ID: 1},
		&mqtt.Publish{Topic: []byte("$iothub/twin/GET/?$rid=1"), QoS: 1, ID: 2},
		&mqtt.Publish{Topic: []byte("$iothub/twin/PATCH/properties/reported/?$rid=1&$version=1"), Payload: []byte(`{"a":{"b":[1,null]}}`)},
		&mqtt.Publish{Topic: []byte("$iothub/methods/res/200/?$rid=1"), Payload: []byte("{}")},
		&mqtt.Subscribe{ID: 1, Filters: filters},
		&mqtt.Unsubscribe{ID: 1, Filters: names},
		&mqtt.Puback{ID: 1},
		&mqtt.Pingreq{},
		&mqtt.Disconnect{},
		&mqtt.Connect{ClientID: []byte("dev"), UserName: []byte("localhost/dev/?api-version=2021-04-12"), CleanSession: true},
	} {
		b := p.AppendTo(nil)
		f.Add(true, b)
		f.Add(false, b)
		f.Add(true, append((&mqtt.Subscribe{ID: 1, Filters: filters}).AppendTo(nil), b...))
	}
	f.Fuzz(func(t *testing.T, login bool, said []byte) {
		fr := newFront(t, core.Config{}, Options{}, store.NewMemory(nil))
		defer fr.close()
		peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
		served := make(chan struct{})
		go func() {
			defer close(served)
			fr.server.Serve(nc, Peer{Protocol: "mqtt", Raw: nc})
		}()
		go func() {
			defer peer.(interface{ CloseWrite() error }).CloseWrite()
			if login {
				peer.Write(fr.connect().AppendTo(nil))
			}
			peer.Write(said)
		}()
		answers := mqtt.NewConn(peer, nil)
		for {
			p, err := answers.ReadPacket()
			if err != nil {
				if err != io.EOF && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the hub's answers end with %v", err)
				}
				break
			}
			if p.Type() == mqtt.TypePublish {
				if _, err := mqtt.ParsePublish(p); err != nil {
					t.Errorf("the hub sent %v", err)
				}
			}
		}
		<-served
	})
}
