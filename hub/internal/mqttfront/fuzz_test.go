package mqttfront

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hubwire/hubwire/hub/internal/conns"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/dps"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/pipe"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/topics"
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
		if login {
			said = append(fr.connect().AppendTo(nil), said...)
		}
		listen(t, fr, said)
	})
}

// FuzzNewcomer is a device that says anything at all to the provisioning service.
func FuzzNewcomer(f *testing.F) {
	filters, _ := mqtt.AppendFilter(nil, topics.DPSResponseFilter, 1)
	for _, p := range []interface{ AppendTo([]byte) []byte }{
		&mqtt.Publish{Topic: []byte("$dps/registrations/PUT/iotdps-register/?$rid=1"), Payload: []byte(`{"registrationId":"a","payload":{"b":1}}`), QoS: 1, ID: 1},
		&mqtt.Publish{Topic: []byte("$dps/registrations/PUT/iotdps-register/?$rid=1")},
		&mqtt.Publish{Topic: []byte("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=4.x"), Payload: []byte(" ")},
		&mqtt.Unsubscribe{ID: 1, Filters: mqtt.FilterNames("\x00\x01a")},
		&mqtt.Puback{ID: 1},
		&mqtt.Pingreq{},
	} {
		f.Add(append((&mqtt.Subscribe{ID: 1, Filters: filters}).AppendTo(nil), p.AppendTo(nil)...))
	}
	s := dps.New(&dps.Config{IDScope: "scope", Register: func(context.Context, *dps.Assignment) error { return nil }})
	e, err := s.Enroll(&dps.Enrollment{ID: "a"})
	if err != nil {
		f.Fatal(err)
	}
	key, err := sas.NewKey(e.Primary)
	if err != nil {
		f.Fatal(err)
	}
	token, err := sas.AppendToken(f.Context(), nil, key, "scope/registrations/a", "registration", time.Now().Add(24*time.Hour))
	if err != nil {
		f.Fatal(err)
	}
	hello := (&mqtt.Connect{ClientID: []byte("a"), UserName: []byte("scope/registrations/a/api-version=2019-03-31"), Password: mqtt.NewSecret(token)}).AppendTo(nil)
	f.Fuzz(func(t *testing.T, said []byte) {
		fr := newFront(t, core.Config{}, Options{Provisioning: s}, store.NewMemory(nil))
		defer fr.close()
		listen(t, fr, append(slices.Clip(hello), said...))
	})
}

// listen has a peer say something and leave, and looks at the hub's answers.
func listen(t *testing.T, fr *front, said []byte) {
	peer, nc := pipe.New(pipe.Addr("peer"), pipe.Addr("hub"))
	served := make(chan struct{})
	go func() {
		defer close(served)
		fr.server.Serve(nc, conns.Peer{Protocol: "mqtt", Raw: nc})
	}()
	go func() {
		defer peer.CloseWrite()
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
}
